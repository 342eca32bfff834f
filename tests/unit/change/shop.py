"""A small project in a repository, with something of everything that a change may touch."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.repository import Repository

DESCRIPTION = """name: shop
run: [python, -m, shop, --port, "{port}"]
health: /ready
bundle: [shop, requirements.txt]
required_checks: [smoke-candidate, perf-baseline]
smoke:
  - {name: orders, path: /orders, expect: {open: true}}
migrations: migrations
openapi: openapi.json
environments:
  development: {}
  staging: {branch: main}
  production: {tag: "v*", after: staging}
"""
COMPOSE = """name: shop-${APP_ENV}
services:
  web: {extends: {file: configs/compose/common.yml, service: web}}
  redis:
    image: redis:7.2
    volumes: ["./configs/redis/redis.conf:/etc/redis.conf:ro"]
networks: {front: {}}
"""
COMMON = "services: {web: {image: shop, ports: ['80']}}\n"
INTERFACE = {
    "openapi": "3.1.0",
    "info": {"title": "shop", "version": "1.0.0"},
    "paths": {"/orders": {"get": {"responses": {"200": {}}}, "delete": {"responses": {"204": {}}}}},
}
FILES: Mapping[str, str] = {
    "kickoff.yml": DESCRIPTION,
    "shop/__init__.py": "OPEN = True\n",
    "requirements.txt": "flask==3.0.0 \\\n    --hash=sha256:00\nredis==5.0.0 \\\n    --hash=sha256:00\n",
    "Dockerfile": "FROM scratch\n",
    "docker-compose.production.yml": COMPOSE,
    "configs/compose/common.yml": COMMON,
    "configs/redis/redis.conf": "maxmemory 1gb\n",
    "configs/environments/development.env": "PUBLIC_PORT=8000\nDEPLOY_TARGET=local\n",
    "configs/environments/staging.env": "PUBLIC_PORT=8100\nDEPLOY_TARGET=local\n",
    "configs/environments/production.env": "PUBLIC_PORT=8200\nDEPLOY_TARGET=compose\n",
    "migrations/0001_orders.sql": "CREATE TABLE orders (id INTEGER);\n",
    "openapi.json": json.dumps(INTERFACE),
    ".github/workflows/ci.yml": "name: ci\n",
    "docs/index.md": "# Shop\n",
}


class Shop(Repository):
    """The project, whose first commit is on ``main``; a change is made on the branch ``topic``."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for name, text in FILES.items():
            self.write(name, text)
        self.main = self.commit("Begin")

    def change(self, edits: Mapping[str, str | None]) -> str:
        """Commit edits on the branch, ``None`` removing a file; return the commit."""
        self.git("checkout", "--quiet", "-B", "topic")
        for name, text in edits.items():
            if text is None:
                (self.root / name).unlink()
            else:
                self.write(name, text)
        return self.commit("Change")

    def merge(self) -> None:
        """Check out what GitHub does for a pull request: the merge of the branch into what main is by now."""
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--message=Merge", "topic")

    def edited(self, name: str, old: str, new: str) -> dict[str, str | None]:
        """Return the edit that replaces a text in a file of the project."""
        text = FILES[name]
        assert old in text, f"{name} has no {old}"
        return {name: text.replace(old, new)}
