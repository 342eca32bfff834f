"""``kickoff.yml``: what is read from it, and that a mistake is shown at its line."""

from pathlib import Path

import pytest

from kickoff import service as services
from kickoff.description import LoadRequest
from kickoff.errors import ExitCode, KickoffError
from kickoff.service import CONFIG, FORMER, load, parse

MINIMAL = """\
name: shop
bundle:
  - shop
processes:
  web:
    command: [python, -m, shop, "{port}"]
health:
  live: /live
  ready: /ready
required_checks: []
smoke:
  - name: home
    path: /
"""


SHORT = """\
name: things
run: node server.js --port {port}
health: /healthz
"""


def test_three_lines_are_enough() -> None:
    service = parse(SHORT, "kickoff.yml")
    assert service.web_command == ("node", "server.js", "--port", "{port}")
    assert (service.live_path, service.ready_path) == ("/healthz", "/healthz")
    assert service.bundle == service.image.paths == (".",)
    assert service.required_checks == ("smoke-candidate", "perf-baseline")
    assert [(check.path, check.status) for check in service.smoke] == [("/healthz", 200)]
    assert (service.command_at, service.at("health", "ready")) == ("kickoff.yml:2", "kickoff.yml:3")


def test_a_process_may_be_written_in_full() -> None:
    service = parse(MINIMAL, "kickoff.yml")
    assert service.web_command == ("python", "-m", "shop", "{port}")
    assert service.command_at == "kickoff.yml:6"


def test_commands_are_texts_or_lists_wherever_they_stand() -> None:
    text = SHORT + (
        "hooks: {pre_deploy: 'npm run \"migrate all\"'}\n"
        "quality_gate: [{name: lint, run: npx eslint .}]\n"
        "functional: {name: api, run: [newman, run, '{url}']}\n"
        "checks: [{name: own, run: sh -c 'a && b'}]\n"
    )
    service = parse(text, "kickoff.yml")
    assert service.pre_deploy == ("npm", "run", "migrate all")
    assert service.quality_gate[0].run == ("npx", "eslint", ".")
    assert service.functional is not None
    assert service.functional.command.run == ("newman", "run", "{url}")
    assert service.checks[0].command.run == ("sh", "-c", "a && b")


def test_the_load_is_what_the_description_asks_without_changing_anything() -> None:
    text = SHORT + (
        "smoke: [{name: a, path: '/a?x=1'}, {name: b, path: /b, method: POST, status: 201}]\n"
        "probe: [{name: a, path: '/a?x=1'}, {name: gone, path: /gone, status: 404}]\n"
    )
    service = parse(text, "kickoff.yml")
    assert service.load
    assert (service.locustfile, service.scenarios) == ("", "")
    assert [check.path for check in service.load_requests()] == ["/healthz", "/a?x=1"]


def test_the_load_may_be_requests_of_its_own() -> None:
    text = SHORT + "load: [{path: /a, weight: 3}, {method: POST, path: /b, json: {x: 1}, status: 201}]\n"
    service = parse(text, "kickoff.yml")
    assert service.load
    assert service.required_checks == ("smoke-candidate", "perf-baseline")
    assert service.load_requests() == (
        LoadRequest("/a", weight=3),
        LoadRequest("/b", "POST", {"x": 1}, 201),
    )


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ("some", "'some' does not match '^none$'"),
        ("[]", "should be non-empty"),
        ("[{path: a}]", "'a' does not match"),
        ("[{path: /a, wieght: 2}]", "'wieght' is not a key"),
        ("[{path: /a}]\nperformance: {locustfile: load.py}", "both say what the load test's users send"),
    ],
)
def test_a_load_that_cannot_be_is_refused_by_its_line(load: str, message: str) -> None:
    with pytest.raises(KickoffError) as caught:
        parse(f"{SHORT}load: {load}\n", "kickoff.yml")
    assert message in str(caught.value)
    assert caught.value.at == "kickoff.yml:4"


def test_no_load_is_said_in_a_word_and_demanded_nowhere() -> None:
    service = parse(SHORT + "load: none\n", "kickoff.yml")
    assert not service.load
    assert service.required_checks == ("smoke-candidate",)
    for demand in (
        "required_checks: [perf-baseline]",
        "required_checks_in: {staging: [perf-baseline]}",
        "environments: {test: , staging: {required_checks: [perf-baseline]}}",
    ):
        with pytest.raises(KickoffError, match="perf-baseline is required, and `load: none`") as caught:
            parse(f"{SHORT}load: none\n{demand}\n", "kickoff.yml")
        assert caught.value.at == "kickoff.yml:5"


def test_what_was_recorded_long_ago_is_still_read() -> None:
    """An emergency works from the description in a release's folder, whichever version wrote it."""
    text = MINIMAL + 'quality_gate: []\nrelease_header: ""\nprobe: []\n'
    service = parse(text, "/state/releases/1/service.yml")
    assert service.quality_gate == ()
    assert service.release_header == ""
    assert service.at("health", "ready") == "/state/releases/1/service.yml:9"


