"""A model of GitHub's runner: which lines of a log it takes for commands."""

import re


def commands(text: str) -> list[str]:
    """Return the commands that the runner would carry out, in order.

    It trims a line before it looks for ``::``, and finds ``##[`` anywhere in it.

    Raises:
        AssertionError: Commands were stopped and never resumed.
    """
    found, stopped = [], ""
    for line in re.split(r"\r\n|\r|\n", text):
        trimmed = line.lstrip()
        command, _, data = trimmed.removeprefix("::").partition("::")
        if not trimmed.startswith("::") and "##[" not in line:
            continue
        if stopped:
            stopped = "" if command == stopped else stopped
        elif command == "stop-commands":
            stopped = data
        else:
            found.append(trimmed)
    assert not stopped, "commands were never resumed"
    return found
