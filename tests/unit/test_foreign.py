"""What programs that are not ours are given."""

from kickoff import foreign

GIVEN = {
    "PATH": "/bin", "HOME": "/home/me", "https_proxy": "http://proxy", "DEPLOY_SSH_KEY": "k", "GITHUB_ENV": "/x",
    "GITHUB_OUTPUT": "/y", "DATABASE_URL": "d", "API_KEY": "a", "PIP_INDEX_URL": "i", "ANYTHING": "e",
}  # fmt: skip


def test_no_secret_no_token_and_no_command_file_but_what_is_named() -> None:
    needed = {"PATH": "/bin", "HOME": "/home/me", "https_proxy": "http://proxy"}
    assert foreign.environment((), GIVEN) == needed
    assert foreign.environment(["API_KEY", "MISSING"], GIVEN) == needed | {"API_KEY": "a"}
    assert foreign.installing(GIVEN) == needed | {"PIP_INDEX_URL": "i"}
