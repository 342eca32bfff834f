"""Secrets of an environment in a file that sops encrypted: ``configs/environments/<name>.secrets.json``.

The file is JSON and not dotenv, because sops loses backslashes in dotenv files.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from kickoff import github
from kickoff.environment import secret_detection
from kickoff.environment.expansion import ExpansionError
from kickoff.environment.findings import Finding
from kickoff.environment.reading import read_once
from kickoff.environment.schema import FOLDER, Schema

SUFFIX = ".secrets.json"
_METADATA = "sops"
_ENCRYPTED = "ENC["
_LONGEST = 1_000_000
_PATIENCE_SECONDS = 60  # a key may be kept by a cloud service


class Sealed:
    """The encrypted secrets of one environment, decrypted when the first one is asked for.

    Args:
        root: The project's folder.
        name: The environment.
        environ: The process environment, in which sops finds its key.
    """

    def __init__(self, root: Path, name: str, environ: Mapping[str, str]) -> None:
        self.file = str(FOLDER / f"{name}{SUFFIX}")
        self._path = root / self.file
        self._environ = environ

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the secrets in the file, as far as it can be read; decrypts nothing."""
        document = self._document if isinstance(self._document, dict) else {}
        return frozenset(key for key, value in document.items() if key != _METADATA and value != "")

    def findings(self, schema: Schema) -> list[Finding]:
        """Return what is wrong with the file; decrypts nothing. No value is ever part of it."""
        if isinstance(self._document, str):
            return [self._finding("", "sealed-file", self._document, "encrypt it anew with sops, as JSON")]
        if self._document is None:
            return []
        found = []
        encrypt = f"revoke the secret, write the new one and run `sops encrypt --in-place {self.file}`"
        if not isinstance(self._document.get(_METADATA), dict):
            found.append(self._finding("", "sealed-file", "the file is not encrypted by sops", encrypt))
        for key, value in self._document.items():
            if key == _METADATA:
                continue
            shown = key if secret_detection.is_name(key) else "a key"
            if key not in schema.keys or not schema.keys[key].secret:
                message, fix = f"{shown} is no secret of the schema", "remove it with `sops edit`"
            elif not isinstance(value, str) or (value and not value.startswith(_ENCRYPTED)):
                message, fix = f"{key} is not encrypted", encrypt
            else:
                continue
            found.append(self._finding(key, "sealed-file", message, fix))
        return found

    def lookup(self, key: str) -> str | None:
        """Return the secret ``key``; ``None`` when the file does not hold it.

        Raises:
            ExpansionError: sops cannot decrypt the file.
        """
        if key not in self.names:
            return None
        if isinstance(self._values, ExpansionError):
            raise self._values
        return self._values.get(key) or None

    @cached_property
    def _document(self) -> dict[str, object] | str | None:
        try:
            data = read_once(self._path, _LONGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"the file cannot be read: {error.strerror}"
        if len(data) > _LONGEST:
            return "the file is longer than a megabyte"
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return "the file is not JSON"
        return document if isinstance(document, dict) else "the file is no JSON object"

    @cached_property
    def _values(self) -> Mapping[str, str] | ExpansionError:
        # The interpreter's own folder first: tools of a virtual environment that is not activated.
        places = f"{Path(sys.executable).parent}{os.pathsep}{self._environ.get('PATH', os.defpath)}"
        sops = shutil.which("sops", path=places)
        if sops is None:
            message = f"sops is not installed, and {self.file} needs it"
            return ExpansionError("secret-source", message, "install sops, or give the secret another way")
        try:
            done = subprocess.run(
                [sops, "decrypt", "--output-type", "json", str(self._path)],
                env=github.child_environment(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
            document = json.loads(done.stdout) if done.returncode == 0 else None
        except (subprocess.TimeoutExpired, ValueError):
            document = None
        if isinstance(document, dict) and all(isinstance(value, str) for value in document.values()):
            return document
        # What sops prints is left out: nobody can promise that it never quotes a value.
        return ExpansionError(
            "secret-source",
            f"sops cannot decrypt {self.file}",
            f"give sops its key, e.g. SOPS_AGE_KEY_FILE; `sops decrypt {self.file} >/dev/null` says more",
        )

    def _finding(self, key: str, rule: str, message: str, fix: str) -> Finding:
        line, column = 1, 1
        if key:
            text = read_once(self._path, _LONGEST).decode(errors="replace")
            at = max(text.find(json.dumps(key)), 0)
            line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        return Finding(
            self.file, line, column, rule, key if secret_detection.is_name(key) else "", message, fix
        )
