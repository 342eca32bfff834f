"""A router in memory: the protocol without a proxy, for tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route
from kickoff.release.routers import Readings, Shown, Traffic
from kickoff.release.stores import Transaction


@dataclass
class MemoryRouter:
    """Holds a route; ``stubborn`` takes no other one over."""

    route: Route | None = None
    stubborn: bool = False

    def apply(self, route: Route, _transaction: Transaction, *, forward: bool = False) -> Mapping[str, str]:
        del forward
        if self.stubborn:
            raise KickoffError("the previous route was restored", code=ExitCode.UNREACHABLE)
        self.route = route
        return {}

    def weights(self) -> dict[Colour, int]:
        return self.route.weights if self.route else {}

    def shown(self) -> Shown:
        return Shown()

    def metrics(self) -> Readings:
        return {"memory": {str(colour): Traffic() for colour in self.weights()}}
