"""Run ``kickoff`` under its locked environment, creating that environment the first time.

A checkout calls :func:`ensure` before it imports anything that is not in the standard library. This
module therefore imports nothing else either, and parses on old interpreters so that it can refuse them
with a sentence instead of a syntax error. What only an installation needs is imported there: every command
starts here, twice where it changes its interpreter.
"""

import importlib.util
import os
import sys

MINIMUM = (3, 11)
# Where pip and uv would install instead, with which interpreter, and which versions instead of the lock's.
_PLACES = (
    "CONDA_PREFIX", "PIP_CONSTRAINT", "PIP_PREFIX", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV", "PIP_ROOT",
    "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "UV_CONSTRAINT", "UV_OVERRIDE",
    "UV_PREFIX", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_VENV_SEED",
    "UV_WORKING_DIR", "VIRTUAL_ENV",
)  # fmt: skip
PACKAGE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(PACKAGE))
# What a wheel does without until a verb asks for it, by a module that only its lock has.
_BESIDE = {"audit": "pip_audit", "notify": "apprise", "performance": "locust"}
# A checkout has the locks at its root; a wheel carries them in the package, for hosts that get its code.
LOCKS = os.path.join(ROOT, "requirements")
IN_CHECKOUT = os.path.isfile(os.path.join(LOCKS, "pipeline.txt"))
if not IN_CHECKOUT:
    LOCKS = os.path.join(PACKAGE, "requirements")
# $0 is not resolved unless it is a link itself: an environment that several checkouts share by a link runs
# the code of the checkout it was reached through.
_LAUNCHER = """#!/bin/sh
# Written by src/kickoff/bootstrap.py: the kickoff of the checkout that this environment stands in.
self=$0
[ ! -L "$self" ] || self=$(readlink -f "$self")
bin=$(dirname "$self")
exec "$bin/python" "$(cd -L "$bin/../.." && pwd -L)/src/kickoff" "$@"
"""


def ensure(purpose: str, program: str = "") -> None:
    """Return at once under an environment that serves ``purpose``; otherwise re-execute under one.

    Args:
        purpose: ``pipeline``, ``performance``, ``audit``, ``notify`` or ``dev``: the lock file's name without
            its suffix; empty when the standard library is enough.
        program: What is executed, with the arguments of this process; by default its script.
    """
    if not purpose or _serves(sys.prefix, purpose):
        return
    # `kickoff deploy` names its own environment: a job's working copy has no .venv.
    ready = [os.environ.get("KICKOFF_VENV", ""), os.path.join(ROOT, ".venv")]
    found = [home for home in ready if home and _serves(home, purpose)]
    home = found[0] if found else create(_cache(purpose), [purpose])
    python = os.path.join(home, "bin", "python")
    os.execv(python, [python, program or sys.argv[0], *sys.argv[1:]])


def has(purpose: str) -> bool:
    """Return whether this interpreter has what an installed copy does not bring along for a purpose."""
    return purpose not in _BESIDE or importlib.util.find_spec(_BESIDE[purpose]) is not None


def create(home: str, purposes: "list[str]") -> str:
    """Create or bring up to date the virtual environment ``home`` from the locks of ``purposes``.

    A stamp with the locks' hash makes this a no-op when nothing changed. The packages are installed by
    uv, itself installed from the pipeline's lock, so every byte is checked against a hash.

    Returns:
        The path of the environment.
    """
    import shutil
    import time

    check_version()
    if _stamp(home) == _wanted(purposes):
        _launcher(home)
        return home
    began = time.monotonic()
    say("preparing " + home + " from requirements/" + ", ".join(p + ".txt" for p in purposes))
    python = os.path.join(home, "bin", "python")
    if not os.path.exists(python):
        _call([sys.executable, "-m", "venv", "--without-pip", home])
    uv = shutil.which("uv", path=os.path.dirname(python))
    if uv is None:
        say("  installing uv, which installs the rest")
        pip = [*_pip(python), "install", "--no-user", "--quiet", "--require-hashes", "--no-deps"]
        _call([*pip, "-r", _uv_lock(home)])
        uv = os.path.join(home, "bin", "uv")
        if not os.path.exists(uv):
            say("error: pip installed uv somewhere else than in " + home)
            say("hint: take target, prefix and root out of the files that `pip config debug` lists")
            sys.exit(2)
    say("  installing " + str(_packages(purposes)) + " packages; the first time they are downloaded")
    command = [uv, "pip", "sync", "--quiet", "--system-certs", "--require-hashes", "--python", python]
    _call([*command, *(_lock(p) for p in purposes)])
    with open(_stamp_file(home), "w", encoding="utf-8") as stream:
        stream.write(_wanted(purposes))
    say("  ready after " + str(round(time.monotonic() - began)) + " s")
    _launcher(home)
    return home


