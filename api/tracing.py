"""OpenTelemetry traces, sent by OTLP over HTTP where the environment names a collector."""

import os
import threading
import time
from typing import TYPE_CHECKING

from starlette.types import Scope

from simlstm import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_STAGES = ("queue", "tokenization", "inference")
_FLUSH_SECONDS = 3.0


class TracingError(Exception):
    """Traces are asked for and cannot be made; the message is one sentence for whoever started the server."""


def tracing_from_environment() -> "Tracing | None":
    """Return what records traces; None, and nothing of OpenTelemetry's SDK imported, when no collector is named.

    OpenTelemetry's own variables hold: the endpoint, headers and timeouts of OTLP, ``OTEL_SERVICE_NAME``,
    ``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``, ``OTEL_BSP_*``, and ``OTEL_SDK_DISABLED``.

    Raises:
        TracingError: when a collector is named but the extra ``trace`` is missing, or the protocol is another one.
    """
    endpoint = next((name for name in _ENDPOINTS if os.environ.get(name, "").strip()), None)
    if endpoint is None or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    protocol = next((name for name in _PROTOCOLS if os.environ.get(name, "").strip()), None)
    if protocol is not None and os.environ[protocol].strip() != "http/protobuf":
        raise TracingError(f"{protocol} is {os.environ[protocol]}; traces are sent by http/protobuf only")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        message = f'{endpoint} is set, but the package {error.name!r} is missing; pip install "simlstm[trace]"'
        raise TracingError(message) from error
    own = Resource({SERVICE_NAME: "simlstm", SERVICE_VERSION: __version__})
    named = Resource.create()
    if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):
        named = named.merge(own)
    exporter = OTLPSpanExporter()
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, exporter)


class Tracing:
    """Records answered requests as spans, which a thread sends in batches.

    Args:
        provider: holds the sampler and the queue.
        exporter: what sends the queue's batches.
    """

    def __init__(self, provider: "TracerProvider", exporter: "SpanExporter") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("simlstm", __version__)
        self._parents = TraceContextTextMapPropagator()
        self._trace = trace

    def record(self, scope: Scope, method: str, route: str, status: int, seconds: float) -> str:
        """Record a request that ends now, with its parent from ``traceparent``, and what its time went to.

        Nothing that a caller wrote is recorded, neither a path nor a query nor a header, but the request's checked id.

        Args:
            scope: of the request; ``scope["state"]`` may hold ``sentences``, ``tokens``, ``model`` and ``timings``.
            method: of HTTP, one of the known ones.
            route: the route's path as it is written in the code.
            status: of the answer.
            seconds: that the request took.

        Returns:
            The trace's id, in hexadecimal.
        """
        state = scope["state"]
        ended = time.time_ns()
        started = ended - int(seconds * 1e9)
        matched = route != "unmatched"
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", "1.1"),
            "http.response.status_code": status,
            "simlstm.request_id": state["request_id"],
        }
        if matched:
            attributes["http.route"] = route
        if status >= 500:
            attributes["error.type"] = str(status)
        attributes |= {f"simlstm.{name}": state[name] for name in ("sentences", "tokens", "model") if name in state}
        span = self._tracer.start_span(
            f"{method} {route}" if matched else method,
            context=self._parent(scope),
            kind=self._trace.SpanKind.SERVER,
            attributes=attributes,
            start_time=started,
        )
        if span.is_recording():
            if "error.type" in attributes:
                span.set_status(self._trace.StatusCode.ERROR)
            self._record_stages(span, state.get("timings", {}), started, ended)
        span.end(ended)
        return self._trace.format_trace_id(span.get_span_context().trace_id)

    def close(self) -> None:
        """Send what is left, for some seconds if the collector does not answer, and stop."""
        give_up = threading.Timer(_FLUSH_SECONDS, self._exporter.shutdown)
        give_up.start()
        self._provider.shutdown()
        give_up.cancel()
        give_up.join()

    def _parent(self, scope: Scope) -> "Context":
        from opentelemetry.context import Context

        # Without tracestate: that one carries a caller's own words, and would be exported.
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        return self._parents.extract({} if parent is None else {"traceparent": parent}, Context())

    def _record_stages(self, span: "Span", timings: dict[str, float], started: int, ended: int) -> None:
        """Record the stages, their lengths as measured, placed one after the other up to the end of the request."""
        context = self._trace.set_span_in_context(span)
        lengths = {name: int(timings[name] * 1e9) for name in _STAGES if name in timings}
        begin = max(started, ended - sum(lengths.values()))
        for name, length in lengths.items():
            end = min(begin + length, ended)
            self._tracer.start_span(name, context=context, start_time=begin).end(end)
            begin = end
