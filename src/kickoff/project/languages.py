"""What each language says about starting and building a service; pure functions of the repository's files."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from kickoff.project.answers import Step
from kickoff.project.files import Files

Found = Mapping[str, Any]
_SHELL = re.compile(r"[&|;<>`$()*?]|\bcd\b|^\w+=")
_PORT = re.compile(r"\$\{PORT(?::-\d+)?\}|\$PORT\b")
# Lock file, command that installs by it, command that runs a script.
_MANAGERS = (
    ("package-lock.json", "npm ci", "npm run"),
    ("npm-shrinkwrap.json", "npm ci", "npm run"),
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm run"),
    ("yarn.lock", "yarn install --frozen-lockfile", "yarn run"),
)
# What a build script's tool is called, and where it leaves its result.
_BUILT = (("next", ".next"), ("react-scripts", "build"), ("nuxt", ".output"), ("svelte-kit", "build"))
_PAGES = ("dist", "build", "public", "static", "site", "_site", "")
_NO_PAGES = {"configs", "kickoff.yml", "Dockerfile", "Makefile", "package.json", "README.md"}
_FOLDER = "vendor"
"""Where a Python service's packages are installed for the artefact."""


def with_port(command: str) -> str:
    """Return a command with Kickoff's placeholder where it uses a shell's ``$PORT``."""
    return _PORT.sub("{port}", command)


def node(files: Files) -> Found:
    """Return how a Node service is started and built; a folder of pages when it has no start script."""
    package = files.json("package.json")
    if not package:
        return {}
    scripts = {str(k): str(v) for k, v in package.get("scripts", {}).items()}
    steps, output = _node_build(files, package, scripts)
    manager = _manager(files)
    entries = [
        str(package.get("main", "")),
        "server.js",
        "index.js",
        "app.js",
        "src/index.js",
        "src/server.js",
    ]
    entry = next((name for name in entries if name and name in files.names), "")
    gate = f"node --check {entry}" if entry else ""
    if "test" in scripts and "no test specified" not in scripts["test"]:
        install = f"{manager[1]} && " if steps and manager[1] in [step.run for step in steps] else ""
        gate = f"sh -c '{install}npm test'" if install else "npm test"
    found: dict[str, Any] = {"language": "node", "build": steps, "gate": gate}
    start = scripts.get("start", "")
    if start:
        found["run"] = "npm start" if _SHELL.search(_PORT.sub("", start)) else with_port(start)
        if found["run"].split()[0] in ("next", "nuxt", "vite", "tsx", "ts-node", "serve"):
            found["run"] = f"node_modules/.bin/{found['run']}"
    elif entry:
        found["run"] = f"node {entry}"
    elif output:
        gate = gate or f"sh -c '{' && '.join(step.run for step in steps)}'"
        return {"language": "static", "build": steps, "gate": gate, "run": serve_folder(output)}
    return found


def _node_build(
    files: Files, package: Mapping[str, Any], scripts: Mapping[str, str]
) -> tuple[tuple[Step, ...], str]:
    """Return the steps of the build, and the folder that its script fills."""
    _, install, script = _manager(files)
    needed = bool(package.get("dependencies"))
    steps = []
    if needed or package.get("devDependencies"):
        steps.append(Step(install, ("node_modules",) if needed else ()))
    output = ""
    if "build" in scripts:
        output = next((where for tool, where in _BUILT if tool in scripts["build"]), "dist")
        steps.append(Step(f"{script} build", (output,)))
    return tuple(steps), output


def _manager(files: Files) -> tuple[str, str, str]:
    return next((one for one in _MANAGERS if one[0] in files.names), ("", "npm install", "npm run"))


def python(files: Files) -> Found:
    """Return how a Python service is started and built: Django, FastAPI, Flask, or a module of its own."""
    project = files.toml("pyproject.toml").get("project", {})
    required = files.text("requirements.txt")
    sources = [name for name in files.names if name.endswith(".py") and not _is_test(name)]
    if not (sources and (project or required or "manage.py" in files.names or _entry(sources))):
        return {}
    wanted = "\n".join([required, *map(str, project.get("dependencies", []))]).lower()
    build: tuple[Step, ...] = ()
    if re.search(r"^\s*[a-z]", wanted, re.MULTILINE):
        what = "-r requirements.txt" if required else "."
        build = (Step(f"python3 -m pip install --quiet --target {_FOLDER} {what}", (_FOLDER,)),)
    start = _python_start(files, sources, wanted)
    found: dict[str, Any] = {"language": "python", "build": build, "gate": _python_gate(files, bool(build))}
    if start:
        found["run"] = f"env PYTHONPATH={_FOLDER} {start}" if build else start
    return found


