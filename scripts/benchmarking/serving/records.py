"""What a results file of the load benchmark holds."""

import statistics
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field

from scripts.benchmarking.records import Count, Difference, Machine, Positive, Record

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0)]


class Spread(Record):
    """Median and first and third quartile over the rounds."""

    median: Difference
    quartiles: tuple[float, float]

    @classmethod
    def over(cls, values: Sequence[float]) -> Self:
        """Summarise one value a round; of a single round, the value itself."""
        if len(values) == 1:
            return cls(median=values[0], quartiles=(values[0], values[0]))
        first, median, third = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median=median, quartiles=(first, third))


class LoadFigure(Record):
    """One server under one closed-loop load.

    Attributes:
        requests: Answered in all rounds together.
        requests_per_second: Over the rounds.
        p50_ms: Median latency of a round, over the rounds; ``p95_ms`` and ``p99_ms`` likewise.
        ratio: Ours over this server's in things a second, median over the paired rounds (above 1: ours is faster); a
            peer's base64 beside our base64; of our own, beside our first.
    """

    requests: Count
    requests_per_second: Spread
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    ratio: Positive


class LoadRow(Record):
    """All servers at one number of clients.

    Attributes:
        part: What a request asks for.
        clients: Connections, each of which asks again as soon as it is answered.
        things: Pairs or sentences in one request.
        figures: By server; the first one is ours.
    """

    part: Literal["single", "embeddings", "pairs"]
    clients: Count
    things: Count
    figures: dict[str, LoadFigure]


class AddedLatency(Record):
    """One idle client: what the server adds to the bare model call, milliseconds.

    Attributes:
        http_ms: Round trips of single pairs over one kept connection.
        model_ms: ``model.score([a], [b])`` of the same pairs, here, with as many threads as the worker.
        added_ms: The median of the differences, pair by pair; below 0 where the server is faster than the bare call.
    """

    pairs: Count
    http_ms: Spread
    model_ms: Spread
    added_ms: Annotated[float, Field(allow_inf_nan=False)]


class OverloadRow(Record):
    """Ours under one open-loop load; latencies count from the moment a request was meant to be sent.

    Attributes:
        things: Pairs in one request.
        load: Arrivals over the closed-loop peak measured right before, in the same round.
        peak: Requests a second of that closed loop, over the rounds.
        offered: Requests a second that were sent.
        goodput: Answers with 200 a second that arrived while requests were being sent.
        goodput_share: Goodput over the peak of its round.
        refused_share: Answers with 429 over all requests.
        lost: Requests without an answer, or with another status than 200 and 429, in all rounds.
        checked: Answers with 200 that were compared with the model's scores, every fiftieth, in all rounds.
        wrong: Those of them that held something else.
        accepted_p50_ms: Of answers with 200; ``accepted_p99_ms`` likewise. None where there was none.
        refused_p50_ms: Of answers with 429; ``refused_p99_ms`` likewise.
        generator_share: Share of one core that the generator itself took: it shares the cores with the server.
        memory_before_mib: Memory of the server's processes before the load, pages that they share counted once (PSS).
        memory_peak_mib: The largest sample while it lasted.
        memory_after_mib: Right after it.
    """

    things: Count
    load: Positive
    peak: Spread
    offered: Spread
    goodput: Spread
    goodput_share: Spread
    refused_share: Spread
    lost: Number
    checked: Number
    wrong: Number
    accepted_p50_ms: Spread | None
    accepted_p99_ms: Spread | None
    refused_p50_ms: Spread | None
    refused_p99_ms: Spread | None
    generator_share: Spread
    memory_before_mib: Spread
    memory_peak_mib: Spread
    memory_after_mib: Spread


class ServeReport(Record):
    """``simlstm benchmark serve``.

    Attributes:
        wrk: Version of the closed-loop generator; None when no part asked for it.
        model: The checkpoint that ours and the plain route serve.
        peers: What each peer is.
        skipped: Peers that did not take part, and why.
        parity: By server, the largest difference seen from what the model gives, before anything was timed.
        seconds: Of one measured run.
        rounds: Measured runs of each server at each load.
        sentences: Distinct sentences that requests are made of.
        server_settings: What ours was started with besides its defaults, by part.
        cache_hits: Sentences that ours answered from its cache in the parts before overload; None if it does not say.
    """

    subject: Literal["serve"] = "serve"
    machine: Machine
    wrk: str | None
    model: str
    peers: dict[str, str] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)
    parity: dict[str, Difference]
    seconds: Positive
    rounds: Count
    sentences: Count
    server_settings: dict[str, dict[str, str]] = Field(default_factory=dict)
    cache_hits: Number | None = None
    rows: list[LoadRow]
    latency: AddedLatency | None = None
    overload: list[OverloadRow] = Field(default_factory=list)


class RouteFigure(Record):
    """One kind of request of the soak.

    Attributes:
        meaning: What its numbers must be.
        failed: Answered with another status than 200, or not at all.
        wrong: Answered with other values than the model's.
        largest_difference: Among the right ones.
    """

    meaning: str
    answered: Number
    failed: Number
    wrong: Number
    largest_difference: Difference


class SoakReport(Record):
    """``simlstm benchmark serve --soak``.

    Attributes:
        seconds: Of the whole run.
        clients: Connections, each of which asks again as soon as it is answered.
        tolerance: Largest difference from the model's value that counts as right.
        routes: By kind of request.
        not_offered: Kinds that this server's OpenAPI document does not list.
        computed_sentences: Sentences that the server's encoder computed, by its own count; None if it does not say.
        cached_sentences: Sentences whose vector was in its cache; likewise.
        memory_mib: Memory of all the server's processes, pages that they share counted once (PSS), sampled evenly.
        memory_growth: Slope of the line through the last four fifths, times their duration, over the memory where they
            begin.
        last_growth: The last sample over the one where the last four fifths begin, less 1.
        p50_ms: Of all answers; ``p99_ms`` likewise.
        trouble: What the first wrong and failed answers were, without their texts.
    """

    subject: Literal["soak"] = "soak"
    machine: Machine
    model: str
    seconds: Positive
    clients: Count
    tolerance: Positive
    routes: dict[str, RouteFigure]
    not_offered: list[str]
    computed_sentences: Number | None
    cached_sentences: Number | None
    memory_mib: list[Positive]
    memory_growth: float
    last_growth: float
    requests_per_second: Positive
    p50_ms: Positive
    p99_ms: Positive
    trouble: list[str] = Field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Wrong answers of all routes."""
        return sum(route.wrong for route in self.routes.values())

    @property
    def failed(self) -> int:
        """Failed requests of all routes."""
        return sum(route.failed for route in self.routes.values())
