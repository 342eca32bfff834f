"""The fault table: what may go wrong with a release, where that must end, and how.

Each row is driven through the real engine by ``rehearsal.py``; ``make rehearse`` prints the
table with what really happened. A row without a fault must ship.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kickoff.errors import ExitCode
from tests.e2e import bad_days
from tests.e2e import disturbances as disturb
from tests.e2e.project import KEY
from tests.e2e.scene import Disturbance, nothing


class Stop(StrEnum):
    """Where a release ends.

    ``COMMAND``: nothing was begun. ``STAGE``: without public traffic, before the candidate was ready.
    ``PROMOTE``: without public traffic, after that. ``CANARY``: with a share of the users. ``BAKE``: with
    all of them. ``LIVE``: it ships.
    """

    COMMAND = "command"
    STAGE = "stage"
    PROMOTE = "promote"
    CANARY = "canary"
    BAKE = "bake"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    Attributes:
        name: What is wrong, in words.
        stopped: Where the release must end.
        verdict: Of the evidence: ``pass``, ``fail`` or ``inconclusive``; ``refused`` when nothing was begun.
        code: Exit code of the command that ends the release.
        cause: What the command's output, or a rule that did not pass, must say.
        shown: What says the same on the last screen, where that has other words.
        broken: The fixture's fault switches (``service/fixture/faults.py``).
        environment: Values of the environment file that differ for this release.
        disturbance: What happens around the release.
        command: A command that is run instead of a release.
        options: Further arguments of `stage`.
        rate: Requests a second on the public address meanwhile; 0 for no users at all.
        most_failed: How many of them may fail; it must be 0 where no user may reach the candidate.
        first: Nothing was released before.
        own_disk: The state folder is on a disk of its own, which can be made full.
        resume: The command cannot tidy up by itself; the next one does.
        live_down: Nothing serves afterwards: the release before cannot, and nobody else may.
        state: Name of the folder that the state is kept in, where it is not an ordinary one.
        encoding: Of what the command prints to.
    """

    name: str
    stopped: Stop
    verdict: str
    code: ExitCode
    cause: str
    broken: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    disturbance: Disturbance = nothing
    command: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    rate: float = 40
    most_failed: int = 0
    first: bool = False
    own_disk: bool = False
    resume: bool = False
    live_down: bool = False
    state: str = ""
    encoding: str = "utf-8"
    shown: str = ""


SHIPPED, ROLLBACK_FAILED = ExitCode.PASS, ExitCode.ROLLBACK_FAILED
REJECTED, BAD_INPUT, INCONCLUSIVE = ExitCode.REJECTED, ExitCode.BAD_INPUT, ExitCode.INCONCLUSIVE
UNREACHABLE, ROLLED_BACK, LOCK_HELD = ExitCode.UNREACHABLE, ExitCode.ROLLED_BACK, ExitCode.LOCK_HELD
INTERRUPTED = ExitCode.INTERRUPTED
CANARY = {"RELEASE_STRATEGY": "canary", "CANARY_STEPS": "50,100", "CANARY_HOLD": "2s"}
SMALL_CANARY = {"RELEASE_STRATEGY": "canary", "CANARY_STEPS": "5,100", "CANARY_HOLD": "3s"}

