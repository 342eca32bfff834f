"""The story of the demo: four scenes, and what each must come to."""

from dataclasses import dataclass

from kickoff.errors import ExitCode

USERS = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Zoë")


@dataclass(frozen=True, slots=True)
class Scene:
    """One command, and what must come of it.

    Attributes:
        title: Its heading.
        told: What happens in it.
        code: The exit code that the command must have.
        serves: Number of the scene whose release must serve afterwards.
        change: A text of the service and what takes its place; empty where nothing changes.
        back: Whether it goes back to that release, instead of shipping one.
        faster: Whether its release must answer faster than the one before.
    """

    title: str
    told: str
    code: ExitCode
    serves: int
    change: tuple[str, str] = ("", "")
    back: bool = False
    faster: bool = False


STORY = (
    Scene(
        "A first release",
        "A commit is built, started where nobody sees it, checked, and made public.",
        ExitCode.PASS,
        serves=1,
    ),
    Scene(
        "A better one, while six people use the service",
        "It starts beside the first. A quarter of the requests moves, then all do.",
        ExitCode.PASS,
        serves=2,
        change=("time.sleep(0.03)  # looks the word up, each time", "# the word is known by now"),
        faster=True,
    ),
    Scene(
        "A bad one",
        "Its checks pass: they ask for Ann. One of the six people is called Zoë.",
        ExitCode.ROLLED_BACK,
        serves=2,
        change=("body = greeting(name).encode()", 'body = greeting(name).encode("ascii")'),
    ),
    Scene(
        "Back to the first, because somebody wants it so",
        "It is still there: going back moves the traffic, and builds nothing.",
        ExitCode.PASS,
        serves=1,
        back=True,
    ),
)
