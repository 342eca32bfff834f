"""Generated files are written when they differ, and with ``--check`` only named."""

from pathlib import Path

import pytest

from kickoff import generated
from kickoff.errors import ExitCode, KickoffError


def test_what_differs_is_written_and_check_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "same.md").write_text("a\n")
    (tmp_path / "other.md").write_text("b\n")
    script, files = tmp_path / "docs" / "script.py", {"same.md": "a\n", "other.md": "c\n", "new.md": "d\n"}

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", [str(script), *words])
        return generated.main(script, None, tmp_path, lambda: files)

    with pytest.raises(KickoffError, match=r"out of date: other\.md, new\.md") as caught:
        run("--check")
    assert (caught.value.code, caught.value.hint) == (ExitCode.REJECTED, "python3 docs/script.py")
    assert not (tmp_path / "new.md").exists() and (tmp_path / "other.md").read_text() == "b\n"
    assert run() == 0
    assert {name: (tmp_path / name).read_text() for name in files} == files
    assert run("--check") == run() == 0
    assert capsys.readouterr().out == "rewritten: other.md, new.md\n" + "everything is up to date\n" * 2
