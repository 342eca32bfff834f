"""Moving public traffic between the colours, inside the fence."""

import time

import httpx

from kickoff.environment.values import items
from kickoff.probing.http import open_client
from kickoff.prometheus import samples
from kickoff.release import shares
from kickoff.release.attempt import Attempt
from kickoff.release.model import Colour, State
from kickoff.release.route import Route
from kickoff.release.session import Session
from kickoff.service import InFlight


def shift(
    attempt: Attempt, weights: dict[Colour, int], fallback: Colour | None, *, forward: bool = False
) -> None:
    """Give the colours these shares of the traffic, as a step of the attempt."""
    with attempt.step("shift", weights={str(colour): weight for colour, weight in weights.items()}):
        route(attempt, weights, attempt.store.state(), fallback=fallback, forward=forward)


def route(
    attempt: Attempt,
    weights: dict[Colour, int],
    state: State,
    *,
    fallback: Colour | None = None,
    forward: bool = False,
) -> None:
    """Apply the route for ``state``; the fallback is the running colour users could return to.

    Only a step forward is for the edges' quorum to allow: the way back is open while any edge answers.
    """
    session = attempt.session
    spare = fallback if fallback in state.slots else state.warm
    if spare in weights or spare not in state.slots:
        spare = None
    wanted = Route(
        servers={colour: session.target.servers(colour, slot) for colour, slot in state.slots.items()},
        weights=weights,
        fallback=spare if weights else None,
        sticky=session.environment.boolean("STICKY_SESSIONS"),
        live_paths={
            colour: session.service_of(slot.release).live_path for colour, slot in state.slots.items()
        },
        entry_points=session.target.entry_points,
        # What an earlier version recorded has no such keys.
        private_paths=tuple(items(session.environment.values.get("PRIVATE_PATHS", ""))),
        drops_traces=session.environment.values.get("PUBLIC_TRACES") == "drop",
    )
    with attempt.fenced() as transaction:
        for edge, why in session.proxy.apply(wanted, transaction, forward=forward).items():
            attempt.run.log("an edge did not take part", "route", edge=edge, why=why)
            attempt.run.tell(f"edge {edge}: {why}; the others have the new route")
        shares.write(session, state.slots, weights)


def drain(attempt: Attempt, colour: Colour, state: State) -> float:
    """Wait until ``colour`` serves nothing any more, at most ``DRAIN_TIMEOUT``; return the seconds."""
    session, slot = attempt.session, state.slots.get(colour)
    if slot is None:
        return 0.0
    began = time.monotonic()
    deadline = began + session.environment.seconds("DRAIN_TIMEOUT")
    gauge = session.service_of(slot.release).in_flight
    with attempt.step("drain", colour=str(colour)):
        while session.target.connections(colour, slot) > 0 and time.monotonic() < deadline:
            if gauge is not None and _idle(session, colour, gauge):
                break
            time.sleep(0.1)
    return time.monotonic() - began


def _idle(session: Session, colour: Colour, gauge: InFlight) -> bool:
    """True when the service's own gauge says that nothing but this question is in flight."""
    if session.environment.values.get("API_WORKERS", "1") != "1":
        return False
    with session.target.reach(str(colour)) as endpoint:
        headers = {**endpoint.headers, **session.check_headers()}
        try:
            with open_client(endpoint.url, headers, seconds=2) as client:
                values = [one.value for one in samples(client.get(gauge.path).text, gauge.metric)]
        except (httpx.HTTPError, ValueError):
            return False  # what does not tell is waited for
    return bool(values) and sum(values) <= 1
