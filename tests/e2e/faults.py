"""The fault table: what may go wrong with a release, where that must end, and how.

Each row is driven through the real engine by ``rehearsal.py``; ``make rehearse`` prints the
table with what really happened. A row without a fault must ship.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kickoff.errors import ExitCode
from tests.e2e import disturbances as disturb
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
        broken: The fixture's fault switches (``service/fixture/faults.py``).
        environment: Values of the environment file that differ for this release.
        disturbance: What happens around the release.
        command: A command that is run instead of a release.
        rate: Requests a second on the public address meanwhile; 0 for no users at all.
        most_failed: How many of them may fail; it must be 0 where no user may reach the candidate.
        first: Nothing was released before.
        own_disk: The state folder is on a disk of its own, which can be made full.
        resume: The command cannot tidy up by itself; the next one does.
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
    rate: float = 40
    most_failed: int = 0
    first: bool = False
    own_disk: bool = False
    resume: bool = False


SHIPPED, ROLLBACK_FAILED = ExitCode.PASS, ExitCode.ROLLBACK_FAILED
REJECTED, BAD_INPUT, INCONCLUSIVE = ExitCode.REJECTED, ExitCode.BAD_INPUT, ExitCode.INCONCLUSIVE
UNREACHABLE, ROLLED_BACK, LOCK_HELD = ExitCode.UNREACHABLE, ExitCode.ROLLED_BACK, ExitCode.LOCK_HELD
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
          disturbance=disturb.candidate_port_taken),
    Fault("candidate gone before it is promoted", Stop.PROMOTE, "fail", REJECTED, "the process ended",
          disturbance=disturb.candidate_stopped),
    # --- the migration ----------------------------------------------------------------------------------
    Fault("migration fails", Stop.STAGE, "fail", REJECTED, "failed with exit code 1", {"migration": "fails"}),
    Fault("migration hangs", Stop.STAGE, "fail", REJECTED, "did not end within 1 s",
          {"migration": "hangs"}, {"HOOK_TIMEOUT": "1s"}),
    Fault("migration not backward compatible", Stop.STAGE, "fail", REJECTED, "broke the live release",
          {"schema": 2, "migration": "breaks"}, disturbance=disturb.schema_restored, most_failed=160),
    # --- the candidate is bad under traffic -------------------------------------------------------------
    Fault("crash after 5 s", Stop.BAKE, "fail", ROLLED_BACK, "restarts",
          {"crash_after_seconds": 5}, {"BAKE_TIME": "8s"}, most_failed=120),
    Fault("flapping health", Stop.BAKE, "fail", ROLLED_BACK, "ready: expected status 200, found 503",
          {"flapping_ready": True}),
    Fault("500 on 5 % of requests", Stop.BAKE, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.05}, {"BAKE_TIME": "5s"}, most_failed=20),
    Fault("500 on half of the requests, first release", Stop.BAKE, "fail", ROLLED_BACK, "error rate at 100%",
          {"error_share": 0.5}, first=True, rate=0),
    Fault("errors within the limit, but more than live", Stop.BAKE, "fail", ROLLED_BACK,
          "error rate against live", {"error_share": 0.3}, {"ERROR_RATE_THRESHOLD": "60%"}, most_failed=60),
    Fault("errors under public traffic alone", Stop.BAKE, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.3, "only_public": True}, most_failed=60),
    Fault("errors under public traffic alone, canary 5 %", Stop.CANARY, "fail", ROLLED_BACK, "error rate",
          {"error_share": 0.5, "only_public": True}, SMALL_CANARY, rate=100, most_failed=20),
    Fault("a few users' errors beside a busy probe", Stop.CANARY, "fail", ROLLED_BACK, "error rate of users",
          {"error_share": 1, "only_public": True}, {**SMALL_CANARY, "ERROR_RATE_THRESHOLD": "20%"},
          rate=100, most_failed=30),
    Fault("p95 doubled", Stop.CANARY, "fail", ROLLED_BACK, "p95 against live",
          {"tail_share": 0.4, "tail_ms": 300}, CANARY, disturb.slow_live, rate=100),
    Fault("p95 above its limit", Stop.BAKE, "fail", ROLLED_BACK, "p95 within 50 ms",
          {"delay_ms": 120}, {"RESPONSE_TIME_THRESHOLD": "50ms"}),
    Fault("hung requests", Stop.BAKE, "inconclusive", ROLLED_BACK, "fewer than 20 requests",
          {"hang": True}, {"SHUTDOWN_GRACE": "1s", "REQUEST_TIMEOUT": "1s"}, most_failed=160),
    Fault("memory growing", Stop.BAKE, "fail", ROLLED_BACK, "memory at 100%",
          {"memory_mb_per_second": 250}, {"MEMORY_LIMIT": "128MiB", "BAKE_TIME": "2s"}),
    Fault("CPU burning", Stop.BAKE, "fail", ROLLED_BACK, "cpu at 100%",
          {"cpu_burn": 1}, {"CPU_USAGE_THRESHOLD": "10%"}),
    Fault("stray answers of another release", Stop.BAKE, "fail", ROLLED_BACK,
          "answers with the expected release at 100%",
          {"stray_release_share": 0.04}, {"ERROR_RATE_THRESHOLD": "30%", "BAKE_TIME": "2s"}),
    Fault("wrong release for users alone", Stop.BAKE, "fail", ROLLED_BACK, "the public address answers",
          {"wrong_release_public": True}),
    Fault("too few requests to tell", Stop.BAKE, "inconclusive", ROLLED_BACK, "fewer than 20 requests",
          environment={"PROBE_RATE": "1"}, rate=0),
    # --- what is shipped, and by which leave ------------------------------------------------------------
    Fault("environment key missing", Stop.COMMAND, "refused", BAD_INPUT, "BAKE_TIME",
          disturbance=disturb.environment_key_missing),
    Fault("artefact digest mismatch", Stop.COMMAND, "refused", REJECTED, "not what was built",
          {"delay_ms": 1}, disturbance=disturb.artefact_changed),
    Fault("artefact gone", Stop.COMMAND, "refused", UNREACHABLE, "is not at",
          {"delay_ms": 1}, disturbance=disturb.artefact_gone),
    Fault("required check missing", Stop.PROMOTE, "inconclusive", INCONCLUSIVE, "smoke-candidate: no verdict",
          disturbance=disturb.check_required),
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
    # --- others, dead or alive --------------------------------------------------------------------------
    Fault("two deploys at once", Stop.COMMAND, "refused", LOCK_HELD, "is releasing",
          disturbance=disturb.another_deploy),
    Fault("lock holder dead", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.dead_lock_holder),
    Fault("paused run wakes up overtaken", Stop.PROMOTE, "refused", LOCK_HELD, "no longer holds the lock",
          disturbance=disturb.overtaken_before_the_shift),
    # --- the records ------------------------------------------------------------------------------------
    Fault("journal truncated mid-line", Stop.LIVE, "pass", SHIPPED, "serves all requests",
          disturbance=disturb.journal_torn),
    Fault("journal damaged", Stop.COMMAND, "refused", UNREACHABLE, "the journal is damaged at line 2",
          disturbance=disturb.journal_damaged),
    Fault("history tampered", Stop.COMMAND, "refused", REJECTED, "tampered with at entry 1",
          disturbance=disturb.history_tampered, command=("history", "--verify"), rate=0),
    # --- going back -------------------------------------------------------------------------------------
    Fault("rollback past a schema change", Stop.COMMAND, "fail", REJECTED, "is unsafe: it knows schema 1",
          disturbance=disturb.newer_schema_live, command=("rollback", "--to", "{older}")),
    Fault("rollback to a release that broke on disk", Stop.COMMAND, "fail", REJECTED, "did not get ready",
          disturbance=disturb.older_release_broken, command=("rollback", "--to", "{older}")),
    # --- secrets, and commands to the runner, in what others print ---------------------------------------
    Fault("hook prints its environment", Stop.STAGE, "fail", REJECTED, "API_KEY=***",
          {"tells_in": "hook"}, {"API_KEY": "${API_KEY:-}"}, disturb.secret_planted),
    Fault("crash at start prints its environment", Stop.STAGE, "fail", REJECTED, "API_KEY=***",
          {"tells_in": "start", "crash_at_start": True}, {"API_KEY": "${API_KEY:-}"}, disturb.secret_planted),
    Fault("error page shows the environment", Stop.BAKE, "fail", ROLLED_BACK, "500: API_KEY=***",
          {"tells_in": "page", "error_share": 1}, {"API_KEY": "${API_KEY:-}"}, disturb.secret_planted,
          most_failed=300),
    Fault("log lines that forge workflow commands", Stop.STAGE, "fail", REJECTED, "\n::stop-commands::",
          {"tells_in": "start", "crash_at_start": True}, disturbance=disturb.within_a_workflow),
)
# fmt: on

BY_NAME = {fault.name: fault for fault in FAULTS}
