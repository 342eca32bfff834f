"""The demo as it is played: each scene's command runs, users are counted, and both are held to the story."""

import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

from kickoff.demo.place import ENVIRONMENT, Place
from kickoff.demo.screen import Screen
from kickoff.demo.story import STORY, USERS, Scene
from kickoff.demo.users import Answer, Users
from kickoff.errors import ExitCode, KickoffError
from kickoff.process_group import handling
from kickoff.report.terminal import closing_block

REPORT = "report.html"
_AFTERWARDS = 2.0
"""Seconds in which the users are counted on after a command has ended."""
_LOG_LINES = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What the users saw of one scene.

    Attributes:
        release: The release that the command was about.
        code: The exit code of the command.
        answers: All answers in it.
        afterwards: Those to requests that were sent after the command had ended.
    """

    release: str
    code: int
    answers: Sequence[Answer]
    afterwards: Sequence[Answer]

    @property
    def failed(self) -> list[Answer]:
        """The answers that were wrong, or did not come."""
        return [answer for answer in self.answers if not answer.ok]

    def usual(self, release: str) -> float:
        """Return the median time of a release's right answers, in milliseconds; not a number without any."""
        times = [one.milliseconds for one in self.answers if one.ok and one.release == release]
        return median(times) if times else nan


class Play:
    """One performance.

    Args:
        place: Where it is played.
        screen: Where it is told.

    Attributes:
        seen: What the users saw of the scenes so far.
        report: The page of the release that was taken back.
    """

    def __init__(self, place: Place, screen: Screen) -> None:
        self.seen: list[Seen] = []
        self.report = Path()
        self._place, self._screen = place, screen
        self._users: Users | None = None

    def all(self) -> None:
        """Play all scenes; nothing that was started runs afterwards, however they end.

        Raises:
            KickoffError: One did not go as the story says (exit 1).
        """
        self._screen.say("Four releases of a small service, in a folder and on a port of their own:", "bold")
        self._screen.say(f"{self._place.root}, {self._place.address}", "dim")
        try:
            for number, scene in enumerate(STORY, 1):
                self._screen.say(f"\n{number}. {scene.title}", "bold")
                self._scene(scene)
        finally:
            with handling(lambda *_: None):
                self._end()

    def _scene(self, scene: Scene) -> None:
        began = time.monotonic()
        self._screen.say(f"   {scene.told}")
        if not scene.back:
            self._change(scene)
        words = self._words(scene)
        self._screen.say(f"   $ kickoff {shlex.join(words)}", "cyan")
        code, document = self._place.kickoff(*words, tell=self._tell)
        self._screen.say(_block(document))
        if code != scene.code:
            raise _otherwise(scene, f"the verb {words[0]} ended with {code}, and {scene.code:d} was expected")
        if code == ExitCode.ROLLED_BACK:
            self.report = Path(document["report"])
        self._users = self._users or Users(self._place.address, USERS)
        ended = time.monotonic()
        while (passed := time.monotonic() - ended) < _AFTERWARDS:
            self._tell(f"users go on for {_AFTERWARDS - passed:.0f} s")
            time.sleep(0.25)
        answers = self._users.since(began)
        later = [one for one in answers if one.began > ended]
        self.seen.append(Seen(document["release"], code, answers, later))
        self._screen.say(_figures(scene, self.seen), "bold")
        if problem := next(problems(scene, self.seen), ""):
            raise _otherwise(scene, problem)

    def _change(self, scene: Scene) -> None:
        old, new = scene.change
        if old:
            self._place.change(old, new)
            self._screen.say(f"   - {old}\n   + {new}")
        self._place.commit(scene.title)

    def _words(self, scene: Scene) -> tuple[str, ...]:
        if not scene.back:
            return ("release", "--env", ENVIRONMENT)
        return ("rollback", "--env", ENVIRONMENT, "--to", self.seen[scene.serves - 1].release)

    def _tell(self, what: str) -> None:
        answers = self._users.since(0) if self._users else []
        failed = sum(not one.ok for one in answers)
        self._screen.now(f"   {what:<24} {len(answers):,} requests so far, {failed} failed")

    def _end(self) -> None:
        try:
            self._screen.now("   stopping the users, the service and its proxy")
            if self._users is not None:
                self._users.leave()
        finally:
            self._place.stop()
        self._screen.clear()


