"""The material of a report: the evidence, the plan, and what could not be read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickoff.errors import KickoffError
from kickoff.evidence import Evidence
from kickoff.evidence.stages import DEFAULT_CHECKS, DEPLOYING
from kickoff.report.language import say
from kickoff.report.messages import line
from kickoff.report.past import Past


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of the run, how its jobs ended, and who interrupted it, when and during what."""

    deployments: tuple[str, ...] = ()
    event: str = ""
    ref: str = ""
    commit: str = ""
    service: str = ""
    reason: str = ""
    unproven_reason: str = ""
    jobs: Mapping[str, str] = field(default_factory=dict)
    interrupted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Plan":
        """Rebuild a plan from parsed JSON.

        Raises:
            KickoffError: ``deployments`` or ``jobs`` has another shape.
        """
        names, jobs = document.get("deployments"), document.get("jobs", {})
        how = document.get("interrupted") or {}
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise KickoffError("the plan's deployments are not a list of environments")
        if not isinstance(jobs, dict) or not all(isinstance(result, str) for result in jobs.values()):
            raise KickoffError("the plan's jobs do not map each job to its result")
        if not isinstance(how, dict):
            raise KickoffError("the plan does not say by whom it was interrupted, but something else")
        texts = ("event", "ref", "commit", "service", "reason", "unproven_reason")
        return cls(
            deployments=tuple(dict.fromkeys(names)),
            jobs={line(name, 80): line(result, 40) for name, result in jobs.items()},
            interrupted={key: line(how.get(key), 120) for key in ("by", "at", "during") if how.get(key)},
            **{key: line(document.get(key)) for key in texts},
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a report knows; nothing else may find its way into one.

    Attributes:
        evidence: One document per stage and environment, oldest first.
        plan: What was planned; ``None`` when nobody said.
        problems: What is wrong with the evidence itself, e.g. a file that cannot be read.
        checks: The checks that must pass before a promotion, by environment.
        actor: Who started the run, empty when unknown.
        run_url: Address of the run on GitHub, empty elsewhere.
        workflows: Names of the workflow files there are: no command that needs another one is advised.
        described: Name of the service in ``kickoff.yml``; empty where that cannot be read.
        subject: First line of the commit's message.
        author: Who wrote the commit.
        commit_url: Address of the commit on GitHub, empty elsewhere.
        pages: The page of the performance check of each environment that has one, beside the report.
        past: Outcomes of earlier runs that are kept here, oldest first.
        index: Where the page of all releases is, seen from the report; empty where there is none.
        label: Tells the project's workflows from its neighbours', as :func:`kickoff.naming.label` does.
    """

    evidence: tuple[Evidence, ...]
    plan: Plan | None = None
    problems: tuple[str, ...] = ()
    checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    actor: str = ""
    run_url: str = ""
    workflows: frozenset[str] = frozenset({"cd.yml", "rollback.yml"})
    label: str = ""
    described: str = ""
    subject: str = ""
    author: str = ""
    commit_url: str = ""
    pages: Mapping[str, str] = field(default_factory=dict)
    past: tuple[Past, ...] = ()
    index: str = ""

    @property
    def commit(self) -> str:
        """The commit that the run is about; empty when nobody said."""
        return self.plan.commit if self.plan and self.plan.commit else line(fact(self.evidence, "commit"), 64)

    @property
    def service(self) -> str:
        """Name of the service."""
        named = [self.plan.service] if self.plan else []
        named += [document.service for document in self.evidence]
        return line(next((name for name in [*named, self.described] if name), "service"), 60)

    @property
    def environments(self) -> tuple[str, ...]:
        """Planned environments, then those something was done to without a plan."""
        planned = self.plan.deployments if self.plan else ()
        touched = (d.environment for d in self.evidence if d.stage in DEPLOYING and d.environment)
        return tuple(dict.fromkeys([*planned, *touched]))

    def required(self, environment: str) -> tuple[str, ...]:
        """Return the checks that must pass before a promotion in ``environment``."""
        return self.checks.get(environment, DEFAULT_CHECKS)

    def of(self, environment: str) -> dict[str, Evidence]:
        """Return an environment's documents by stage."""
        return {d.stage: d for d in self.evidence if d.environment == environment}

    @property
    def shared(self) -> list[Evidence]:
        """Documents that belong to no deployment: the gates before it."""
        deployed = set(self.environments)
        return [document for document in self.evidence if document.environment not in deployed]


def collect(directory: Path) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """Read the evidence below ``directory``; unlike ``evidence.read``, one bad file does not hide the rest.

    Of several documents for the same stage and environment (a job that was run again) the last counts.

    Returns:
        The documents, oldest first, and a sentence for each file that cannot be used.
    """
    found: dict[tuple[str, str], Evidence] = {}
    problems = []
    for path in sorted(directory.rglob("*.json")) if directory.is_dir() else []:
        name = path.relative_to(directory).as_posix()
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            # Raw samples, the plan and proofs live in the same folder.
            if not isinstance(document, dict) or not {"stage", "version", "rules"} <= document.keys():
                continue
            entry = Evidence.from_document(document, name)
        except (ValueError, RecursionError) as error:
            problems.append(f"{line(name)} is not JSON: {line(error)}")
            continue
        except OSError as error:
            problems.append(
                say("{name} cannot be read: {error}", name=line(name), error=line(error.strerror))
            )
            continue
        except KickoffError as error:
            problems.append(f"{line(name)}: {line(error)}")
            continue
        key = (entry.stage, entry.environment)
        if key not in found or found[key].finished <= entry.finished:
            found[key] = entry
    return tuple(sorted(found.values(), key=lambda e: (e.started, e.finished))), tuple(problems)


def read_plan(path: Path | None) -> tuple[Plan | None, tuple[str, ...]]:
    """Read the plan; a plan that was promised and is not there is a problem, not the absence of one."""
    if path is None:
        return None, ()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            return None, ("the plan is not a JSON object",)
        return Plan.from_document(document), ()
    except FileNotFoundError:
        problem = "the run made no plan: pre-deployment-checks did not get that far"
    except OSError as error:
        problem = say("the plan cannot be read: {error}", error=line(error.strerror))
    except (ValueError, RecursionError) as error:
        problem = f"the plan is not JSON: {line(error)}"
    except KickoffError as error:
        problem = line(error)
    return None, (problem,)


def fact(documents: Sequence[Evidence], *names: str) -> Any:  # noqa: ANN401
    """Return the first of the named facts, or inputs, that any document holds; the later document wins."""
    for document in reversed(documents):
        for name in names:
            for source in (document.facts, document.inputs):
                if source.get(name) not in (None, "", [], {}):
                    return source[name]
    return None
