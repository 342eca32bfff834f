"""Programs that are not ours, such as a commit's tests: where they are, and what environment they get."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from kickoff import bootstrap

# What a program needs to run at all, to reach the network and to reach the Docker engine of this machine.
PASSED = frozenset({
    "BUILDX_BUILDER", "CI", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_HOST", "HOME", "HTTPS_PROXY",
    "HTTP_PROXY", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "NO_PROXY", "PATH",
    "REQUESTS_CA_BUNDLE", "RUNNER_TEMP", "RUNNER_TOOL_CACHE", "SHELL", "SSH_AUTH_SOCK", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME", "http_proxy", "https_proxy",
    "no_proxy",
})  # fmt: skip
INSTALLERS = ("PIP_", "UV_")
"""What the variables of pip and uv begin with."""


def environment(keys: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what such a program is given: no secret, no token and no command file but what is named.

    A list of what may pass, because nobody can list all that must not.

    Args:
        keys: Variables that it is given as well.
        environ: Where they come from; the process environment by default.
    """
    given = os.environ if environ is None else environ
    return {name: given[name] for name in sorted(PASSED | set(keys)) if name in given}


def installing(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what an installer of packages is given: the way to the index, too; packages may run code."""
    given = os.environ if environ is None else environ
    return bootstrap.installing(environment((name for name in given if name.startswith(INSTALLERS)), given))


def fingerprints(keys: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a hash for each of these variables that is set.

    It takes long to make: nobody shall find a secret by trying.
    """
    given = os.environ if environ is None else environ
    return {
        name: hashlib.scrypt(
            given[name].encode(errors="surrogateescape"), salt=name.encode(), n=2**14, r=8, p=1
        ).hex()
        for name in keys
        if name in given
    }


def program(name: str, folder: Path, environ: Mapping[str, str]) -> str | None:
    """Return the path of such a program: with a slash in its name, a file of ``folder``; else on its PATH."""
    if "/" not in name:
        return shutil.which(name, path=environ.get("PATH", os.defpath))
    file = folder / name
    return str(file) if file.is_file() and os.access(file, os.X_OK) else None
