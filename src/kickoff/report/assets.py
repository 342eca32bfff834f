"""The templates, style sheet and script of the pages, and the policy that lets a page load nothing else."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kickoff.report import language, messages


def parts() -> dict[str, str]:
    """Return what every page is rendered with: ``policy``, ``style`` and ``script``."""
    style, script = _asset("page.css"), _asset("page.js")
    return {
        "policy": (
            f"default-src 'none'; style-src 'sha256-{_digest(style)}'; "
            f"script-src 'sha256-{_digest(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
        ),
        "style": Markup(style),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
    }


@cache
def template(name: str) -> Any:  # noqa: ANN401
    """Return a template; what it writes is escaped and cleaned."""
    environment = Environment(
        loader=PackageLoader("kickoff.report"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "say": language.say,
        "told": language.told,
        "named": language.named,
        "language": language.tag,
        "code": lambda text: messages.code(messages.clean(str(text))),
        "prose": lambda text: messages.prose(messages.clean(str(text))),
    }
    return environment.get_template(name)


def _visible(value: object) -> object:
    """Write nothing for ``None``, and no terminal sequences or directional marks."""
    if value is None:
        return ""
    return messages.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _asset(name: str) -> str:
    return files("kickoff.report").joinpath("templates", name).read_text(encoding="utf-8").strip()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