def test_no_release_header_is_said_in_a_word() -> None:
    assert parse(SHORT + "release_header: none\n", "kickoff.yml").release_header == ""


def test_workers_stand_beside_the_short_form() -> None:
    text = SHORT + "processes:\n  mailer: {command: node mailer.js, health: [node, check.js]}\n"
    service = parse(text, "kickoff.yml")
    assert service.web_command[0] == "node"
    assert list(service.workers) == ["mailer"]
    mailer = service.workers["mailer"]
    assert (mailer.command, mailer.health) == (("node", "mailer.js"), ("node", "check.js"))
    assert mailer.at == f"kickoff.yml:{text.splitlines().index('processes:') + 2}"


@pytest.mark.parametrize(
    ("old", "new", "line", "words", "hint"),
    [
        ("--port {port}", '--name "x', 2, "no closing quotation", "close the quote"),
        ("--port {port}", "--port $PORT", 2, "`$PORT`", "{port}"),
        ("node server.js", "npm run build && node server.js", 2, "`&&`", "sh, -c"),
        ("node server.js", "PORT={port} node server.js", 2, "`PORT={port}`", "{port}"),
        ("run: node server.js --port {port}", "run: ' '", 2, "the command is empty", "service.md"),
        ("run: node server.js --port {port}\n", "", 1, "nothing says how", "run: node"),
        ("health:", "processes: {web: {command: x}}\nhealth:", 2, "both say", "keep one"),
        ("health:", "processes: {mailer: {command: y, helth: z}}\nhealth:", 3, "'helth'", "'health'"),
        ("health:", "processes: {blue: {command: y}}\nhealth:", 3, "'blue' does not match", "service.md"),
        ("health: /healthz", "health: healthz", 3, "$.health", "service.md"),
        ("health:", "helth:", 3, "'helth' is not a key", "'health'"),
        ("health:", "quality_gates: []\nhealth:", 3, "'quality_gates'", "'quality_gate'"),
    ],
)
def test_a_mistake_in_the_short_form_is_answered(
    old: str, new: str, line: int, words: str, hint: str
) -> None:
    assert SHORT.count(old) == 1
    with pytest.raises(KickoffError) as caught:
        parse(SHORT.replace(old, new), "kickoff.yml")
    assert caught.value.code is ExitCode.BAD_INPUT
    assert words in str(caught.value)
    assert caught.value.at == f"kickoff.yml:{line}"
    assert hint in caught.value.hint


def test_the_former_place_is_read_and_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FORMER).parent.mkdir()
    (tmp_path / FORMER).write_text(SHORT)
    services._tell_former.cache_clear()
    assert load(tmp_path).name == load(tmp_path).name == "things"
    assert services.is_described(tmp_path)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("git mv configs/service.yml kickoff.yml") == 1


def test_two_descriptions_are_refused(tmp_path: Path) -> None:
    for path in (FORMER, CONFIG):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(SHORT)
    with pytest.raises(KickoffError, match=r"kickoff\.yml and configs/service\.yml both") as caught:
        load(tmp_path)
    assert caught.value.code is ExitCode.BAD_INPUT
    assert caught.value.hint == "keep one: git rm configs/service.yml"


def test_the_project_describes_its_service() -> None:
    service = load(Path(__file__).resolve().parents[3])
    assert "{port}" in service.web_command
    assert service.required_checks == ("smoke-candidate", "perf-baseline")
    assert service.smoke
    assert service.functional is not None
    assert {"--base-url={url}", "--expect-release={release}"} <= set(service.functional.command.run)


def test_what_is_left_out_has_a_default() -> None:
    service = parse(MINIMAL, "kickoff.yml")
    assert service.release_header == "X-Release"
    assert service.in_flight is None
    assert service.pre_deploy == service.schema_revision == service.database_revision == ()
    assert service.quality_gate == ()
    assert service.functional is None
    assert [(check.path, check.method, check.status) for check in service.probe] == [("/ready", "GET", 200)]


