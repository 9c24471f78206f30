"""Limits on what one request may hold."""

from collections.abc import Sequence

from api.errors import ApiError
from api.facts import Facts
from api.service import Service
from api.settings import Settings

MOST_TOKENIZED_CHARACTERS = 65_536


def check_sentences(service: Service, model: Facts, **fields: str | list[str]) -> None:
    """Refuse a request to a model that is empty, holds too many sentences, or too long ones.

    Raises:
        ApiError: 422, naming the field, what came and what is allowed.
    """
    longest_allowed, most = service.settings.max_sentence_characters, service.limits(model).max_request_sentences
    total = 0
    for name, value in fields.items():
        sentences: Sequence[str] = [value] if isinstance(value, str) else value
        if not sentences:
            raise ApiError(422, "empty_input", f"{name} is an empty array; at least one sentence is needed", field=name)
        total += len(sentences)
        longest = max(range(len(sentences)), key=lambda position: len(sentences[position]))
        characters = len(sentences[longest])
        if characters > longest_allowed:
            place = name if isinstance(value, str) else f"{name}.{longest}"
            message = f"{place} has {characters} characters; {longest_allowed} are allowed"
            raise ApiError(422, "sentence_too_long", message, field=place)
    if total > most:
        message = f"{total} sentences in one request; {most} are allowed"
        raise ApiError(422, "too_many_sentences", message, field=next(iter(fields)))


def check_matrix(settings: Settings, first: int, second: int) -> None:
    """Refuse a matrix of more pairs than one answer should hold.

    Raises:
        ApiError: 422, naming what came and what is allowed.
    """
    if first * second > settings.max_matrix_pairs:
        message = f"{first} × {second} sentences are {first * second} pairs; {settings.max_matrix_pairs} are allowed"
        raise ApiError(422, "too_many_pairs", message, field="sentences1")


def check_tokenized(texts: Sequence[str]) -> None:
    """Refuse to tokenize more than some tens of sentences' worth of text: its answer is a hundred times as long.

    Raises:
        ApiError: 422, naming what came and what is allowed.
    """
    characters = sum(map(len, texts))
    if characters > MOST_TOKENIZED_CHARACTERS:
        message = f"{characters} characters came to be tokenized; {MOST_TOKENIZED_CHARACTERS} are allowed"
        raise ApiError(422, "too_many_characters", message, field="inputs")


def check_explained(settings: Settings, pairs: int) -> None:
    """Refuse to explain many pairs: each takes as long as a step of training, and its answer is long.

    Raises:
        ApiError: 422, naming what came and what is allowed.
    """
    if pairs > settings.max_explained_pairs:
        message = f"explain came with {pairs} pairs; {settings.max_explained_pairs} are allowed"
        raise ApiError(422, "too_many_explanations", message, field="explain")


def check_deadline(settings: Settings, deadline_ms: int | None) -> None:
    """Refuse a deadline beyond the server's own.

    Raises:
        ApiError: 422, naming what came and what is allowed.
    """
    if deadline_ms is not None and deadline_ms > settings.max_deadline_ms:
        message = f"deadline_ms is {deadline_ms}; at most {settings.max_deadline_ms} is allowed"
        raise ApiError(422, "deadline_too_long", message, field="deadline_ms")
