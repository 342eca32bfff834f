"""OpenTelemetry traces over OTLP. The SDK is imported only when an endpoint is set: it slows the start."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.settings import Settings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

_SILENT = ("/health", "/metrics")


def configure(settings: Settings) -> tuple["TelemetryConfig", Callable[[], None]]:
    """Return FastAPI's telemetry settings, and what sends the last spans before the process ends."""
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/")
    if not endpoint:
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}, _nothing
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(
        resource=Resource.create(
            {
                "service.name": "football",
                "service.version": settings.kickoff_release,
                "deployment.environment.name": settings.app_env,
            }
        )
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    return {
        "tracer_provider": provider,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: str(scope.get("path", "")).startswith(_SILENT),
    }, provider.shutdown


def _nothing() -> None:
    """Close nothing: tracing is off."""
