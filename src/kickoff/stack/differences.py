"""Differences of two resolved compose files, as changes of the containers and networks of a stack. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

STATEFUL = "kickoff.stateful"
"""Label of a service whose data live in its volume: it is recreated only by name."""
PROXY = "traefik"
"""Service that users come in by."""
_NETWORK = "network "
_HOLDS_DATA = "holds data"
_CUTS_OFF = "users are cut off for some seconds"
_ENDS_ALL = "every container of the stack is made anew, and users are cut off until they are up"


@dataclass(frozen=True, slots=True)
class Change:
    """One service, or one network, that would be touched.

    Attributes:
        name: Its name in the compose file.
        action: ``create``, ``recreate``, ``restart``, ``reload``, ``start`` or ``remove``.
        why: What differs, for people.
        cost: What the change may cost, for people; empty for nothing.
        network: Whether it is a network.
    """

    name: str
    action: str
    why: str
    cost: str = ""
    network: bool = False

    @property
    def by_name(self) -> bool:
        """True when it is done only for a person who names it."""
        return self.network or (self.cost == _HOLDS_DATA and self.action in ("recreate", "remove"))

    @property
    def remakes(self) -> bool:
        """True when the container is made anew, or goes."""
        return self.action in ("create", "recreate", "remove")

    def __str__(self) -> str:
        name = f"{_NETWORK * self.network}{self.name}"
        return f"{self.action:<9} {name:<24} {self.why}{f' ({self.cost})' * bool(self.cost)}"


def differences(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    touched: Mapping[str, str],
    stopped: Collection[str],
) -> list[Change]:
    """Return what has to be done to get from one resolved compose file to another.

    Args:
        before: The one that was applied; empty for none.
        after: The one that is wanted.
        touched: Mounted files and folders that differ in content, with their names for people.
        stopped: Services that have no running container, though they should.
    """
    old, new = before.get("services", {}), after.get("services", {})
    found = list(_networks(before, after))
    for name, wanted in new.items():
        mounted = [touched[source] for source in sources(wanted, after) if source in touched]
        if name not in old:
            found.append(_change(name, "create", "is new", wanted))
        elif old[name] != wanted:
            found.append(_change(name, "recreate", _keys(old[name], wanted), wanted))
        elif name in stopped:
            found.append(_change(name, "start", "is not running", wanted))
        elif mounted:
            found.append(_change(name, "restart", f"{mounted[0]} changed", wanted))
    gone = [_change(name, "remove", "is no longer wanted", old[name]) for name in old if name not in new]
    return found + gone


def _networks(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the networks that differ; one that is new is made with the services that join it."""
    old, new = before.get("networks") or {}, after.get("networks") or {}
    return [
        Change(name, "recreate", _keys(old[name], new[name]), _ENDS_ALL, network=True)
        for name in new
        if name in old and old[name] != new[name]
    ]


def _change(name: str, action: str, why: str, service: Mapping[str, Any]) -> Change:
    cost = _HOLDS_DATA if (service.get("labels") or {}).get(STATEFUL) == "true" else ""
    if name == PROXY and action in ("recreate", "restart", "remove"):
        cost = _CUTS_OFF
    return Change(name, action, why, cost)


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return f"{', '.join(differing)} changed"


def sources(service: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Return the places on the host that a service mounts, secrets included."""
    mounts = [mount["source"] for mount in service.get("volumes") or [] if mount.get("type") == "bind"]
    secrets = document.get("secrets") or {}
    return mounts + [
        secrets[s["source"]]["file"] for s in service.get("secrets") or [] if s["source"] in secrets
    ]


def run_once(document: Mapping[str, Any]) -> set[str]:
    """Return the services that end by themselves: another one waits for their end."""
    return {
        name
        for service in document["services"].values()
        for name, needed in (service.get("depends_on") or {}).items()
        if needed.get("condition") == "service_completed_successfully"
    }
