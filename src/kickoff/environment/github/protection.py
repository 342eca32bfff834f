"""Protection of an environment on GitHub: who approves, how long it waits, which refs may deploy to it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kickoff import gh
from kickoff.environments import DeclaredEnvironment, resolve
from kickoff.errors import ExitCode, KickoffError

MOST_REVIEWERS = 6
MOST_MINUTES = 43_200
_HINT = "it takes an administrator of the repository: `gh auth status` says who you are there"
_BILLING = (
    "private repositories need GitHub Pro, Team or Enterprise for deployment branches, and Enterprise for "
    "reviewers and wait timers: make the repository public, change the plan, or leave out what it lacks"
)


@dataclass(frozen=True, slots=True, order=True)
class Reviewer:
    """Somebody who may approve: ``kind`` is ``User`` or ``Team``, ``id`` GitHub's number for it.

    The name is for people: a team's is given with its organisation in one place and without in another.
    """

    kind: str
    id: int
    name: str = field(compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """A rule of who may deploy: ``kind`` is ``branch`` or ``tag``, ``pattern`` as GitHub matches it."""

    kind: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.kind} {self.pattern}"


@dataclass(frozen=True, slots=True)
class Protection:
    """The rules of one environment.

    Attributes:
        reviewers: One of them has to approve each deployment; nobody has when there are none.
        wait_minutes: How long a deployment waits first, whole minutes.
        prevent_self_review: Nobody approves the deployment that they started.
        refs: What may deploy; ``None`` for everything.
    """

    reviewers: frozenset[Reviewer] = frozenset()
    wait_minutes: int = 0
    prevent_self_review: bool = False
    refs: frozenset[Ref] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request that changes something."""

    method: str
    path: str
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An environment as GitHub has it; ``policies`` are its refs with GitHub's numbers for them."""

    protection: Protection
    policies: Mapping[Ref, int]


def default(
    declared: DeclaredEnvironment,
    branch: str,
    reviewers: Collection[Reviewer],
    minutes: int,
    others: Collection[DeclaredEnvironment] = (),
) -> Protection:
    """Return the rules that an environment should have.

    Every one takes runs of the default branch: dispatches and ``rollback.yml`` run there, and a rollback that
    GitHub refuses is worse than an approval too many.

    Args:
        declared: The environment.
        branch: The repository's default branch.
        reviewers: Who approves what comes here; none for nobody.
        minutes: How long a deployment waits.
        others: Those of this name in other projects of the repository, whose environment it is as well.
    """
    refs = {Ref("branch", branch)}
    for one in (declared, *others):
        [found] = resolve([one], branch)
        refs |= {Ref("branch", found.branch)} if found.branch else set()
        refs |= {Ref("tag", found.tag)} if found.tag else set()
    # GitHub refuses to prevent self-review where nobody reviews.
    return Protection(frozenset(reviewers), minutes, bool(reviewers), frozenset(refs))


def parse(environment: Mapping[str, Any], policies: Mapping[str, Any]) -> Found:
    """Return an environment from GitHub's two answers about it."""
    rules = {rule["type"]: rule for rule in environment.get("protection_rules") or []}
    review = rules.get("required_reviewers") or {}
    reviewers = frozenset(_reviewer(one) for one in review.get("reviewers") or [])
    known = {
        Ref(str(one.get("type") or "branch"), str(one["name"])): int(one["id"])
        for one in policies.get("branch_policies") or []
    }
    policy = environment.get("deployment_branch_policy")
    custom = bool(policy and policy.get("custom_branch_policies"))
    protected = frozenset({Ref("branch", "(every protected branch)")}) if policy else None
    return Found(
        Protection(
            reviewers,
            int((rules.get("wait_timer") or {}).get("wait_timer") or 0),
            bool(review.get("prevent_self_review")),
            frozenset(known) if custom else protected,
        ),
        known,
    )


def plan(path: str, found: Found | None, wanted: Protection) -> list[Call]:
    """Return the requests that make an environment as it is wanted; none when it is so already.

    Args:
        path: The environment's path in the API.
        found: The environment now; ``None`` when there is none.
        wanted: The rules it shall have.
    """
    now = found.protection if found else Protection()
    calls = []
    listed = found is not None and now.refs == frozenset(found.policies)
    if not listed or replace(now, refs=None) != replace(wanted, refs=None):
        calls.append(Call("PUT", path, payload(now, wanted)))
    policies = found.policies if found else {}
    refs = wanted.refs or frozenset()
    calls += [
        Call("POST", f"{path}/deployment-branch-policies", {"name": ref.pattern, "type": ref.kind})
        for ref in sorted(refs - set(policies))
    ]
    calls += [
        Call("DELETE", f"{path}/deployment-branch-policies/{policies[ref]}")
        for ref in sorted(set(policies) - refs)
    ]
    return calls


