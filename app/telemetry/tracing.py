"""OpenTelemetry traces over OTLP. The SDK is imported only when an endpoint is set: it slows the start.

The proxy decides which requests are traced; ``OTEL_TRACES_SAMPLER_ARG`` does where it says nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from app.settings import Settings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

_SILENT: Final = ("/health", "/metrics")
# A receiver that hangs must not keep the process from its end; what it has not got by then is lost.
_LAST_SECONDS: Final = 1.0


class _Current:
    tracer: trace.Tracer = trace.NoOpTracer()


def configure(settings: Settings) -> tuple["TelemetryConfig", Callable[[], None]]:
    """Return FastAPI's telemetry settings, and what sends the last spans, within a second, before the end."""
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/")
    if not endpoint:
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}, _nothing
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg),
        resource=Resource.create(
            {
                "service.name": "football",
                "service.version": settings.kickoff_release,
                "deployment.environment.name": settings.app_env,
            }
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    _Current.tracer = provider.get_tracer(__name__)

    def flush() -> None:
        last = Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_SECONDS)

    return {
        "tracer_provider": provider,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        # A span for each function of the framework would cost more than it tells.
        "operation_spans": False,
        "exclude": lambda scope: str(scope.get("path", "")).startswith(_SILENT),
    }, flush


@contextmanager
def asked(system: str, operation: str, query: str = "") -> Iterator[None]:
    """Trace what a traced request asks of another server; whatever else asks leaves no span.

    Never parameters, keys or the text of an error, which may hold what users sent.

    Args:
        system: Which kind of server, as OpenTelemetry names it.
        operation: The command, which becomes the span's name.
        query: The statement, with placeholders for all values.
    """
    if not trace.get_current_span().is_recording():
        yield
        return
    attributes = {"db.system.name": system, "db.operation.name": operation}
    if query:
        attributes["db.query.text"] = query
    with _Current.tracer.start_as_current_span(
        operation,
        kind=trace.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise


def _nothing() -> None:
    """Close nothing: tracing is off."""
