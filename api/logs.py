"""Log lines: one JSON object each, or text; never a reason for a request to fail, and never a user's text."""

import logging
import sys
import time
import traceback
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson

LogFormat = Literal["auto", "json", "text"]
_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def configure_logs(level: str, log_format: LogFormat = "auto") -> None:
    """Write all logs of this process to standard error, Uvicorn's among them.

    Args:
        level: least severe level that is written, in lower case.
        log_format: ``auto`` is text in a terminal, else JSON.
    """
    in_terminal = sys.stderr is not None and sys.stderr.isatty()
    as_text = log_format == "text" or (log_format == "auto" and in_terminal)
    handler = ForgivingHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class ForgivingHandler(logging.StreamHandler[TextIO]):
    """Drops a line that a full disk, a closed pipe or a closed stream does not take."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing of what cannot be written, and of other faults where in the code they are."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError | ValueError) and self.stream is not None:
            super().handleError(record)


class _PlainFormatter(logging.Formatter):
    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        """Write an exception's type and places; its own text may quote a user's sentence."""
        kind, error, _ = ei
        if error is None:
            return ""
        said = [f"{getattr(kind, '__name__', kind)} at"]
        while error is not None:
            said.extend(traceback.format_tb(error.__traceback__))
            error = error.__cause__ or error.__context__
            if error is not None:
                said.append(f"after {type(error).__name__} at")
        return "\n".join(line.rstrip("\n") for line in said)


class TextFormatter(_PlainFormatter):
    """A line for people: the message, then the record's fields as ``key=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Write the line itself, to which ``format`` adds an exception's places."""
        return super().formatMessage(record) + "".join(f" {name}={value}" for name, value in fields_of(record).items())


class JsonFormatter(_PlainFormatter):
    """One JSON object a line: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, and the record's fields."""

    def __init__(self) -> None:
        super().__init__()
        self._second = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = {
            "time": f"{self._whole_seconds(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _as_json(line)

    def _whole_seconds(self, second: int) -> str:
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return self._second[1]


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was logged beside the message: ``logger.info("answered", extra={"fields": {"status": 200}})``."""
    return record.__dict__.get("fields") or {}


def _as_json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str).decode()
    except TypeError:  # half a surrogate pair, which has no UTF-8, or an integer beyond 64 bits
        shown = {name: str(value).encode("utf-8", "replace").decode() for name, value in line.items()}
        return orjson.dumps(shown).decode()
