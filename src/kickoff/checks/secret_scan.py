"""The secret scan: what looks like a password, a key or a token in the lines that a change adds."""

from kickoff import git, github
from kickoff.accepted import Accepted
from kickoff.checks.check import Context, Need, SingleCheck
from kickoff.evidence import Evidence, RuleResult, Verdict
from kickoff.supply_chain import secrets
from kickoff.supply_chain.secrets import Scan, Secret

STAGE = "secret-scan"
_FIX = (
    "revoke it where it is valid, then take it out: it stays in the history; "
    "if there is none, supply_chain.secrets of the description says so with a reason"
)


class SecretScan(SingleCheck):
    """Scans the commits of a change; a place is named, a value never."""

    name = "secrets"
    title = "Secret scan"
    needs = Need.COMMIT

    def run(self, context: Context) -> Evidence:
        """Scan from what came before the change to the commit."""
        given = context.arguments
        git.require_repository(context.root)
        head = git.run(context.root, "rev-parse", "--verify", f"{given.commit or 'HEAD'}^{{commit}}")
        last = head.stdout.strip()
        event = github.context()
        merged_into = event.pull_request.base if event.pull_request else ""
        first = secrets.start_of(context.root, last, given.base or merged_into or event.before)
        scan = secrets.scan(context.root, first, last, context.stop)
        if not scan.commits:
            return context.not_applicable(STAGE, "nothing to scan: the change has no commit")
        document = context.document(STAGE)
        document.inputs = {"base": first, "commit": last}
        conclude(document, scan, context.service.accepted, git.below_top(context.root))
        return document


def conclude(document: Evidence, scan: Scan, accepted: Accepted, below: str) -> None:
    """Put a rule for each place into the evidence, beside its line for people.

    Args:
        document: The evidence.
        scan: What was found.
        accepted: What the project accepts.
        below: The project's folder in the repository, from which its paths start.
    """
    start = f"{below}/" if below else ""
    found = [_rule(one, accepted, start) for one in scan.found]
    failed = [one for one in found if one.verdict is Verdict.FAIL]
    commits = "1 commit" if scan.commits == 1 else f"{scan.commits} commits"
    if scan.doubt:
        whole = RuleResult(
            "secrets.scan", "scan of the change", Verdict.INCONCLUSIVE, "no data", commits, 0, scan.doubt
        )
        document.verdict, document.summary = Verdict.INCONCLUSIVE, f"not scanned: {scan.doubt}"
    else:
        whole = RuleResult(
            "secrets.scan", "scan of the change", Verdict.PASS, commits, "every commit", scan.commits
        )
        document.verdict, document.summary = Verdict.PASS, f"no secret in {commits}"
    document.rules = [whole, *found]
    if failed:
        document.verdict = Verdict.FAIL
        document.summary = f"{len(failed)} places look like a secret: {failed[0].rule}"
    for one, rule in zip(scan.found, found, strict=True):
        if rule.verdict is Verdict.FAIL:
            github.annotate("error", rule.reason, one.file, one.line, title=f"secret: {one.rule}")


def _rule(one: Secret, accepted: Accepted, start: str) -> RuleResult:
    name, limit = f"{one.file}:{one.line}", "no secret"
    paths = [f"/{one.file}", *([one.file.removeprefix(start)] if one.file.startswith(start) else [])]
    entry = accepted.secret(paths, one.rule)
    if entry is not None:
        reason = f"accepted: {entry.reason}"
        return RuleResult("secrets.found", name, Verdict.NOT_APPLICABLE, one.rule, limit, 1, reason)
    reason = f"added by {one.commit[:7]}: {_FIX}"
    return RuleResult("secrets.found", name, Verdict.FAIL, one.rule, limit, 1, reason)


CHECK = SecretScan()
