"""The language that people read a report in: English is the source, a catalogue holds each other one.

Everything is English until :func:`using` says otherwise, and so is all that programs read.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from kickoff.report.recorded import NUMBERS, RECORDED, RULES, WORDS

ENGLISH = "en"
VARIABLE = "KICKOFF_LANG"
"""Names the language without ``--lang``; a run hands it to its steps, whose locale is not the reader's."""
_LOCALES = (VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")
_STRING = re.compile(r'^(?:(msgid|msgid_plural|msgstr(?:\[0\])?)\s+)?(".*")$')
_FIELD = re.compile(r"\{(\w+)\}")
_FOLDER = Path(__file__).parent / "locale"
_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


class Entry(NamedTuple):
    """One message of a catalogue: the source, its plural where it has one, the translation, and doubts."""

    source: str
    plural: str
    text: str
    fuzzy: bool


def languages() -> tuple[str, ...]:
    """Return the languages that there is a catalogue of, and English."""
    return (ENGLISH, *sorted(path.stem for path in _FOLDER.glob("*.po")))


def chosen(environ: Mapping[str, str]) -> str:
    """Return the language of the first variable that is set; English where there is no catalogue of it."""
    wanted = next((environ[name] for name in _LOCALES if environ.get(name)), "")
    return matching(wanted) or ENGLISH


def matching(wanted: str) -> str:
    """Return the language that a locale such as ``zh_CN.UTF-8`` or ``zh-Hans-CN`` asks for; empty for none.

    Mainland's and Singapore's Chinese are written in the same characters, Taiwan's and Hong Kong's are not.
    """
    name = wanted.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    if name in ("zh", "zh_cn", "zh_sg") or name.startswith("zh_hans"):
        return "zh_CN"
    return ENGLISH if name in ("c", "posix", "en") or name.startswith("en_") else ""


@contextmanager
def using(language: str) -> Iterator[None]:
    """Say everything in a language inside the block."""
    before = _current.set(language)
    try:
        yield
    finally:
        _current.reset(before)


def current() -> str:
    """Return the language in use."""
    return _current.get()


def tag() -> str:
    """Return the language in use as a page names it: ``zh-CN``."""
    return current().replace("_", "-")


def say(source: str, /, **values: object) -> str:
    """Return a message in the language in use, with its values filled in."""
    text = _catalogue(current()).get(source) or source
    return text.format(**values) if values else text


def marked(source: str) -> str:
    """Return a message as it is: a constant that :func:`say` is given later."""
    return source


def counted(one: str, several: str, amount: int) -> str:
    """Return one of two messages by an ``amount``, its value; a catalogue has one form of both."""
    text = _catalogue(current()).get(one) or (one if amount == 1 else several)
    return text.format(amount=amount)


def headings(*sources: str) -> tuple[str, ...]:
    """Return messages without values, such as the heads of a table's columns."""
    return tuple(say(source) for source in sources)


def stage(name: str) -> str:
    """Return a stage by the name that commands and files know, with its title where the reader needs one."""
    if current() == ENGLISH:
        return name
    from kickoff.evidence.stages import STAGES  # noqa: PLC0415 - what speaks English does not pay for it

    return next((f"{name} {say(one.title)}" for one in STAGES if one.name == name), name)


def told(text: str) -> str:
    """Return what evidence recorded in the language in use where it is a known phrase, as it is elsewhere."""
    if current() == ENGLISH or not text:
        return text
    if text in _catalogue(current()):
        return say(text)
    for pattern, source in _patterns():
        if found := pattern.fullmatch(text):
            return say(source, **{name: told(value) for name, value in found.groupdict().items()})
    return text


def named(text: str, rule: str = "") -> str:
    """Return what a rule is called in the language in use, by its id where it is known.

    A rule that the service or a file has named keeps its name, even where that is a word of ours.
    """
    known = RULES.get(rule, ()) if rule else [phrase for phrases in RULES.values() for phrase in phrases]
    return told(text) if any(_pattern(phrase).fullmatch(text) for phrase in known) else text


def entries(text: str) -> Iterator[Entry]:
    """Yield the messages of a catalogue in the format of GNU gettext, without its header."""
    for block in text.split("\n\n"):
        parts: dict[str, str] = {}
        key = ""
        for row in block.splitlines():
            if found := _STRING.match(row):
                key = found[1] or key
                parts[key] = parts.get(key, "") + json.loads(found[2])
        if parts.get("msgid"):
            translated = parts.get("msgstr", parts.get("msgstr[0]", ""))
            yield Entry(
                parts["msgid"], parts.get("msgid_plural", ""), translated, "\n#, fuzzy" in f"\n{block}"
            )


@functools.cache
def _catalogue(language: str) -> Mapping[str, str]:
    if language == ENGLISH:
        return {}
    text = (_FOLDER / f"{language}.po").read_text(encoding="utf-8")
    return {entry.source: entry.text for entry in entries(text) if entry.text and not entry.fuzzy}


@functools.cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return how the recorded phrases with values look, the one with the most words of its own first."""
    found = sorted((one for one in RECORDED if "{" in one), key=lambda one: -len(_FIELD.sub("", one)))
    return tuple((_pattern(source), source) for source in found)


@functools.cache
def _pattern(source: str) -> re.Pattern[str]:
    pieces = _FIELD.split(source)
    return re.compile("".join(_value(one) if at % 2 else re.escape(one) for at, one in enumerate(pieces)))


def _value(name: str) -> str:
    what = r"[\d.,]+" if name in NUMBERS else r"\S+" if name in WORDS else ".+?"
    return f"(?P<{name}>{what})"
