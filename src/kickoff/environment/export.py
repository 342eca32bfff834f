"""Values in the form another program reads back unchanged; pure functions.

What contains no quote, backslash, dollar sign or line break looks the same to python-dotenv, docker
compose and a POSIX shell. Everything else is quoted for the program the format is named after.
"""

import json
import re
import secrets
import shlex
from collections.abc import Callable, Mapping

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def dotenv(values: Mapping[str, str]) -> str:
    """Return ``KEY='value'`` lines for python-dotenv with its default interpolation."""
    return "".join(f"{key}={_for_dotenv(value)}\n" for key, value in values.items())


def compose(values: Mapping[str, str]) -> str:
    """Return ``KEY="value"`` lines for an ``env_file`` of docker compose."""
    return "".join(f"{key}={_for_compose(value)}\n" for key, value in values.items())


def shell(values: Mapping[str, str]) -> str:
    """Return ``export KEY='value'`` lines for a POSIX shell."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())


def github_env(values: Mapping[str, str]) -> str:
    """Return the text to append to ``$GITHUB_ENV``; a random delimiter keeps any value from ending early."""
    delimiter = f"KICKOFF_{secrets.token_hex(16)}"
    return "".join(f"{key}<<{delimiter}\n{value}\n{delimiter}\n" for key, value in values.items())


def json_text(values: Mapping[str, str]) -> str:
    """Return a JSON object."""
    return json.dumps(dict(values), indent=1, ensure_ascii=False) + "\n"


FORMATS: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "dotenv": dotenv,
    "compose": compose,
    "shell": shell,
    "github-env": github_env,
    "json": json_text,
}


def _for_dotenv(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    # Read as text, a carriage return would become a line feed; only between double quotes it has an escape.
    quote = '"' if "\r" in value else "'"
    escaped = value.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    if quote == '"':
        escaped = escaped.replace("\r", "\\r").replace("\n", "\\n")
    # python-dotenv expands ${NAME} between quotes of either kind and knows no escape for it. A reference
    # without a name takes its default, here the dollar sign itself.
    return quote + escaped.replace("${", "${:-$}{") + quote


def _for_compose(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'
