"""``doctor --env NAME``: is the host of an environment fit for a release?"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from kickoff import gh, service, stack
from kickoff.environment import loader, schema
from kickoff.environment.validation import Checked
from kickoff.errors import ExitCode, KickoffError
from kickoff.host import checks, reach
from kickoff.host.checks import Finding, failed, passed, unknown
from kickoff.probing.certificate import CertificateProblem, NoAnswer, place_of, valid_until
from kickoff.release import targets
from kickoff.release.certificate import KEY as PUBLIC_HOST
from kickoff.release.targets import HostNeeds

CLOCK = "https://github.com"
"""Whose HTTP date a clock is compared with; ``KICKOFF_CLOCK_URL`` names another."""


def to_document(name: str, findings: list[Finding]) -> dict[str, object]:
    """Return the findings as JSON has them."""
    return {
        "environment": name,
        "fit": checks.exit_code(findings) == ExitCode.PASS,
        "findings": [asdict(finding) for finding in findings],
    }


def to_text(name: str, findings: list[Finding]) -> str:
    """Return what was found, with what to do about it, and whether the host is fit."""
    lines = []
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        lines.append(f"{finding.verdict.sign} {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"  {'':<{width}}  fix: {finding.fix}")
    words = {0: "is fit for a release", 1: "is not fit yet", 3: "may be fit: not everything could be checked"}
    return "\n".join([*lines, "", f"the host of {name} {words[checks.exit_code(findings)]}"])


def examine(name: str, root: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Return every finding about the host of environment ``name``.

    Raises:
        KickoffError: There is no such environment.
    """
    described = service.load(root).name
    with suppress(KickoffError):  # a compose file that cannot be read is a finding, not the end
        environ = stack.sources(name, root, environ)
    checked = loader.inspect(name, root, schema.read(root), environ, with_secrets=True)
    target, needs = _target(name, root, checked, environ)
    first = [_environment(name, checked), *target, checks.secrets(sorted(checked.deferred))]
    try:
        where = reach.address(checked.values.get("DEPLOY_HOST", ""))
        state = _state(described, name, environ, remote=bool(where.host))
        answer = reach.ask(where, reach.question(state, needs))
    except KickoffError as error:
        reason = "; ".join([str(error), *error.causes])
        return [
            *first,
            failed("host", reason, error.hint),
            unknown("everything on the host", "it cannot be asked"),
        ]
    return [
        *first,
        passed("host", where.name or "this machine"),
        *_host(name, needs, answer.facts),
        *map(_runner, answer.facts["runners"]),
        *_certificate(name, checked.values.get(PUBLIC_HOST, "")),
        _clock(where, answer, environ),
    ]


def _environment(name: str, checked: Checked) -> Finding:
    # A value that is not set yet is a finding of its own, by name.
    wrong = [
        one for one in checked.findings if one.key not in checked.deferred and one.rule != "missing-secret"
    ]
    if wrong:
        return failed("environment", f"{wrong[0].place}: {wrong[0].message}", wrong[0].fix)
    return passed("environment", f"configs/environments/{name}.env keeps the schema")


def _target(
    name: str, root: Path, checked: Checked, environ: Mapping[str, str]
) -> tuple[list[Finding], HostNeeds]:
    """Return whether the environment names a target, and what that one needs of its host."""
    chosen = checked.values.get(targets.KEY, "")
    try:
        kind = targets.kind_of(chosen)
    except KickoffError as error:
        found = failed("target", str(error) if chosen else "not set", f"set {targets.KEY}: {error.hint}")
        return [found], targets.own_port(root, name, checked.values, environ)
    found = passed("target", f"{chosen}: {kind.runs_on}")
    try:
        return [found], kind.host_needs(root, name, checked.values, environ)
    except KickoffError as error:
        reason = "; ".join(filter(None, [error.at, str(error), *error.causes]))
        wrong = failed("stack", reason, error.hint)
        return [found, wrong], targets.own_port(root, name, checked.values, environ)


def _host(name: str, needs: HostNeeds, facts: Mapping[str, Any]) -> list[Finding]:
    """Return the findings about a host from what it said of itself."""
    findings = [checks.python(facts["python"])]
    if needs.docker:
        findings += checks.docker(facts["docker"])
        findings += [checks.network(one, driver, name) for one, driver in facts["docker"]["networks"].items()]
    if needs.swarm:
        findings += checks.swarm(facts["swarm"])
    findings += checks.state(facts["state"])
    findings += checks.edges(facts["edges"])
    findings += checks.ports(needs, facts)
    findings += checks.names(facts["names"])
    return findings + [
        unknown("public name", f"{variable} is not set", f"export {variable}, {what}")
        for variable, what in needs.unset.items()
    ]


def _runner(serves: str) -> Finding:
    """Return the finding about a runner on the host; one of an organisation serves public projects, too."""
    repository = urlsplit(serves).path.strip("/")
    if repository.count("/") != 1:
        return checks.runner(serves, "", "it is registered for more than one repository")
    try:
        answer = gh.api("GET", f"repos/{repository}", hint="")
    except KickoffError as error:
        return checks.runner(serves, "", "; ".join([str(error), *error.causes]))
    return checks.runner(serves, str(answer["visibility"]), "")


def _certificate(environment: str, public_host: str) -> list[Finding]:
    """Return the finding about the certificate that users of the public name meet, asked for from here."""
    if not public_host:
        return []
    name, port = place_of(public_host)
    try:
        until = valid_until(name, (name, port))
    except NoAnswer as problem:  # as before a first release
        return [unknown("certificate", str(problem))]
    except CertificateProblem as problem:
        fix = f"`kickoff logs --env {environment} --process traefik`; docs/how-to/certificates.md"
        return [failed("certificate", f"of {name}: {problem}", fix)]
    return [passed("certificate", f"of {name}, valid until {until:%Y-%m-%d}")]


def _state(described: str, name: str, environ: Mapping[str, str], *, remote: bool) -> str:
    configured = environ.get("KICKOFF_STATE_ROOT", "")
    if configured:
        # A path of this machine means nothing on another, unless it is a whole one.
        base = configured if remote else str(Path(configured).absolute())
        return f"{base}/{described}/{name}"
    return f"~state/kickoff/{described}/{name}"


def _clock(where: reach.Address, answer: reach.Answer, environ: Mapping[str, str]) -> Finding:
    synchronised = str(answer.facts["synchronised"])
    if where.host:
        return checks.clock(answer.offset, answer.doubt, "this machine", synchronised)
    url = environ.get("KICKOFF_CLOCK_URL") or CLOCK
    began = time.time()
    try:
        told = parsedate_to_datetime(httpx.head(url, timeout=10, trust_env=True).headers["Date"]).timestamp()
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        ImportError,
        KeyError,
        ValueError,
    ):  # a proxy may be the reason
        return checks.clock(None, 0.0, f"{url} tells no time", synchronised)
    ended = time.time()
    # The date has whole seconds, cut off.
    middle, doubt = (began + ended) / 2, (ended - began) / 2 + 0.5
    return checks.clock(middle - (told + 0.5), doubt, url, synchronised)
