"""What `docker stack deploy` reads, made of a resolved compose file. Pure.

Compose and Swarm read different parts of that format. What means the same to both is said in the other's
words here; what Swarm cannot do and only hardens or orders a start is left out.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

LABELS = "kickoff."
FENCE, COLOUR, PROCESS, PROJECT, RELEASE = (
    f"{LABELS}{name}" for name in ("fence", "colour", "process", "project", "release")
)
"""Labels of a service: fencing token, colour, process, the project's name and the release."""
_MEANINGLESS = frozenset(
    {
        *("build", "container_name", "depends_on", "expose", "extends", "network_mode", "oom_score_adj"),
        *("profiles", "pull_policy", "restart", "security_opt"),
    }
)
_LIMITS = {"mem_limit": "memory", "cpus": "cpus", "pids_limit": "pids"}


def around(document: Mapping[str, Any], released: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return the stack around the colours: every service of a resolved compose file that no release starts.

    Args:
        document: The compose file.
        released: The services that releases start.
        project: The name of the whole.
    """
    services = {
        name: _service(one, {PROJECT: project, PROCESS: name})
        for name, one in document["services"].items()
        if name not in released
    }
    return {**_shared(document), "services": services}


def process(
    document: Mapping[str, Any],
    service: str,
    labels: Mapping[str, str],
    secrets: Mapping[str, str],
    **replaced: Any,  # noqa: ANN401 - fields of a compose file
) -> dict[str, Any]:
    """Return one process of a release as a service.

    Args:
        document: The resolved compose file of the release, with networks and volumes that are there.
        service: The service in it.
        labels: Its labels in the Swarm.
        secrets: File of each secret by the name under which it is mounted.
        replaced: Fields in place of those that the file has; those of ``deploy`` are added to it.
    """
    own = copy.deepcopy(dict(document["services"][service]))
    deploy = {**(own.get("deploy") or {}), "endpoint_mode": "dnsrr", **replaced.pop("deploy", {})}
    made = _service({**own, **replaced, "deploy": deploy}, labels)
    made.pop("ports", None)
    made["secrets"] = [{"source": name, "target": name} for name in secrets]
    # In a Swarm it would be another folder of that name on each node; the secrets take its place.
    places = {file.rpartition("/")[0] for file in secrets.values()}
    made["volumes"] = [
        one for one in made["volumes"] if not (one["target"] == "/run/secrets" or one.get("source") in places)
    ]
    return made


def stack(
    document: Mapping[str, Any], services: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, Any]:
    """Return a stack of services of a release, which the Swarm is to know under one name."""
    given = {name: {"file": file} for name, file in secrets.items()}
    used = {key for one in services.values() for key in one.get("networks") or ()}
    networks = {key: one for key, one in (document.get("networks") or {}).items() if key in used}
    return {
        "services": dict(services),
        "secrets": given,
        "networks": networks,
        "volumes": document.get("volumes") or {},
    }


def _shared(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ("networks", "volumes", "secrets", "configs") if document.get(key)}


def _service(service: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    left = _MEANINGLESS | _LIMITS.keys() | {"tmpfs"}
    made = {key: one for key, one in service.items() if key not in left and one is not None}
    deploy: dict[str, Any] = copy.deepcopy(made.get("deploy") or {})
    limits = deploy.setdefault("resources", {}).setdefault("limits", {})
    for key, name in _LIMITS.items():
        if service.get(key):
            limits.setdefault(name, int(service[key]) if name == "pids" else service[key])
    for kind in deploy["resources"].values():
        if "cpus" in kind:
            kind["cpus"] = str(kind["cpus"])  # Swarm reads a number of processors as text alone
    deploy["labels"] = {**(deploy.get("labels") or {}), **labels}
    mounts = [_volume(one) for one in service.get("volumes") or ()]
    mounts += [_tmpfs(text) for text in service.get("tmpfs") or ()]
    return {
        **made,
        "deploy": deploy,
        "volumes": mounts,
        "ports": [_port(one) for one in service.get("ports") or ()],
    }


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    bind = {key: one for key, one in (volume.get("bind") or {}).items() if key != "create_host_path"}
    kept = {key: one for key, one in volume.items() if key != "bind"}
    return kept | ({"bind": bind} if bind else {})


def _tmpfs(text: str) -> dict[str, Any]:
    """Return a mount for Compose's ``/tmp:size=16m,mode=1777``; its other options Swarm does not know."""
    target, _, options = text.partition(":")
    found = re.search(r"\bsize=(\d+)([kmg]?)", options)
    size = int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]] if found else 0
    return {"type": "tmpfs", "target": target} | ({"tmpfs": {"size": size}} if size else {})


def _port(port: Mapping[str, Any]) -> dict[str, Any]:
    """Return a port of the node itself: Swarm's own mesh would hide who asks, and spread over all edges."""
    made = {"target": int(port["target"]), "protocol": port.get("protocol", "tcp"), "mode": "host"}
    return made | ({"published": int(port["published"])} if port.get("published") else {})
