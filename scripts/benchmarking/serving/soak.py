"""A long mixed load whose every answer is compared with the model's own, and the server's memory meanwhile."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.serving.agreement import difference
from scripts.benchmarking.serving.counters import CacheCounts, cache_counts
from scripts.benchmarking.serving.memory import proportional_mib
from scripts.benchmarking.serving.questions import KINDS, TOLERANCE, Question, check_first, make_questions
from scripts.benchmarking.serving.records import RouteFigure, SoakReport
from scripts.benchmarking.serving.servers import Server
from scripts.benchmarking.serving.wire import Answer, AnswerReader, Client, address_of, get_request
from simlstm.models.similarity import SimilarityModel

_SAMPLES = 400
_FIRST_SAMPLE = 0.2  # share of the run in which a server may fill its caches
_TOLD = 10
_PAUSE = 0.1  # seconds before a broken connection is made again


@dataclass
class _Course:
    """What has happened so far."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def fail(self, kind: str, reason: str) -> None:
        self.failed[kind] += 1
        self._tell(f"{kind}: {reason}")

    def take(self, question: Question, answer: Answer) -> None:
        """Count an answer, and compare it."""
        if answer.status != 200:
            self.fail(question.kind, f"status {answer.status}")
            return
        self.answered[question.kind] += 1
        try:
            found = difference(question.read(json.loads(answer.body)), question.right)
        except (ValueError, KeyError, TypeError) as error:
            self.wrong[question.kind] += 1
            self._tell(f"{question.kind}: not of its shape ({type(error).__name__})")
            return
        if found > TOLERANCE:
            self.wrong[question.kind] += 1
            self._tell(f"{question.kind}: off by {found:.2g}")
        else:
            self.largest[question.kind] = max(found, self.largest.get(question.kind, 0.0))

    def _tell(self, what: str) -> None:
        if len(self.trouble) < _TOLD:
            self.trouble.append(what)


def measure_soak(
    server: Server,
    model: SimilarityModel,
    sentences: Sequence[str],
    *,
    seconds: float,
    clients: int = 8,
    questions: int = 200,
) -> SoakReport:
    """Ask every known route that the server lists, in random order, and check each answer.

    Args:
        server: Ours.
        model: The same checkpoint in this process.
        sentences: What is asked about.
        seconds: Of the run.
        clients: Connections, each of which asks again as soon as it is answered.
        questions: Different requests of each kind.

    Raises:
        RuntimeError: when the server lists no known route, or the first answer of one is not what it should be.
    """
    machine = describe_machine()
    asked, meanings, missing = _prepare(server, model, sentences, questions)
    course = _Course()
    before = cache_counts(server)
    began = time.perf_counter()
    asyncio.run(_run(server, asked, course, seconds=seconds, clients=clients))
    lasted = time.perf_counter() - began
    if not course.seconds:
        raise RuntimeError(f"no request was answered: {'; '.join(course.trouble)}")
    cached, computed = _counted(before, cache_counts(server))
    growth, last = growth_of(course.memory)
    return SoakReport(
        machine=machine,
        model=model.name,
        seconds=lasted,
        clients=clients,
        tolerance=TOLERANCE,
        routes={kind: _figure(kind, meaning, course) for kind, meaning in meanings.items()},
        not_offered=missing,
        computed_sentences=computed,
        cached_sentences=cached,
        memory_mib=[round(value, 2) for value in course.memory],
        memory_growth=growth,
        last_growth=last,
        requests_per_second=len(course.seconds) / lasted,
        p50_ms=1e3 * float(np.percentile(course.seconds, 50)),
        p99_ms=1e3 * float(np.percentile(course.seconds, 99)),
        trouble=course.trouble,
    )


def growth_of(memory: Sequence[float]) -> tuple[float, float]:
    """Return how memory grew over the last four fifths of evenly spaced samples, relative to where they begin.

    Returns:
        By the line fitted through them, and by the last one of them.
    """
    steady = np.asarray(memory[int(_FIRST_SAMPLE * len(memory)) :])
    if len(steady) < 2:
        return 0.0, 0.0
    slope = float(np.polyfit(np.arange(len(steady)), steady, 1)[0])
    return slope * (len(steady) - 1) / float(steady[0]), float(steady[-1] / steady[0]) - 1


def _prepare(
    server: Server, model: SimilarityModel, sentences: Sequence[str], count: int
) -> tuple[list[Question], dict[str, str], list[str]]:
    embeddings = model.encode(sentences)
    client = Client(server.url)
    try:
        offered = client.ask(get_request("/openapi.json"), "/openapi.json")["paths"]
        name = client.ask(get_request("/v1/models"), "/v1/models")["data"][0]["id"]
        asked: list[Question] = []
        meanings = {}
        for kind in KINDS:
            if kind.path in offered:
                made = make_questions(kind, model, name, sentences, embeddings, count=count)
                check_first(kind, made[0], client.ask(made[0].request, kind.name))
                meanings[kind.name] = str(kind.meaning)
                asked += made
    finally:
        client.close()
    if not asked:
        raise RuntimeError(f"{server.url}/openapi.json lists none of {', '.join(kind.path for kind in KINDS)}")
    return asked, meanings, [kind.name for kind in KINDS if kind.name not in meanings]


async def _run(
    server: Server,
    asked: Sequence[Question],
    course: _Course,
    *,
    seconds: float,
    clients: int,
) -> None:
    end = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch(server, course, end, max(0.02, seconds / _SAMPLES)))
        for number in range(clients):
            tasks.create_task(_ask(server, asked, course, end, random.Random(number)))  # noqa: S311


async def _watch(server: Server, course: _Course, end: float, pause: float) -> None:
    while time.perf_counter() < end:
        # Off the loop: it reads some hundred small files, and answers would wait for it.
        course.memory.append(await asyncio.to_thread(proportional_mib, server.process))
        await asyncio.sleep(pause)


async def _ask(
    server: Server,
    asked: Sequence[Question],
    course: _Course,
    end: float,
    draws: random.Random,
) -> None:
    address = address_of(server.url)
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.perf_counter() < end:
        question = draws.choice(asked)
        try:
            if stream is None:
                stream = await asyncio.open_connection(*address)
            start = time.perf_counter()
            answer = await _exchange(*stream, question.request)
        except (OSError, ValueError) as error:
            course.fail(question.kind, f"no answer ({type(error).__name__})")
            if stream is not None:
                stream[1].close()
            stream = None
            await asyncio.sleep(_PAUSE)
            continue
        course.seconds.append(time.perf_counter() - start)
        course.take(question, answer)
    if stream is not None:
        stream[1].close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    writer.write(request)
    answers = AnswerReader()
    while True:
        data = await reader.read(1 << 18)
        if not data:
            raise ConnectionError("closed without an answer")
        answer = answers.feed(data)
        if answer is not None:
            return answer


def _counted(before: CacheCounts | None, after: CacheCounts | None) -> tuple[int, int] | tuple[None, None]:
    if before is None or after is None:
        return None, None
    return after.cached - before.cached, after.computed - before.computed


def _figure(kind: str, meaning: str, course: _Course) -> RouteFigure:
    return RouteFigure(
        meaning=meaning,
        answered=course.answered[kind],
        failed=course.failed[kind],
        wrong=course.wrong[kind],
        largest_difference=course.largest.get(kind, 0.0),
    )
