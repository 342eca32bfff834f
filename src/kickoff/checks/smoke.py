"""The smoke test: the requests of the service's description, sent to the candidate or to the live release."""

import argparse
from collections.abc import Mapping

from kickoff.checks.check import Context, Need, SingleCheck, add_evidence
from kickoff.errors import KickoffError
from kickoff.evidence import Evidence, Verdict, combine
from kickoff.probing import smoke


class Smoke(SingleCheck):
    """Asks a release, or any address, and judges the answers."""

    name = "smoke"
    title = "Smoke test"
    needs = Need.CANDIDATE

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add environment, phase and address."""
        parser.add_argument("--env", required=True, metavar="NAME", help="environment to test")
        parser.add_argument(
            "--phase",
            required=True,
            choices=["candidate", "live"],
            help="candidate: no user reaches it yet; live: through the public address",
        )
        parser.add_argument(
            "--attempt", default="", metavar="ID", help="candidate: the attempt that gets the verdict"
        )
        parser.add_argument(
            "--base-url",
            default="",
            metavar="URL",
            help="test this address instead; the verdict is not recorded",
        )
        parser.add_argument(
            "--expect-release", default="", metavar="ID", help="with --base-url: the release that must answer"
        )
        add_evidence(parser)

    def verify(self, arguments: argparse.Namespace) -> None:
        """Refuse an address that is none, and options that only one of the two ways takes."""
        url = arguments.base_url
        if url and not url.startswith(("http://", "https://")):
            raise KickoffError(f"--base-url {url!r} is not an address", hint="write http://host:port")
        if url and arguments.attempt:
            raise KickoffError("--attempt finds its address by itself", hint="leave --base-url out")
        if arguments.expect_release and not url:
            raise KickoffError(
                "--expect-release needs --base-url", hint="otherwise the state says which release must answer"
            )

    def run(self, context: Context) -> Evidence:
        """Send every request once."""
        arguments = context.arguments
        if arguments.base_url:
            return self._ask(context, arguments.base_url, {}, arguments.expect_release)
        session = context.session
        expected = session.expected_release(arguments.phase)
        with session.reach(arguments.phase) as endpoint:
            headers = {**endpoint.headers, **session.check_headers()}
            document = self._ask(context, endpoint.url, headers, expected)
        if document.verdict is not Verdict.PASS:
            document.log_tail = session.record_of_log(arguments.phase, settled=True)
            unsent = session.unsent_headers(" ".join(rule.reason for rule in document.rules))
            document.summary = "; ".join(filter(None, (document.summary, unsent)))
        return document

    def _ask(self, context: Context, url: str, headers: Mapping[str, str], expected: str) -> Evidence:
        phase = context.arguments.phase
        document = context.document(f"smoke-{phase}", release=expected)
        document.rules = rules = smoke.run(url, headers, context.service, expected)
        document.verdict = combine(rule.verdict for rule in rules)
        document.inputs = {"phase": phase, "base_url": url, "expected_release": expected}
        failed = [rule.rule for rule in rules if rule.verdict is Verdict.FAIL]
        counted = sum(rule.verdict is not Verdict.NOT_APPLICABLE for rule in rules)
        who = expected or url
        document.summary = (
            f"{len(failed)} of {counted} checks of {who} failed: {', '.join(failed)}"
            if failed
            else f"all {counted} checks of {who} passed"
        )
        return document


CHECK = Smoke()