def _python_gate(files: Files, installs: bool) -> str:
    """Return the command of the tests; without any, one that reads every source."""
    tests = [name for name in files.names if name.endswith(".py") and _is_test(name)]
    if not tests:
        return "python3 -m compileall -q ."
    lists = [
        name
        for name in ("requirements.txt", "requirements-dev.txt", "dev-requirements.txt")
        if name in files.names
    ]
    pytest = any("pytest" in files.text(name) for name in (*lists, "pyproject.toml", *tests))
    run = "python3 -m pytest -q" if pytest else "python3 -m unittest discover"
    if not (installs or pytest):
        return run
    what = " ".join(f"-r {name}" for name in lists) or "."
    wanted = " pytest" if pytest and not any("pytest" in files.text(name) for name in lists) else ""
    folder = "--target .gate"
    return f"sh -c 'python3 -m pip install --quiet {folder} {what}{wanted} && PYTHONPATH=.gate {run}'"


def _python_start(files: Files, sources: list[str], wanted: str) -> str:
    gunicorn = "gunicorn" in wanted
    if "manage.py" in files.names:
        named = re.search(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)\.settings", files.text("manage.py"))
        if gunicorn and named:
            return f"python3 -m gunicorn {named[1]}.wsgi --bind 127.0.0.1:{{port}}"
        return "python3 manage.py runserver --noreload 127.0.0.1:{port}"
    for name in sources:
        made = re.search(r"^(\w+)\s*(?::\s*\w+\s*)?=\s*(FastAPI|Starlette|Flask)\(", files.text(name), re.M)
        if made is None:
            continue
        module = ".".join(PurePosixPath(name).with_suffix("").parts).removesuffix(".__init__")
        if made[2] != "Flask":
            return f"python3 -m uvicorn {module}:{made[1]} --host 127.0.0.1 --port {{port}}"
        if gunicorn:
            return f"python3 -m gunicorn {module}:{made[1]} --bind 127.0.0.1:{{port}}"
        return f"python3 -m flask --app {module}:{made[1]} run --port {{port}}"
    entry = _entry(sources)
    text = files.text(entry)
    takes_port = "--port" in text and "arg" in text
    return f"python3 {entry}{' --port {port}' if takes_port else ''}" if entry else ""


def _entry(sources: list[str]) -> str:
    return next((name for name in ("server.py", "app.py", "main.py", "serve.py") if name in sources), "")


def _is_test(name: str) -> bool:
    return name.startswith("tests/") or "/tests/" in name or PurePosixPath(name).name.startswith("test_")


def go(files: Files) -> Found:
    """Return how a Go service is built and started: the command at the top, or the first below ``cmd``."""
    module = re.search(r"^module\s+(\S+)", files.text("go.mod"), re.MULTILINE)
    if module is None:
        return {}
    mains = [
        str(PurePosixPath(name).parent)
        for name in files.names
        if name.endswith(".go") and re.search(r"^package main\b", files.text(name), re.MULTILINE)
    ]
    package = (
        "." if "." in mains or not mains else f"./{sorted(mains, key=lambda m: (m[:4] != 'cmd/', m))[0]}"
    )
    return {
        "language": "go",
        "build": (Step(f"go build -o bin/service {package}", ("bin",)),),
        "run": "bin/service",
        "gate": "go test ./...",
    }


def static(files: Files) -> Found:
    """Return how a folder of pages is served."""
    folder = next((one for one in _PAGES if str(PurePosixPath(one, "index.html")) in files.names), None)
    if folder is None:
        return {}
    # Served from the top, whatever is shipped could be fetched: so these files of now, and no configuration.
    top = dict.fromkeys(name.partition("/")[0] for name in files.names if not name.startswith("."))
    shipped = [folder] if folder else [name for name in top if name not in _NO_PAGES]
    gate = f"test -s {PurePosixPath(folder, 'index.html')}"
    return {"language": "static", "bundle": tuple(shipped), "gate": gate, "run": serve_folder(folder or ".")}


def serve_folder(folder: str) -> str:
    """Return a command that serves a folder's files."""
    return f"python3 -m http.server {{port}} --bind 127.0.0.1 --directory {folder}"
