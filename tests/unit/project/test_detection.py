"""Detection: what a repository holds is what its service is started, built and asked by."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kickoff.project.answers import Step
from kickoff.project.detection import detect

FASTAPI = "from fastapi import FastAPI\napi = FastAPI()\n@api.get('/healthz')\ndef healthz(): ...\n"
MANAGE = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
VENDOR = Step("python3 -m pip install --quiet --target vendor -r requirements.txt", ("vendor",))


def package(**document: Any) -> str:
    return json.dumps(document)


def found(root: Path, files: Mapping[str, str]) -> dict[str, Any]:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=trunk"], cwd=root, check=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return detect(root)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"package.json": package(name="@acme/Shop_Front", scripts={"start": "node server.js"})},
            {"name": "shop-front", "language": "node", "run": "node server.js", "health": "/"},
            id="node start script",
        ),
        pytest.param(
            {
                "package.json": package(
                    scripts={"start": "NODE_ENV=production node .", "build": "next build"}, dependencies={"next": "1"}
                ),
                "pnpm-lock.yaml": "",
            },
            {
                "run": "npm start",
                "build": (
                    Step("pnpm install --frozen-lockfile", ("node_modules",)),
                    Step("pnpm run build", (".next",)),
                ),
            },
            id="node start script for a shell",
        ),
        pytest.param(
            {"package.json": package(scripts={"start": "next start -p $PORT"})},
            {"run": "node_modules/.bin/next start -p {port}"},
            id="program of a package",
        ),
        pytest.param(
            {"package.json": package(main="lib/x.js"), "lib/x.js": "route('/ready'); header('X-Release')"},
            {"run": "node lib/x.js", "health": "/ready", "header": "X-Release"},
            id="node entry file",
        ),
        pytest.param(
            {
                "package.json": package(scripts={"build": "vite build"}, devDependencies={"vite": "1"}),
                "package-lock.json": "{}",
                "index.html": "",
            },
            {
                "language": "static",
                "health": "/",
                "run": "python3 -m http.server {port} --bind 127.0.0.1 --directory dist",
                "build": (Step("npm ci"), Step("npm run build", ("dist",))),
            },
            id="pages that are built",
        ),
        pytest.param(
            {"requirements.txt": "fastapi\n", "shop/web.py": FASTAPI, "tests/web.py": "bad = FastAPI()\n"},
            {
                "language": "python",
                "health": "/healthz",
                "build": (VENDOR,),
                "run": "env PYTHONPATH=vendor python3 -m uvicorn shop.web:api --host 127.0.0.1 --port {port}",
            },
            id="FastAPI",
        ),
        pytest.param(
            {"requirements.txt": "flask\ngunicorn\n", "web.py": "web = Flask(__name__)\n"},
            {"run": "env PYTHONPATH=vendor python3 -m gunicorn web:web --bind 127.0.0.1:{port}"},
            id="Flask under gunicorn",
        ),
        pytest.param(
            {"manage.py": MANAGE, "pyproject.toml": "[project]\nname='Shop'\ndependencies=['gunicorn']\n"},
            {
                "name": "shop",
                "run": "env PYTHONPATH=vendor python3 -m gunicorn shop.wsgi --bind 127.0.0.1:{port}",
                "build": (Step("python3 -m pip install --quiet --target vendor .", ("vendor",)),),
            },
            id="Django",
        ),
        pytest.param(
            {"server.py": "from http.server import HTTPServer\nos.environ['PORT']\n'/health/live' '/health/ready'\n"},
            {"language": "python", "run": "python3 server.py", "health": "/health/live /health/ready"},
            id="a module of its own, with two health paths",
        ),
        pytest.param(
            {"go.mod": "module acme/shop\n", "cmd/shop/main.go": 'package main\nHandle("GET /livez")'},
            {"run": "bin/service", "build": (Step("go build -o bin/service ./cmd/shop", ("bin",)),), "health": "/livez"},
            id="Go",
        ),
        pytest.param(
            {"public/index.html": ""},
            {
                "language": "static",
                "bundle": ("public",),
                "run": "python3 -m http.server {port} --bind 127.0.0.1 --directory public",
            },
            id="a folder of pages",
        ),
        pytest.param(
            {"index.html": "", "css/a.css": "", "configs/environments/staging.env": "", ".hidden": ""},
            {"bundle": ("index.html", "css")},
            id="pages at the top ship no configuration",
        ),
        pytest.param(
            {"Procfile": "release: x\nweb: bundle exec puma -p ${PORT:-3000}\n", "package.json": package(main="x")},
            {"run": "bundle exec puma -p {port}"},
            id="Procfile before the language",
        ),
        pytest.param(
            {"Dockerfile": 'FROM x\nENTRYPOINT ["serve"]\nCMD ["--fast"]\n'},
            {"run": "serve --fast"},
            id="Dockerfile, when nothing else says it",
        ),
    ],
)  # fmt: skip
def test_what_is_there_is_found(tmp_path: Path, files: Mapping[str, str], expected: dict[str, Any]) -> None:
    answers = found(tmp_path, files)
    assert {name: answers.get(name) for name in expected} == expected
    assert answers["default_branch"] == "trunk"


def test_nothing_is_made_up(tmp_path: Path) -> None:
    assert set(found(tmp_path, {"notes.txt": "x"})) == {"name", "default_branch", "health"}


def test_broken_files_say_nothing(tmp_path: Path) -> None:
    answers = found(tmp_path, {"package.json": "{", "pyproject.toml": "[", "app.py": "\x00"})
    assert answers["run"] == "python3 app.py"