def test_given_keys_replace_the_defaults() -> None:
    text = MINIMAL + (
        'release_header: ""\n'
        "in_flight: {path: /metrics, metric: busy}\n"
        "hooks: {pre_deploy: [make, migrate]}\n"
        "quality_gate: [{name: lint, run: [ruff, check], timeout_seconds: 7}]\n"
        "probe: [{name: order, method: POST, path: /orders, json: {a: 1}, status: 201}]\n"
    )
    service = parse(text, "kickoff.yml")
    assert service.release_header == ""
    assert service.in_flight is not None
    assert service.in_flight.metric == "busy"
    assert service.pre_deploy == ("make", "migrate")
    assert [(c.name, c.run, c.timeout_seconds) for c in service.quality_gate] == [
        ("lint", ("ruff", "check"), 7)
    ]
    assert [(c.method, c.json, c.status) for c in service.probe] == [("POST", {"a": 1}, 201)]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: shop", "name: Shop!", 1, "$.name"),
        ("  - shop", "  - ../outside", 3, "$.bundle[0]"),
        ("  live: /live", "  live: live", 8, "$.health.live"),
        ("    path: /", "    path: 7", 13, "$.smoke[0].path"),
        ("required_checks: []", "required_checks: [vibes]", 10, "vibes"),
        ("  ready: /ready\n", "", 7, "'ready' is a required property"),
        ("health:", "helth:", 7, "helth"),
        ("bundle:", "bundle: [", 3, "not YAML"),
    ],
)
def test_a_mistake_is_shown_at_its_line(old: str, new: str, line: int, words: str) -> None:
    assert MINIMAL.count(old) == 1
    with pytest.raises(KickoffError) as caught:
        parse(MINIMAL.replace(old, new), "kickoff.yml")
    assert caught.value.code is ExitCode.BAD_INPUT
    assert words in str(caught.value)
    assert caught.value.at == f"kickoff.yml:{line}"


def test_an_environment_may_require_further_checks() -> None:
    text = MINIMAL.replace(
        "required_checks: []",
        "required_checks: [smoke-candidate]\nrequired_checks_in: {staging: [functional-candidate]}",
    )
    service = parse(text, "kickoff.yml")
    assert service.checks_for("staging") == ("smoke-candidate", "functional-candidate")
    assert service.checks_for("production") == ("smoke-candidate",)


@pytest.mark.parametrize("text", ["", "- a\n", "just text"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(KickoffError) as caught:
        parse(text, "kickoff.yml")
    assert caught.value.at == "kickoff.yml:1"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KickoffError, match=r"kickoff\.yml is missing") as caught:
        load(tmp_path)
    assert caught.value.at == str(tmp_path / CONFIG)


def test_a_functional_test_that_is_demanded_where_it_does_not_run_is_refused() -> None:
    text = MINIMAL.replace(
        "required_checks: []",
        "required_checks: [functional-candidate]\nfunctional: {name: x, run: [x], in: [staging]}",
    )
    with pytest.raises(KickoffError, match=r"required in every environment, and .* staging alone"):
        parse(text, "kickoff.yml")


def test_own_checks_are_demanded_where_they_run() -> None:
    own = "checks: [{name: one, run: [x]}, {name: two, run: [x], in: [staging]}]"
    found = parse(MINIMAL.replace("required_checks: []", f"required_checks: []\n{own}"), "x")
    assert found.checks_for("staging") == ("check-one", "check-two")
    assert found.checks_for("production") == ("check-one",)


@pytest.mark.parametrize(
    ("text", "line"),
    [("run: a\nname: \x07\n", 2), ("name: ü\nrun: \x07\n", 2), ("name: 2024-13-45\n", 1), ("name: [\n", 2)],
)
def test_what_is_not_yaml_is_a_mistake_like_any_other(text: str, line: int) -> None:
    with pytest.raises(KickoffError, match=r"kickoff\.yml is not YAML") as caught:
        parse(text, "kickoff.yml")
    assert (caught.value.code, caught.value.at) == (ExitCode.BAD_INPUT, f"kickoff.yml:{line}")


def test_a_description_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_bytes(SHORT.encode() + "# für alle\n".encode("latin-1"))
    with pytest.raises(KickoffError, match=r"kickoff\.yml cannot be read") as caught:
        load(tmp_path)
    assert (caught.value.code, caught.value.hint) == (ExitCode.BAD_INPUT, "save it as UTF-8")


def test_an_image_is_for_the_machine_that_builds_it_unless_platforms_are_named() -> None:
    assert not parse(SHORT, "kickoff.yml").image.over_ssh
    assert parse(SHORT, "kickoff.yml").image.platforms == ("native",)
    over_ssh = parse(SHORT + "image: {transport: ssh}\n", "kickoff.yml").image
    assert (over_ssh.over_ssh, over_ssh.platforms) == (True, ("native",))
    named = parse(SHORT + "image: {transport: ssh, platforms: [linux/arm64]}\n", "kickoff.yml").image
    assert named.platforms == ("linux/arm64",)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("image:\n  transport: pigeon\n", 5, "pigeon"),
        ("image:\n  transport: ssh\n  repository: ghcr.io/a/b\n", 6, "`transport: ssh` sends the image"),
    ],
)
def test_a_transport_that_cannot_be_is_refused_at_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(KickoffError, match=said) as caught:
        parse(SHORT + text, "kickoff.yml")
    assert (caught.value.code, caught.value.at) == (ExitCode.BAD_INPUT, f"kickoff.yml:{line}")