def payload(now: Protection, wanted: Protection) -> dict[str, Any]:
    """Return the body of the request that sets an environment.

    What a plan lacks is refused even when it is set to nothing, so only what is or shall be there is named.
    """
    document: dict[str, Any] = {
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}
    }
    if wanted.wait_minutes or now.wait_minutes:
        document["wait_timer"] = wanted.wait_minutes
    if wanted.reviewers or now.reviewers:
        document["reviewers"] = [{"type": one.kind, "id": one.id} for one in sorted(wanted.reviewers)]
        document["prevent_self_review"] = wanted.prevent_self_review
    return document


def differences(found: Protection, wanted: Protection) -> list[str]:
    """Return a sentence for each rule that is not as it is wanted."""
    pairs = (
        (found.reviewers != wanted.reviewers, "approval", _names(found.reviewers), _names(wanted.reviewers)),
        (
            found.wait_minutes != wanted.wait_minutes,
            "wait timer",
            f"{found.wait_minutes} min",
            f"{wanted.wait_minutes} min",
        ),
        (
            found.prevent_self_review != wanted.prevent_self_review,
            "prevent self-review",
            str(found.prevent_self_review).lower(),
            str(wanted.prevent_self_review).lower(),
        ),
        (found.refs != wanted.refs, "may deploy", _refs(found.refs), _refs(wanted.refs)),
    )
    return [f"{name}: {have}, wanted {want}" for differs, name, have, want in pairs if differs]


def lines(protection: Protection) -> list[str]:
    """Return the rules for people."""
    itself = ", not of their own runs" if protection.prevent_self_review else ""
    return [
        f"approval    {_names(protection.reviewers)}{itself if protection.reviewers else ''}",
        f"wait timer  {protection.wait_minutes} min",
        f"may deploy  {_refs(protection.refs)}",
    ]


def read(path: str) -> Found | None:
    """Return the environment at ``path`` of the API; ``None`` when there is none.

    Raises:
        KickoffError: GitHub cannot be asked or refuses (exit code 4).
    """
    try:
        environment = gh.api("GET", path, hint=_HINT)
    except gh.GitHubError as error:
        if error.status == 404:
            return None
        raise explained(error) from None
    if not (environment.get("deployment_branch_policy") or {}).get("custom_branch_policies"):
        return parse(environment, {})
    return parse(environment, gh.api("GET", f"{path}/deployment-branch-policies?per_page=100", hint=_HINT))


def perform(call: Call) -> None:
    """Send one request.

    Raises:
        KickoffError: GitHub refused: the plan lacks it (exit code 2), or it takes other rights (exit code 4).
    """
    try:
        gh.api(call.method, call.path, call.document, hint=_HINT)
    except gh.GitHubError as error:
        raise explained(error) from None


def look_up(name: str) -> Reviewer:
    """Return the user ``login`` or the team ``organisation/team`` with GitHub's number for it.

    Raises:
        KickoffError: There is no such user or team (exit code 2), or GitHub cannot be asked (exit code 4).
    """
    organisation, slash, team = name.partition("/")
    path = f"orgs/{organisation}/teams/{team}" if slash else f"users/{name}"
    try:
        answer = gh.api("GET", path, hint="log in with `gh auth login`; teams need the scope read:org")
    except gh.GitHubError as error:
        if error.status != 404:
            raise explained(error) from None
        raise KickoffError(
            f"GitHub knows no {'team' if slash else 'user'} {name!r}",
            hint="write a login, or organisation/team as in the team's address",
        ) from None
    return Reviewer("Team" if slash else "User", int(answer["id"]), name)


def explained(error: gh.GitHubError) -> KickoffError:
    """Return a refusal with what to do about it."""
    if error.status == 401:
        return KickoffError(
            "GitHub does not know who asks",
            code=ExitCode.UNREACHABLE,
            causes=error.causes,
            hint="run `gh auth login`; without gh, give a token that is valid in GH_TOKEN",
        )
    if error.status == 422:
        return KickoffError(
            "GitHub does not take these rules for this repository", causes=error.causes, hint=_BILLING
        )
    if error.status in (403, 404):
        return KickoffError(
            "GitHub does not let you change the environments of this repository",
            code=ExitCode.UNREACHABLE,
            causes=error.causes,
            hint=_HINT,
        )
    return error


def _reviewer(one: Mapping[str, Any]) -> Reviewer:
    who = one["reviewer"]
    return Reviewer(str(one["type"]), int(who["id"]), str(who.get("login") or who.get("slug")))


def _names(reviewers: Collection[Reviewer]) -> str:
    return ", ".join(f"{one.kind.lower()} {one.name}" for one in sorted(reviewers)) or "nobody"


def _refs(refs: Collection[Ref] | None) -> str:
    if refs is None:
        return "everything"
    return ", ".join(map(str, sorted(refs))) or "nothing"
