"""The record of an image: kept, found by digest, and refused when it is not what was asked for."""

from pathlib import Path

import pytest

from kickoff.artifact import image
from kickoff.artifact.image import Image
from kickoff.errors import ExitCode, KickoffError

DIGEST = "sha256:" + "a" * 64
IMAGE = Image(DIGEST, "registry.example:5000/team/football", "4f2c1ab" + "0" * 33, ("linux/amd64",))


def test_what_is_kept_is_found_by_its_digest(tmp_path: Path) -> None:
    image.keep(tmp_path / "artifacts", IMAGE)
    assert image.find(tmp_path / "artifacts", DIGEST) == IMAGE
    assert IMAGE.reference == f"registry.example:5000/team/football@{DIGEST}"


def test_a_missing_record_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(KickoffError) as caught:
        image.find(tmp_path, DIGEST)
    assert caught.value.code is ExitCode.UNREACHABLE
    assert "kickoff build --kind image" in caught.value.hint


def test_a_record_under_another_digest_is_refused(tmp_path: Path) -> None:
    path = image.keep(tmp_path, IMAGE)
    other = "sha256:" + "b" * 64
    path.rename(tmp_path / f"{'b' * 64}.image.json")
    with pytest.raises(KickoffError, match="another image") as caught:
        image.find(tmp_path, other)
    assert caught.value.code is ExitCode.REJECTED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": 1, "platforms": 2}', '{"platforms": []}'])
def test_a_damaged_record_names_its_file(tmp_path: Path, text: str) -> None:
    path = image.keep(tmp_path, IMAGE)
    path.write_text(text)
    with pytest.raises(KickoffError, match="not the record") as caught:
        image.find(tmp_path, DIGEST)
    assert caught.value.at == str(path)


@pytest.mark.parametrize(
    "name", ["football:latest", f"football@{DIGEST}", "Football", "/football", "football/", "a b", "", "-x"]
)
def test_a_repository_has_neither_tag_nor_digest_nor_capitals(tmp_path: Path, name: str) -> None:
    with pytest.raises(KickoffError, match="no image repository"):
        image.keep(tmp_path, Image(DIGEST, name, "c", ()))


def test_a_malformed_digest_never_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match="no digest"):
        image.find(tmp_path, "sha256:../../etc/passwd")
