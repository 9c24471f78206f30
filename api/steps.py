"""What workers count, as the application's metrics."""

from typing import TYPE_CHECKING

from api.engine.frames import Header
from api.metrics import Metrics

if TYPE_CHECKING:
    from api.hosting import HostedModel


class StepCounter:
    """Turns what one worker counts since its start into the application's counters."""

    def __init__(self, hosted: "HostedModel", metrics: Metrics) -> None:
        self._hosted = hosted
        self._metrics = metrics
        self._before = {"hits": 0, "misses": 0, "halvings": 0}

    def __call__(self, step: Header) -> None:
        """Count what a worker's message says of a step, or of requests that it dropped."""
        metrics = self._metrics
        if step["type"] == "dropped":
            metrics.dropped.inc(step["count"])
            return
        if step["sentences"]:
            metrics.batch_sentences.observe(step["sentences"])
            metrics.batch_tokens.observe(step["tokens"])
        counters = {"hits": metrics.cache_hits, "misses": metrics.cache_misses, "halvings": metrics.out_of_memory}
        for name, counter in counters.items():
            counter.inc(step[name] - self._before[name])
            self._before[name] = step[name]
        metrics.repeated.inc(step["repeated"])
        metrics.retried.inc(step["retries"])
        metrics.poisoned.inc(step["poisoned"])
        if self._hosted.counter is not self:
            return  # a retired worker's last steps
        self._hosted.cache_bytes = step["cache_bytes"]
        metrics.batch_token_budget.labels(self._hosted.facts.name).set(step["budget"])
        self._hosted.note_speed(sum(len(answer["token_counts"]) for answer in step["answers"]), step["seconds"])