def problems(scene: Scene, seen: Sequence[Seen]) -> Iterator[str]:
    """Yield what went otherwise than the story says in the last of the scenes that were seen."""
    this, serves = seen[-1], seen[scene.serves - 1].release
    if not this.afterwards:
        yield "no request was answered after the command had ended"
    if others := {one.release or "nobody" for one in this.afterwards} - {serves}:
        yield f"{', '.join(sorted(others))} answered afterwards, and {serves} was expected"
    if failed := [one for one in this.afterwards if not one.ok]:
        yield f"{len(failed)} of {len(this.afterwards)} requests failed after the command had ended"
    excused = {this.release} if scene.code == ExitCode.ROLLED_BACK else set()
    if failed := [one for one in this.failed if one.release not in excused]:
        yield f"{len(failed)} of {len(this.answers)} requests failed, and none was expected to"
    if scene.faster and not this.usual(this.release) < this.usual(seen[-2].release):
        yield f"{this.release} was not seen to answer faster than {seen[-2].release}"


def play(screen: Screen, *, keep: bool) -> dict[str, Any]:
    """Play the demo and return its document.

    Args:
        screen: Where it is told.
        keep: Leave the whole folder there, not the report alone.

    Raises:
        KickoffError: It did not go as the story says (exit 1); the folder is kept, and named.
        KeyboardInterrupt: Somebody asked to stop; everything is stopped, and the folder removed.
    """
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="kickoff-demo-"))
    try:
        with handling(signal.default_int_handler):
            one = Play(Place(folder), screen)
            one.all()
            screen.say()
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        screen.say()
        raise
    except KickoffError as error:
        if error.hint:  # it could not even begin, and the fix is elsewhere
            shutil.rmtree(folder)
        else:
            error.hint = f"{folder} is kept: `log` in there has all that the commands said"
        raise
    shutil.copyfile(one.report, folder / REPORT)
    if not keep:
        _remove_all_but(folder / REPORT)
    return _document(one.seen, time.monotonic() - began, folder / REPORT)


def verdict(document: dict[str, Any]) -> str:
    """Return the block that the demo ends with."""
    bad = [scene for scene in document["scenes"] if scene["exit_code"] == ExitCode.ROLLED_BACK]
    hurt = sum(scene["failed"] for scene in bad)
    return "\n".join(
        [
            f"✓ DEMO  {len(document['scenes'])} scenes, all as the story says   {document['seconds']:.0f} s",
            f"  users     {document['requests']:,} requests, {document['failed']} failed: "
            f"{hurt} at the bad release, {document['failed'] - hurt} at the others",
            "  stopped   the service, its proxy and its users; their port is free again",
            f"  report    {document['report']} (the bad release)",
            "  next      kickoff init",
            "            in a repository of your own: it describes the service that is there",
        ]
    )


def _document(seen: Sequence[Seen], seconds: float, report: Path) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1),
        "requests": sum(len(one.answers) for one in seen),
        "failed": sum(len(one.failed) for one in seen),
        "scenes": [
            {
                "title": scene.title,
                "exit_code": one.code,
                "release": one.release,
                "serves": one.afterwards[-1].release,
                "requests": len(one.answers),
                "failed": len(one.failed),
            }
            for scene, one in zip(STORY, seen, strict=True)
        ],
        "report": str(report),
    }


def _block(document: dict[str, Any]) -> str:
    """Return how a command ended, as it says it itself, without what leads on into the demo's own folder."""
    if "headline" not in document:
        return f"{'✗' if document['exit_code'] else '✓'} {document['summary']}"
    tail = document["log_tail"][-_LOG_LINES:]
    return closing_block({**document, "log_tail": tail, "report": "", "next": "", "undo": "", "address": ""})


def _figures(scene: Scene, seen: Sequence[Seen]) -> str:
    this = seen[-1]
    text = f"   The {len(USERS)} people: {len(this.answers):,} requests, {len(this.failed)} failed"
    if this.failed:
        times = [one.at for one in this.failed]
        text += f" within {max(times) - min(times):.1f} s; none of the last {len(this.afterwards)}"
    if scene.faster:
        before, now = this.usual(seen[-2].release), this.usual(this.release)
        text += f"; {before:.0f} ms before, {now:.0f} ms now"
    return f"{text}."


def _otherwise(scene: Scene, problem: str) -> KickoffError:
    return KickoffError(f"{scene.title}: {problem}", code=ExitCode.REJECTED)


def _remove_all_but(kept: Path) -> None:
    for path in kept.parent.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != kept:
            path.unlink()
