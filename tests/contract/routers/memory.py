"""A router in memory: the protocol without a proxy, for tests."""

from dataclasses import dataclass

from kickoff.errors import ExitCode, KickoffError
from kickoff.release.model import Colour
from kickoff.release.route import Route
from kickoff.release.routers import Traffic


@dataclass
class MemoryRouter:
    """Holds a route; ``stubborn`` takes no other one over."""

    route: Route | None = None
    stubborn: bool = False

    def apply(self, route: Route) -> float:
        if self.stubborn:
            raise KickoffError("the previous route was restored", code=ExitCode.UNREACHABLE)
        self.route = route
        return 0.0

    def weights(self) -> dict[Colour, int]:
        return self.route.weights if self.route else {}

    def metrics(self) -> dict[str, Traffic]:
        return {str(colour): Traffic() for colour in self.weights()}
