"""Prometheus metrics: Text Embeddings Inference's ``te_*`` names, so that its dashboards port, and our own."""

import re
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FAILURES = ("validation", "authentication", "overloaded", "inference", "unhealthy", "timeout", "cancelled")
METHODS = ("single", "batch")
RELOAD_RESULTS = ("taken_up", "refused")
# Alerts ask for the rate of these: a series that appears with its first failure has none.
_WATCHED_STATUSES = (200, 429, 500, 503, 504)
_DURATIONS = tuple(0.0001 * 2.0**exponent for exponent in range(20))  # 0.1 ms to 52 s
_SIZES = tuple(2.0**exponent for exponent in range(13))
_TOKENS = tuple(2.0**exponent for exponent in range(21))
# prometheus_client ends every counter's name in _total; Text Embeddings Inference's counters have no suffix.
_SUFFIX = re.compile(rb"(?m)^((?:# (?:HELP|TYPE) )?te_\w+?)_total\b")


def failure_of(status_code: int) -> str:
    """Return the ``err`` label under which a failed request with this status is counted."""
    known = {401: "authentication", 429: "overloaded", 499: "cancelled", 503: "unhealthy", 504: "timeout"}
    return known.get(status_code, "validation" if status_code < 500 else "inference")


class Metrics:
    """All metrics of one application, in a registry of its own, every series present at zero from the start.

    Args:
        routes: the inference routes, whose request counters are to exist before the first request.
    """

    def __init__(self, routes: Iterable[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.request_count = self._counter("te_request_count", "Inference requests that were answered", "method")
        self.request_success = self._counter("te_request_success", "Inference requests that succeeded", "method")
        self.request_failure = self._counter("te_request_failure", "Inference requests that failed", "err")
        self.embed_count = self._counter("te_embed_count", "Sentences that entered the queue")
        self.embed_success = self._counter("te_embed_success", "Sentences that were embedded")
        self.request_duration = self._durations("te_request_duration", "Successful inference requests, whole")
        self.tokenization_duration = self._durations("te_request_tokenization_duration", "Tokenization of a request")
        self.queue_duration = self._durations("te_request_queue_duration", "Wait of a request for the model")
        self.inference_duration = self._durations("te_request_inference_duration", "Model call a request was part of")
        self.input_length = self._histogram("te_request_input_length", "Tokens of each sentence", _TOKENS)
        self.batch_sentences = self._histogram("te_batch_next_size", "Distinct sentences in a model call", _SIZES)
        self.batch_tokens = self._histogram("te_batch_next_tokens", "Tokens in a model call", _TOKENS)
        self.queue_size = Gauge("te_queue_size", "Sentences waiting for the model", registry=self.registry)

        self.pairs = self._counter("simlstm_pairs", "Sentence pairs that were scored")
        self.truncated = self._counter("simlstm_truncated_sentences", "Sentences that were cut at the token limit")
        self.repeated = self._counter("simlstm_repeated_sentences", "Sentences that shared another one's computation")
        self.retried = self._counter("simlstm_retried_batches", "Merged model calls that failed and were taken apart")
        self.dropped = self._counter("simlstm_dropped_requests", "Requests whose work was dropped while it waited")
        self.cancelled = self._counter("simlstm_cancelled", "Requests whose client left before the answer")
        self.poisoned = self._counter("simlstm_poisoned", "Sentences on which the model fails by themselves")
        self.cache_hits = self._counter("simlstm_cache_hits", "Sentences whose vector was still known")
        self.cache_misses = self._counter("simlstm_cache_misses", "Sentences whose vector was computed")
        self.cache_bytes = Gauge("simlstm_cache_bytes", "Bytes of vectors that are kept", registry=self.registry)
        self.out_of_memory = self._counter("simlstm_oom", "Model calls that ran out of memory")
        self.batch_token_budget = Gauge(
            "simlstm_batch_token_budget", "Tokens that a model call may hold now", ["model"], registry=self.registry
        )
        self.worker_restarts = self._counter("simlstm_worker_restarts", "Replaced workers", "model")
        self.reloads = self._counter(
            "simlstm_reloads", "Checkpoints looked at again, by what came of it", "model", "result"
        )
        self.responses = self._counter("simlstm_http_responses", "Answers by route and status", "route", "status")
        self.worker_up = Gauge("simlstm_worker_up", "1 while the model's worker is alive", registry=self.registry)
        self.ready = Gauge("simlstm_ready", "1 while /readyz answers 200", registry=self.registry)

        self._counts = {method: self.request_count.labels(method) for method in METHODS}
        self._successes = {method: self.request_success.labels(method) for method in METHODS}
        self._failures = {failure: self.request_failure.labels(failure) for failure in FAILURES}
        for route in routes:
            for status in _WATCHED_STATUSES:
                self.responses.labels(route, str(status))
        self._responses: dict[tuple[str, int], Counter] = {}

    def add_model(self, name: str) -> None:
        """Let a served model's series exist, at zero.

        Args:
            name: what clients call it.
        """
        self.batch_token_budget.labels(name)
        self.worker_restarts.labels(name)
        for result in RELOAD_RESULTS:
            self.reloads.labels(name, result)

    def count_response(self, route: str, status: int) -> None:
        """Count one answer; finding a series by its labels costs more than counting does, so that it is kept."""
        series = self._responses.get((route, status))
        if series is None:
            series = self._responses[route, status] = self.responses.labels(route, str(status))
        series.inc()

    def count_inference(self, method: str, status: int, seconds: float) -> None:
        """Count one inference request that was answered.

        Args:
            method: ``single`` or ``batch``.
            status: HTTP status of the answer.
            seconds: from the first byte of the request's head to the last byte of the answer.
        """
        self._counts[method].inc()
        if status == 200:
            self._successes[method].inc()
            self.request_duration.observe(seconds)
        else:
            self._failures[failure_of(status)].inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return _SUFFIX.sub(rb"\1", generate_latest(self.registry))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _durations(self, name: str, documentation: str) -> Histogram:
        return self._histogram(name, f"{documentation}, in seconds", _DURATIONS)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, documentation, buckets=buckets, registry=self.registry)