# fmt: off
FAULTS = (
    # --- nothing is wrong -------------------------------------------------------------------------------
    Fault("nothing", Stop.LIVE, "pass", SHIPPED, "serves all requests"),
    Fault("nothing, and no traffic at all", Stop.LIVE, "pass", SHIPPED, "serves all requests", rate=0),
    Fault("nothing, by canary", Stop.LIVE, "pass", SHIPPED, "serves all requests", environment=CANARY, rate=60),
    # --- the candidate does not come up -----------------------------------------------------------------
    Fault("crash at start", Stop.STAGE, "fail", REJECTED, "the process ended", {"crash_at_start": True}),
    Fault("never ready", Stop.STAGE, "fail", REJECTED, "never ready in 1.5 s",
          {"never_ready": True}, {"READY_TIMEOUT": "1.5s"}),
    Fault("ready but wrong release", Stop.STAGE, "fail", REJECTED, "wrong release", {"wrong_release": True}),
    Fault("release header missing", Stop.STAGE, "fail", REJECTED, "without X-Release",
          {"no_release_header": True}),
    Fault("port taken", Stop.STAGE, "fail", REJECTED, "did not get ready",
          disturbance=disturb.candidate_port_taken, shown="address already in use"),
    Fault("candidate gone before it is promoted", Stop.PROMOTE, "fail", REJECTED, "the process ended",
          disturbance=disturb.candidate_stopped),
    # --- the migration ----------------------------------------------------------------------------------
    Fault("migration fails", Stop.STAGE, "fail", REJECTED, "failed with exit code 1", {"migration": "fails"}),
    Fault("migration hangs", Stop.STAGE, "fail", REJECTED, "did not end within 1 s",
          {"migration": "hangs"}, {"HOOK_TIMEOUT": "1s"}),
    Fault("migration not backward compatible", Stop.STAGE, "fail", REJECTED, "broke the live release",
          {"schema": 2, "migration": "breaks"}, disturbance=disturb.schema_restored, most_failed=160,
          shown="users are served by a release that it broke"),
    # --- the candidate is bad under traffic -------------------------------------------------------------
    Fault("crash after 5 s", Stop.BAKE, "fail", ROLLED_BACK,
          "the process ended (exited with code ",
          {"crash_after_seconds": 5}, {"BAKE_TIME": "8s"}, most_failed=120),
    Fault("flapping health", Stop.BAKE, "fail", ROLLED_BACK, "expected status 200, found 503",
          {"flapping_ready": True}),
    Fault("500 on 5 % of requests", Stop.BAKE, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.05}, {"BAKE_TIME": "5s"}, most_failed=20),
    Fault("500 on half of the requests, first release", Stop.BAKE, "fail", ROLLED_BACK, "error rate at 100%",
          {"error_share": 0.5}, first=True, rate=0, shown="error rate: "),
    Fault("errors within the limit, but more than live", Stop.BAKE, "fail", ROLLED_BACK,
          "error rate against live", {"error_share": 0.3}, {"ERROR_RATE_THRESHOLD": "60%"}, most_failed=60),
    Fault("errors under public traffic alone", Stop.BAKE, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.3, "only_users": True}, most_failed=60),
    Fault("errors under public traffic alone, canary 5 %", Stop.CANARY, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.5, "only_users": True}, SMALL_CANARY, rate=100, most_failed=20),
    Fault("a few users' errors beside a busy probe", Stop.CANARY, "fail", ROLLED_BACK, "error rate of users",
          {"error_share": 1, "only_users": True}, {**SMALL_CANARY, "ERROR_RATE_THRESHOLD": "20%"},
          rate=100, most_failed=30),
    # Four times live's, which a busy machine adds too little to hide: the p95 or, seen first, the p99.
    Fault("p95 far above live", Stop.CANARY, "fail", ROLLED_BACK, "against a limit of 1.5x live",
          {"tail_share": 0.4, "tail_ms": 600}, CANARY, disturb.slow_live, rate=100, shown="limit 1.5x live"),
    Fault("p95 above its limit", Stop.BAKE, "fail", ROLLED_BACK, "p95 within 50 ms",
          {"delay_ms": 120}, {"RESPONSE_TIME_THRESHOLD": "50ms"}),
    Fault("hung requests", Stop.BAKE, "inconclusive", ROLLED_BACK, "fewer than 20 requests",
          {"hang": True}, {"SHUTDOWN_GRACE": "1s", "REQUEST_TIMEOUT": "1s"}, most_failed=160),
    Fault("memory growing", Stop.BAKE, "fail", ROLLED_BACK, "memory at 100%",
          {"memory_mb_per_second": 250}, {"MEMORY_LIMIT": "128MiB", "BAKE_TIME": "2s"}, shown="memory: "),
    Fault("CPU burning", Stop.BAKE, "fail", ROLLED_BACK, "cpu at 100%",
          {"cpu_burn": 1}, {"CPU_USAGE_THRESHOLD": "10%"}, shown="cpu: "),
    Fault("stray answers of another release", Stop.BAKE, "fail", ROLLED_BACK,
          "answers with the expected release at 100%",
          {"stray_release_share": 0.25}, {"ERROR_RATE_THRESHOLD": "60%", "BAKE_TIME": "2s"},
          shown="answers with the expected release: "),
    Fault("wrong release for users alone", Stop.BAKE, "fail", ROLLED_BACK, "the public address answers",
          {"wrong_release_public": True}),
    Fault("too few requests to tell", Stop.BAKE, "inconclusive", ROLLED_BACK, "fewer than 20 requests",
          environment={"PROBE_RATE": "1"}, rate=0),
    # --- what is shipped, and by which leave ------------------------------------------------------------
    Fault("environment key missing", Stop.COMMAND, "refused", BAD_INPUT, "PUBLIC_PORT",
          disturbance=disturb.environment_key_missing),
    Fault("environment key misspelt", Stop.COMMAND, "refused", BAD_INPUT, "BAKE_TIEM",
          disturbance=disturb.environment_key_misspelt),
    Fault("artefact digest mismatch", Stop.COMMAND, "refused", REJECTED, "not what was built",
          {"delay_ms": 1}, disturbance=disturb.artefact_changed),
    Fault("artefact gone", Stop.COMMAND, "refused", UNREACHABLE, "is not at",
          {"delay_ms": 1}, disturbance=disturb.artefact_gone),
    Fault("required check missing", Stop.PROMOTE, "inconclusive", INCONCLUSIVE, "smoke-candidate: no verdict",
          disturbance=disturb.check_required),
    Fault("the files demand less once it is staged", Stop.PROMOTE, "fail", REJECTED,
          "judged by other rules: BAKE_TIME: 1s → 0s (weaker)", disturbance=disturb.rules_lowered_once_staged),
    # --- the machinery breaks ---------------------------------------------------------------------------
    Fault("public port taken", Stop.STAGE, "fail", UNREACHABLE, "is taken by another program",
          disturbance=disturb.public_port_taken, first=True, rate=0),
    Fault("Traefik down", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.traefik_down, most_failed=400),
    Fault("Traefik down in the bake", Stop.BAKE, "fail", ROLLBACK_FAILED, "rollback failed",
          disturbance=disturb.traefik_down_in_the_bake, most_failed=600, resume=True),
    Fault("Traefik rejects the route", Stop.PROMOTE, "fail", UNREACHABLE, "did not take the new route over",
          disturbance=disturb.route_rejected),
    Fault("metrics endpoint down", Stop.BAKE, "inconclusive", ROLLED_BACK, "metrics cannot be read",
          disturbance=disturb.metrics_down),
    Fault("disk nearly full", Stop.COMMAND, "refused", UNREACHABLE, "MiB free",
          disturbance=disturb.disk_nearly_full, own_disk=True),
    Fault("disk full", Stop.STAGE, "refused", UNREACHABLE, "No space left on device",
          disturbance=disturb.disk_full, own_disk=True, resume=True),
    Fault("no room for the journal", Stop.STAGE, "refused", UNREACHABLE, "No space left on device",
          disturbance=disturb.no_room_for_the_journal, resume=True),
    Fault("clock jump", Stop.LIVE, "pass", SHIPPED, "serves all requests", disturbance=disturb.clock_jumps),
    # --- the alerts --------------------------------------------------------------------------------------
    Fault("an alert of the service begins to fire", Stop.BAKE, "fail", ROLLED_BACK,
          "OrdersLost fires (3) against a limit of none", disturbance=disturb.prometheus(),
          shown="OrdersLost fires (3)"),
    Fault("an alert of the service is about to fire", Stop.BAKE, "inconclusive", ROLLED_BACK,
          "OrdersLost is about to fire (3)", disturbance=disturb.prometheus(state="pending")),
    Fault("an alert of something else begins to fire", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.prometheus(labels="none")),
    Fault("an alert of the service fires since before the release", Stop.LIVE, "pass", SHIPPED,
          "serves all requests", disturbance=disturb.prometheus(late=False)),
    Fault("Prometheus does not answer", Stop.PROMOTE, "inconclusive", INCONCLUSIVE, "answers 503",
          disturbance=disturb.prometheus(answers="never")),
    Fault("Prometheus does not answer in the bake", Stop.BAKE, "inconclusive", ROLLED_BACK, "answers 503",
          disturbance=disturb.prometheus(answers="before")),
    Fault("Prometheus does not answer, and need not", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          environment={"ALERTS_UNREADABLE": "warn"}, disturbance=disturb.prometheus(answers="never")),
    # --- the certificate of the public name -------------------------------------------------------------
    Fault("the certificate is valid", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.behind_tls()),
    Fault("the certificate has expired", Stop.PROMOTE, "fail", UNREACHABLE, "certificate has expired",
          environment={"READY_TIMEOUT": "3s"}, disturbance=disturb.behind_tls(days=-1)),
    Fault("the certificate is made out to another name", Stop.PROMOTE, "fail", UNREACHABLE,
          "not valid for 'localhost'", environment={"READY_TIMEOUT": "3s"},
          disturbance=disturb.behind_tls(name="other.example")),
    Fault("the certificate is not valid, and need not be", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          environment={"CERTIFICATE_INVALID": "warn"}, disturbance=disturb.behind_tls(days=-1)),
    Fault("nobody answers by TLS under the public name", Stop.PROMOTE, "fail", UNREACHABLE,
          "does not answer by TLS",
          environment={"READY_TIMEOUT": "3s", "PUBLIC_HOST": "shop.invalid"}),
    # --- others, dead or alive --------------------------------------------------------------------------
    Fault("two deploys at once", Stop.COMMAND, "refused", LOCK_HELD, "is releasing",
          disturbance=disturb.another_deploy),
    Fault("lock holder dead", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.dead_lock_holder),
    Fault("paused run wakes up overtaken", Stop.PROMOTE, "refused", LOCK_HELD, "no longer holds the lock",
          disturbance=disturb.overtaken_before_the_shift, shown="TAKEN BACK by"),
    # --- the records ------------------------------------------------------------------------------------
    Fault("journal truncated mid-line", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.journal_torn),
    Fault("journal damaged", Stop.COMMAND, "refused", UNREACHABLE, "the journal is damaged at line 2",
          disturbance=disturb.journal_damaged),
    Fault("history tampered", Stop.COMMAND, "refused", REJECTED, "tampered with at entry 1",
          disturbance=disturb.history_tampered, command=("history", "--verify"), rate=0),
    # --- going back -------------------------------------------------------------------------------------
    Fault("rollback past a schema change", Stop.COMMAND, "refused", REJECTED, "is unsafe: it knows schema 1",
          disturbance=disturb.newer_schema_live, command=("rollback", "--to", "{older}")),
    Fault("rollback to a release that broke on disk", Stop.COMMAND, "fail", REJECTED, "did not get ready",
          disturbance=disturb.older_release_broken, command=("rollback", "--to", "{older}")),
    Fault("rollback twice", Stop.COMMAND, "pass", SHIPPED, "already went back from",
          disturbance=bad_days.gone_back, command=("rollback",)),
    Fault("rollback after the judge went back", Stop.COMMAND, "pass", SHIPPED, "the judge already went back from",
          disturbance=bad_days.taken_back_by_itself, command=("rollback",), most_failed=40),
    Fault("rollback to what was rolled back from", Stop.COMMAND, "refused", BAD_INPUT,
          "it was rolled back from", disturbance=bad_days.gone_back, command=("rollback", "--to", "{left}")),
    Fault("rollback to a refused release", Stop.COMMAND, "refused", BAD_INPUT, "it never was live",
          disturbance=bad_days.refused_release, command=("rollback", "--to", "{refused}"), most_failed=40),
    Fault("rollback to a refused release, forced without a reason", Stop.COMMAND, "refused", BAD_INPUT,
          "the history must say why", disturbance=bad_days.refused_release,
          command=("rollback", "--to", "{refused}", "--force"), most_failed=40),
    Fault("rollback to a path", Stop.COMMAND, "refused", BAD_INPUT, "not a release id",
          command=("rollback", "--to", "../../evil")),
    Fault("rollback where nothing was released", Stop.COMMAND, "refused", BAD_INPUT, "no earlier release",
          command=("rollback",), first=True, rate=0),
    Fault("rollback to nowhere beside another deploy", Stop.COMMAND, "refused", BAD_INPUT, "is not kept here",
          disturbance=bad_days.another_deploy_bakes, command=("rollback", "--to", "0000000-00000000")),
    Fault("rollback after crashes in a row", Stop.COMMAND, "pass", SHIPPED, "serves again",
          disturbance=bad_days.crashes_in_a_row, command=("rollback", "--to", "{older}")),
    Fault("rollback while the environment file is broken", Stop.COMMAND, "pass", SHIPPED, "serves again",
          disturbance=bad_days.environment_file_broken, command=("rollback",)),
    Fault("rollback while the service description is broken", Stop.COMMAND, "pass", SHIPPED, "serves again",
          disturbance=bad_days.service_description_broken, command=("rollback",)),
    Fault("good releases beside refused ones", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.crash_between_good_ones),
    # --- the live release is down -----------------------------------------------------------------------
    Fault("live was stopped", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.stopped, rate=0),
    Fault("the host was rebooted", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.rebooted, rate=0),
    Fault("live cannot come back", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.rebooted_and_live_broken, rate=0),
    Fault("live cannot come back, and the candidate is bad", Stop.BAKE, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.5}, disturbance=bad_days.rebooted_and_live_broken, rate=0, live_down=True),
    Fault("live is lost in the bake, and the candidate is bad", Stop.BAKE, "fail", ROLLBACK_FAILED,
          "rollback failed", {"error_share": 0.5}, {"BAKE_TIME": "3s"}, bad_days.live_killed_in_the_bake,
          most_failed=4000, live_down=True),
    Fault("route lost", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.route_lost, most_failed=200),
    Fault("route emptied", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.route_emptied, most_failed=200),
    Fault("status of what was killed", Stop.COMMAND, "refused", UNREACHABLE, "NOT SERVING",
          disturbance=bad_days.rebooted, command=("status",), rate=0, live_down=True),
    Fault("status with the route lost", Stop.COMMAND, "refused", UNREACHABLE, "the route is lost",
          disturbance=bad_days.route_lost, command=("status",), rate=0, live_down=True),
    Fault("status while another release answers", Stop.COMMAND, "refused", UNREACHABLE, "answers",
          disturbance=bad_days.another_release_answers, command=("status",), rate=0),
    Fault("start after a stop", Stop.COMMAND, "pass", SHIPPED, "serves",
          disturbance=bad_days.stopped, command=("start",), rate=0),
    Fault("start after a reboot", Stop.COMMAND, "pass", SHIPPED, "serves",
          disturbance=bad_days.rebooted, command=("start",), rate=0),
    Fault("start of what cannot come back", Stop.COMMAND, "refused", UNREACHABLE, "does not serve",
          disturbance=bad_days.rebooted_and_live_broken, command=("start",), rate=0, live_down=True),
    Fault("start where nothing was released", Stop.COMMAND, "refused", UNREACHABLE, "nothing to start",
          command=("start",), first=True, rate=0),
    Fault("resume after a reboot", Stop.COMMAND, "pass", SHIPPED, "serves",
          disturbance=bad_days.rebooted, command=("resume",), rate=0),
    Fault("resume with the route lost", Stop.COMMAND, "pass", SHIPPED, "serves",
          disturbance=bad_days.route_lost, command=("resume",), most_failed=200),
    # --- released means judged --------------------------------------------------------------------------
    Fault("Ctrl-C in the bake", Stop.BAKE, "inconclusive", INTERRUPTED, "interrupted",
          {"error_share": 0.5}, disturbance=bad_days.interrupted(signal.SIGINT), most_failed=400, resume=True),
    Fault("SIGTERM in the bake", Stop.BAKE, "inconclusive", INTERRUPTED, "interrupted",
          {"error_share": 0.5}, disturbance=bad_days.interrupted(signal.SIGTERM), most_failed=400, resume=True,
          shown="kickoff resume --env development"),
    Fault("bad after it went live", Stop.COMMAND, "fail", ROLLED_BACK, "in the watch",
          environment={"WATCH_TIME": "6s"}, disturbance=bad_days.bad_release_went_live, command=("watch",),
          most_failed=300),
    Fault("good after it went live", Stop.COMMAND, "pass", SHIPPED, "held for 2 s",
          environment={"WATCH_TIME": "2s"}, disturbance=bad_days.shipped, command=("watch",)),
    Fault("old releases cannot be removed", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=bad_days.nothing_can_be_removed),
    # --- the state is damaged ---------------------------------------------------------------------------
    *(
        Fault(f"state is {name}", Stop.COMMAND, "refused", UNREACHABLE, "state.json",
              disturbance=bad_days.state_is(text))
        for name, text in (("lost", None), ("{}", "{}"), ("[]", "[]"), ("null", "null"), ("empty", ""))
    ),
    Fault("state lost and derived again", Stop.COMMAND, "refused", SHIPPED, "the state was derived again",
          disturbance=bad_days.state_lost_for_good, command=("resume", "--rebuild-state")),
    Fault("journal line is a number", Stop.COMMAND, "refused", UNREACHABLE, "damaged at line 2",
          disturbance=bad_days.journal_line_is_a_number),
    # --- the caller's surroundings ----------------------------------------------------------------------
    Fault("another TMPDIR than the release before", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.another_temporary_folder),
    Fault("supervisor's socket removed before a rollback", Stop.COMMAND, "fail", UNREACHABLE, "does not answer",
          disturbance=disturb.socket_removed, command=("rollback",)),
    Fault("supervisor's socket removed before a release", Stop.STAGE, "fail", UNREACHABLE, "does not answer",
          disturbance=disturb.socket_removed),
    Fault("state folder gone while the supervisor runs", Stop.COMMAND, "refused", UNREACHABLE, "does not answer",
          disturbance=disturb.state_folder_gone),
    Fault("http_proxy to a dead address", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.dead_http_proxy),
    Fault("ALL_PROXY to a SOCKS proxy", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.socks_proxy),
    Fault("state folder with a hard name", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          state="st ate's \"%(x)s\"; `x` {{x}}#状态 " + 100 * "x"),
    Fault("state folder with a colon", Stop.COMMAND, "refused", BAD_INPUT, "':', which cannot be written",
          disturbance=disturb.colon_in_the_state_folder),
    Fault("Latin-1 output", Stop.COMMAND, "refused", BAD_INPUT, "  `-> missing-key: PUBLIC_PORT",
          disturbance=disturb.environment_key_missing, encoding="latin-1", shown="missing-key: PUBLIC_PORT"),
    Fault("GBK output", Stop.LIVE, "pass", SHIPPED, "+ ", encoding="gbk"),
    Fault("KICKOFF_PORT=abc", Stop.COMMAND, "refused", BAD_INPUT, "KICKOFF_PORT is 'abc'",
          disturbance=disturb.port_that_is_none),
    Fault("stop beside a foreign process on the port", Stop.COMMAND, "refused", UNREACHABLE, "still answers",
          disturbance=disturb.public_port_taken, command=("stop",), first=True, rate=0),
    # --- what users see and our checks do not -----------------------------------------------------------
    Fault("404 to all unmarked requests", Stop.BAKE, "fail", ROLLED_BACK, "marked and unmarked requests alike",
          {"refused_share": 1}, most_failed=160, shown="(unmarked)"),
    Fault("401 to all unmarked requests, first release", Stop.BAKE, "fail", ROLLED_BACK, "(unmarked): expected",
          {"refused_share": 1, "refused_status": 401}, first=True, rate=0),
    Fault("401 to users alone, first release", Stop.BAKE, "fail", ROLLED_BACK, "client errors of users",
          {"refused_share": 1, "refused_status": 401, "refused_users": True}, first=True, most_failed=1000),
    Fault("429 share above live, by canary", Stop.CANARY, "fail", ROLLED_BACK, "client errors against live",
          {"refused_share": 0.4, "refused_status": 429, "refused_users": True}, {**CANARY, "CANARY_HOLD": "6s"},
          rate=60, most_failed=150),
    Fault("429 that kickoff.yml expects, by canary", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          {"refused_share": 0.4, "refused_status": 429, "refused_users": True}, CANARY,
          disturb.client_errors_expected, rate=60, most_failed=300),
    Fault("our own checks are treated worse", Stop.BAKE, "fail", ROLLED_BACK, "our own checks are treated",
          {"error_share": 0.8, "only_checks": True}, {"ERROR_RATE_THRESHOLD": "60%", "BAKE_TIME": "2s"}),
    Fault("liveness path wants a key", Stop.STAGE, "fail", REJECTED, "GET /health/live, asked without headers",
          {"live_status": 401}, shown="the proxy sends no key"),
    Fault("liveness path is not there", Stop.STAGE, "fail", REJECTED, "answered 404", {"live_status": 404},
          shown="correct the path of the liveness check"),
    Fault("ready path wants a key", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          {"key": KEY}, {"API_KEY": "${API_KEY}"}),
    Fault("ready path wants a key that is not set", Stop.STAGE, "fail", REJECTED, "API_KEY has no value",
          {"key": KEY}, {"READY_TIMEOUT": "1.5s"}),
    Fault("p95 above its limit, and no traffic at all", Stop.BAKE, "fail", ROLLED_BACK, "p95 within 50 ms",
          {"delay_ms": 120}, {"RESPONSE_TIME_THRESHOLD": "50ms", "BAKE_TIME": "2s"}, rate=0),
    Fault("CPU burning within a limit", Stop.BAKE, "fail", ROLLED_BACK, "cpu at 100%",
          {"cpu_burn": 1}, {"CPU_USAGE_THRESHOLD": "60%", "BAKE_TIME": "2s"}, disturb.candidate_limited,
          shown="cpu: "),
    # --- live is down -----------------------------------------------------------------------------------
    Fault("live fails everything", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.live_fails, most_failed=4000),
    Fault("live fails everything, by canary", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          environment=CANARY, disturbance=disturb.live_fails, rate=60, most_failed=4000),
    Fault("live fails all but its liveness path, by canary", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          {"delay_ms": 60}, {**CANARY, "CANARY_HOLD": "4s"}, disturb.live_errs, rate=60, most_failed=4000),
    Fault("live begins to fail in the canary", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          {"delay_ms": 60}, {**CANARY, "CANARY_HOLD": "4s"}, disturb.live_errs_in_the_canary, rate=60,
          most_failed=4000),
    Fault("live hangs", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.live_hangs, rate=20, most_failed=4000),
    Fault("live hangs, by canary", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          environment=CANARY, disturbance=disturb.live_hangs, rate=20, most_failed=4000),
    Fault("live ended before the promotion", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.live_stopped, most_failed=4000),
    Fault("live ended before the promotion, by canary", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          environment=CANARY, disturbance=disturb.live_stopped, rate=60, most_failed=4000),
    Fault("live fails everything, and so does the candidate", Stop.BAKE, "fail", ROLLED_BACK, "error rate at",
          {"error_share": 1}, disturbance=disturb.live_fails, rate=0, shown="error rate: "),
    # --- where only what another environment proved may be shipped --------------------------------------
    Fault("proof missing", Stop.COMMAND, "refused", REJECTED, "staging never proved",
          disturbance=disturb.proof_missing),
    Fault("proof of another artefact", Stop.COMMAND, "refused", REJECTED, "another artefact than staging proved",
          disturbance=disturb.proof_of_another_artefact),
    Fault("proof damaged", Stop.COMMAND, "refused", REJECTED, "its hash does not match",
          disturbance=disturb.proof_damaged),
    Fault("proof of a release that nobody promoted", Stop.COMMAND, "refused", REJECTED,
          "it names no promotion that passed", disturbance=disturb.proof_without_promotion),
    Fault("proof by less than the commit demands", Stop.COMMAND, "refused", REJECTED,
          "BAKE_TIME was 1s instead of 60s", disturbance=disturb.proof_by_less),
    Fault("proof demanded after it was staged", Stop.PROMOTE, "fail", REJECTED, "staged without the proof",
          disturbance=disturb.proof_demanded_late),
    Fault("proof missing, with a reason", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.proof_missing_with_a_reason, options=("--unproven-reason=staging burns",)),
    Fault("nothing, and it was proved", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.proof_at_hand),
    # --- secrets, and commands to the runner, in what others print ---------------------------------------
    Fault("hook prints its environment", Stop.STAGE, "fail", REJECTED, "API_KEY=***",
          {"tells_in": "hook"}, {"API_KEY": "${API_KEY:-}"}, disturb.secret_planted,
          shown="failed with exit code 1"),
    Fault("crash at start prints its environment", Stop.STAGE, "fail", REJECTED, "API_KEY=***",
          {"tells_in": "start", "crash_at_start": True}, {"API_KEY": "${API_KEY:-}"}, disturb.secret_planted,
          shown="the process ended"),
    Fault("error page shows the environment", Stop.BAKE, "fail", ROLLED_BACK, "500: API_KEY=***",
          {"tells_in": "page", "error_share": 1}, {"API_KEY": "${API_KEY:-}"}, disturb.secret_planted,
          most_failed=300),
    Fault("log lines that forge workflow commands", Stop.STAGE, "fail", REJECTED, "\n::",
          {"tells_in": "start", "crash_at_start": True}, disturbance=disturb.within_a_workflow),
)
# fmt: on

BY_NAME = {fault.name: fault for fault in FAULTS}
