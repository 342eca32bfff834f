"""``doctor --env NAME``: is the host of an environment fit for a release?"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from kickoff import service, stack
from kickoff.environment import loader, schema
from kickoff.environment.check import Checked
from kickoff.errors import ExitCode, KickoffError
from kickoff.evidence import Verdict
from kickoff.host import checks, reach
from kickoff.host.checks import Finding, failed, passed, unknown
from kickoff.places import public_port

CLOCK = "https://github.com"
"""Whose HTTP date a clock is compared with; ``KICKOFF_CLOCK_URL`` names another."""
_MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?"}


def to_document(name: str, findings: list[Finding]) -> dict[str, object]:
    """Return the findings as JSON has them."""
    return {
        "environment": name,
        "fit": checks.exit_code(findings) == ExitCode.PASS,
        "findings": [asdict(finding) for finding in findings],
    }


def to_text(name: str, findings: list[Finding]) -> str:
    """Return what was found, with what to do about it, and whether the host is fit."""
    lines = []
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        lines.append(f"{_MARKS[finding.verdict]} {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"  {'':<{width}}  fix: {finding.fix}")
    words = {0: "is fit for a release", 1: "is not fit yet", 3: "may be fit: not everything could be checked"}
    return "\n".join([*lines, "", f"the host of {name} {words[checks.exit_code(findings)]}"])


def examine(name: str, root: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Return every finding about the host of environment ``name``.

    Raises:
        KickoffError: There is no such environment.
    """
    described = service.load(root).name
    keys = schema.read(root)
    environ = stack.sources(name, root, environ)
    checked = loader.inspect(name, root, keys, environ, with_secrets=True)
    # What is not set yet is said below, by name.
    wrong = [
        one for one in checked.findings if one.key not in checked.deferred and one.rule != "missing-secret"
    ]
    first = [
        failed("environment", f"{wrong[0].place}: {wrong[0].message}", wrong[0].fix)
        if wrong
        else passed("environment", f"configs/environments/{name}.env keeps the schema")
    ]
    kind = checked.values.get("DEPLOY_TARGET", "")
    compose = kind == "compose"
    what = "a Docker engine" if compose else "processes on the host itself, without Docker"
    first.append(
        passed("target", f"{kind}: {what}")
        if kind
        else failed("target", "not set", "set DEPLOY_TARGET in the file")
    )
    first.append(checks.secrets(sorted(checked.deferred)))
    ports, names, missing = _public(name, checked, environ, compose=compose)
    try:
        where = reach.address(checked.values.get("DEPLOY_HOST", ""))
        answer = reach.ask(
            where,
            {
                "state": _state(described, name, environ, remote=bool(where.host)),
                "ports": ports,
                "names": names,
                "docker": compose,
                "network": stack.NETWORK,
            },
        )
    except KickoffError as error:
        reason = "; ".join([str(error), *error.causes])
        return [
            *first,
            failed("host", reason, error.hint),
            unknown("everything on the host", "it cannot be asked"),
        ]
    facts = answer.facts
    findings = [*first, passed("host", where.name or "this machine"), checks.python(facts["python"])]
    if compose:
        findings += checks.docker(facts["docker"])
        findings.append(checks.network(stack.NETWORK, facts["docker"]["network"], name))
    findings += checks.state(facts["state"])
    ours = f"football-{name}/traefik" if compose else ""
    for port in ports:
        containers = facts.get("docker", {}).get("containers", {}).get(str(port), [])
        findings.append(
            checks.port(port, facts["ports"][str(port)], ours, containers, facts["state"]["path"])
        )
    findings += [*checks.names(facts["names"]), *missing]
    findings.append(_clock(where, answer, environ))
    return findings


def _state(described: str, name: str, environ: Mapping[str, str], *, remote: bool) -> str:
    configured = environ.get("KICKOFF_STATE_ROOT", "")
    if configured:
        # A path of this machine means nothing on another, unless it is a whole one.
        base = configured if remote else str(Path(configured).absolute())
        return f"{base}/{described}/{name}"
    return f"~state/kickoff/{described}/{name}"


def _public(
    name: str, checked: Checked, environ: Mapping[str, str], *, compose: bool
) -> tuple[list[int], list[str], list[Finding]]:
    """Return the public ports and names, and what is not known of them."""
    if compose and name == "production":
        ports = [public_port(80, environ, "HTTP_PORT"), public_port(443, environ, "HTTPS_PORT")]
        host = environ.get("PUBLIC_HOST", "")
        if host:
            return ports, [host], []
        return (
            ports,
            [],
            [unknown("public name", "PUBLIC_HOST is not set", "export PUBLIC_HOST, the certificate's name")],
        )
    text = checked.values.get("PUBLIC_PORT", "")
    port = public_port(int(text) if text.isdecimal() else 0, environ)  # a broken file was named above
    return ([port] if port else []), [], []


def _clock(where: reach.Address, answer: reach.Answer, environ: Mapping[str, str]) -> Finding:
    synchronised = str(answer.facts["synchronised"])
    if where.host:
        return checks.clock(answer.offset, answer.doubt, "this machine", synchronised)
    url = environ.get("KICKOFF_CLOCK_URL") or CLOCK
    began = time.time()
    try:
        told = parsedate_to_datetime(httpx.head(url, timeout=10, trust_env=True).headers["Date"]).timestamp()
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        ImportError,
        KeyError,
        ValueError,
    ):  # a proxy may be the reason
        return checks.clock(None, 0.0, f"{url} tells no time", synchronised)
    ended = time.time()
    # The date has whole seconds, cut off.
    middle, doubt = (began + ended) / 2, (ended - began) / 2 + 0.5
    return checks.clock(middle - (told + 0.5), doubt, url, synchronised)