def installing(environ: "dict[str, str]") -> "dict[str, str]":
    """Return the environment to install packages in: the way to the index is the caller's, the place is ours.

    Args:
        environ: The caller's environment, whose choices of a place, an interpreter or versions are left out.
    """
    return {name: value for name, value in environ.items() if name not in _PLACES}


def say(message: str) -> None:
    """Print a message to standard error, where it cannot mix with a command's data."""
    sys.stderr.write(message + "\n")


def check_version() -> None:
    """End the process with a sentence when the interpreter is too old."""
    if sys.version_info[:2] < MINIMUM:
        found = ".".join(str(part) for part in sys.version_info[:3])
        say("error: Python " + found + " is too old: Kickoff needs Python 3.11 or newer")
        say("hint: install Python 3.11+ and run again, e.g. `make deploy PYTHON=python3.12`")
        sys.exit(2)


def _launcher(home: str) -> None:
    """Put ``kickoff`` into the environment of this checkout; the others are started by its own code."""
    path = os.path.join(home, "bin", "kickoff")
    if os.path.dirname(os.path.abspath(home)) != ROOT or os.path.exists(path):
        return
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(_LAUNCHER)
    os.chmod(path + ".new", 0o755)
    os.replace(path + ".new", path)
    say("`. " + os.path.relpath(home) + "/bin/activate` puts kickoff on the PATH of this shell")


def _lock(purpose: str) -> str:
    return os.path.join(LOCKS, purpose + ".txt")


def _packages(purposes: "list[str]") -> int:
    names = set()
    for purpose in purposes:
        with open(_lock(purpose), encoding="utf-8") as stream:
            names |= {line.split("==")[0] for line in stream if "==" in line and line[0] not in " #"}
    return len(names)


def _wanted(purposes: "list[str]") -> str:
    import hashlib

    digest = hashlib.sha256(("%d.%d" % sys.version_info[:2]).encode())  # noqa: UP031
    for purpose in purposes:
        with open(_lock(purpose), "rb") as stream:
            digest.update(purpose.encode() + stream.read())
    return " ".join(purposes) + " " + digest.hexdigest()


def _stamp_file(home: str) -> str:
    return os.path.join(home, "kickoff-locks")


def _stamp(home: str) -> str:
    try:
        with open(_stamp_file(home), encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


def _serves(home: str, purpose: str) -> bool:
    # The contributor's lock is the superset of all the others.
    names = _stamp(home).split()[:-1]
    return purpose in names or "dev" in names


def _cache(purpose: str) -> str:
    base = os.environ.get("RUNNER_TOOL_CACHE") or os.environ.get("XDG_CACHE_HOME")
    base = base or os.path.join(os.path.expanduser("~"), ".cache")
    if base.startswith("~"):
        say("error: user " + str(os.getuid()) + " has no home: HOME is not set, and the system knows none")
        say("hint: set HOME or XDG_CACHE_HOME")
        sys.exit(2)
    return os.path.join(base, "kickoff", purpose + "-" + _wanted([purpose]).split()[-1][:16])


def _pip(python: str) -> "list[str]":
    """Return a pip for the environment of ``python``; one of its own takes seconds, and is removed again."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", python]
    _call([python, "-m", "ensurepip"])
    return [python, "-m", "pip"]


def _uv_lock(home: str) -> str:
    with open(_lock("pipeline"), encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("uv=="))
    end = start
    while lines[end].endswith("\\"):
        end += 1
    path = os.path.join(home, "uv.txt")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines[start : end + 1]) + "\n")
    return path


def _call(command: "list[str]") -> None:
    import subprocess

    done = subprocess.run(command, stdout=sys.stderr, env=installing(dict(os.environ)), check=False)
    if done.returncode != 0:
        say("error: `" + " ".join(command[:6]) + " ...` failed with exit code " + str(done.returncode))
        say("hint: the message above says why; a half-made environment is repaired by running again")
        sys.exit(4)


if __name__ == "__main__":
    create(sys.argv[1], sys.argv[2:])
