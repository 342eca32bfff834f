"""Tell people what became of a run, through the addresses that ``notify:`` names."""

import argparse
import logging
import os
from pathlib import Path

from kickoff import bootstrap, github, masking, service
from kickoff.cli import output
from kickoff.report import notice

_TRIES, _PAUSE, _LIMIT = 3, 2.0, 60.0
"""Attempts at each address, seconds between two, and seconds for all of them."""


def run(arguments: argparse.Namespace) -> int:
    """Send what each address is to hear; return 0 also when it is not taken, which is told as a warning.

    A release is what its evidence says, whether or not it can be talked about.

    Raises:
        KickoffError: There is no report, or the description is not valid (exit 2).
    """
    folder = arguments.report or output.report_folder(output.evidence_folder())
    outcome = output.outcome(folder)
    told = [
        one.secret
        for one in service.load(Path.cwd()).notices
        if one.wants(outcome["verdict"], outcome["environment"])
    ]
    given = {name: os.environ.get(name, "").strip() for name in dict.fromkeys(told)}
    masking.hide(*given.values())
    done = [f"{name} is not set, so nobody is told there" for name, address in given.items() if not address]
    addresses = {name: address for name, address in given.items() if address}
    if addresses:
        problem = _prepare()
        title, text = notice.message(outcome, github.context().run_url or str(folder / "report.html"))
        for name, address in addresses.items():
            failure = problem or _send(address, title, text)
            if failure:
                github.annotate("warning", f"not told: {name}: {failure}", title="People were not told")
            done.append(f"not told: {name}: {failure}" if failure else f"told: {name}")
    output.result({"done": done}, "\n".join(done or ["nobody is to be told of this"]))
    return 0


def _prepare() -> str:
    """Make sure of Apprise, which nothing else needs; return why it cannot be had, empty when it is there."""
    if not bootstrap.has("notify"):
        try:
            bootstrap.ensure("notify", bootstrap.PACKAGE)
        except SystemExit:
            return "Apprise cannot be installed; what pip said stands above"
    return ""


def _send(address: str, title: str, text: str) -> str:
    """Send a message to an address of Apprise's, or several; return why one did not take it, else nothing.

    The forms of an address: https://appriseit.com/services.
    """
    import apprise

    # What it says of its attempts is in the result; its log would name addresses.
    logging.getLogger("apprise").propagate = False
    people = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Kickoff", storage_mode="memory"))
    if not people.add(address):
        return "it holds no address that Apprise knows (https://appriseit.com/services)"
    for place in people:
        place.retry, place.wait = _TRIES - 1, _PAUSE
    taken = people.notify(text, title=title, body_format="text", timeout=_LIMIT)
    said = [entry.message for entry in taken.logs() if entry.level == "WARNING"]
    return "" if taken else masking.text(said[0] if said else "it was not taken")
