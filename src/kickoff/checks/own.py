"""The service's own checks: every command under ``checks:`` of its description, against the candidate."""

from collections.abc import Iterator

from kickoff.checks.check import Check, Context, Need
from kickoff.checks.functional import test
from kickoff.evidence import Evidence


class OwnChecks(Check):
    """Runs the commands that the environment demands; each leaves evidence of its own."""

    name = "own"
    title = "Check of the service"
    needs = Need.CANDIDATE | Need.COMMIT

    def documents(self, context: Context) -> Iterator[Evidence]:
        """Run every command of this environment."""
        for check in context.session.service.checks_in(context.environment):
            yield test(context, check.stage, check.command)


CHECK = OwnChecks()
