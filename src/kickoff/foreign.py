"""The process environment of programs that are not ours: a commit's tests, checks and packages."""

import os
from collections.abc import Iterable, Mapping

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
