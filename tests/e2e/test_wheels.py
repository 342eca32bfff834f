"""The image is built from wheels alone, so each locked dependency needs one for every platform of the image."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_dependency_of_the_image_has_a_wheel_for_musl(machine: str, tmp_path: Path) -> None:
    uv = [
        str(Path(sys.executable).parent / "uv"),
        "pip",
        "install",
        "--dry-run",
        "--no-deps",
        "--require-hashes",
    ]
    where = [
        "--only-binary",
        ":all:",
        "--python-version",
        "3.13",
        "--python-platform",
        f"{machine}-unknown-linux-musl",
    ]
    done = subprocess.run(
        [*uv, *where, "--target", str(tmp_path), "--reinstall", "-r", "requirements/app.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip("the package index cannot be reached, so nobody knows its wheels")
    assert done.returncode == 0, done.stderr
    assert "uvloop" in done.stderr and "psycopg-binary" in done.stderr
