"""How long a client waits, and when it asks again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one request may take, in seconds.

    Args:
        connect: until a connection stands.
        read: between two pieces of an answer, and so until its first one; longer than the server's largest deadline.
        total: all attempts of one request with the pauses between them. A call that is split into several requests
            (``embed``, ``score``) has this time for each.

    Raises:
        ValueError: when one is not positive.
    """

    connect: float = 5.0
    read: float = 90.0
    total: float = 120.0

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            seconds = getattr(self, name)
            if not seconds > 0:
                raise ValueError(f"{name} is {seconds}; a number of seconds above 0 is needed")


@dataclass(frozen=True, slots=True)
class Retries:
    """When a request that failed is sent again: exponential backoff with full jitter.

    Args:
        most: attempts after the first one; 0 never asks again.
        base: upper bound of the first pause, in seconds; it doubles with each attempt.
        longest: where the doubling ends, in seconds.

    Raises:
        ValueError: when ``most`` is negative, or a time is not positive.
    """

    most: int = 5
    base: float = 0.1
    longest: float = 5.0

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ValueError(f"most is {self.most}; 0 or more attempts after the first one are allowed")
        for name in ("base", "longest"):
            seconds = getattr(self, name)
            if not seconds > 0:
                raise ValueError(f"{name} is {seconds}; a number of seconds above 0 is needed")

    def pause(self, attempts: int, chance: float, retry_after: float | None = None) -> float:
        """Return how long to wait after this many failed attempts, in seconds.

        The jitter comes on top of what the server asks for: many clients that were refused together would otherwise
        come back together.

        Args:
            attempts: how many have failed, at least 1.
            chance: uniform in [0, 1).
            retry_after: what the server asks for, in seconds.
        """
        # The exponent is bounded because two to the thousandth is no float.
        backoff = min(self.longest, self.base * 2.0 ** min(attempts - 1, 64))
        return (retry_after or 0.0) + chance * backoff


def retry_after_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return what the header ``Retry-After`` asks for, in seconds, or None when it is missing or makes no sense.

    A date is held against the answer's own ``Date``, so that it does not matter whose clock is wrong.

    Args:
        headers: names in lower case, or a mapping that ignores case.
        now: where the answer has no date; None is the present.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _date(value)
    if until is None:
        return None
    since = _date(headers.get("date", "")) or now or datetime.now(UTC)
    return max(0.0, (until - since).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
