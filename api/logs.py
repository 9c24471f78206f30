"""Log lines: one JSON object each, or text; never a reason for a request to fail."""

import json
import logging
import sys
import time
from typing import Any, Literal

LogFormat = Literal["auto", "json", "text"]


def configure_logs(level: str, log_format: LogFormat = "auto") -> None:
    """Write all logs of this process to standard error, Uvicorn's among them.

    Args:
        level: least severe level that is written, in lower case.
        log_format: ``auto`` is text in a terminal, else JSON.
    """
    in_terminal = sys.stderr is not None and sys.stderr.isatty()
    as_text = log_format == "text" or (log_format == "auto" and in_terminal)
    handler = ForgivingHandler()
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class ForgivingHandler(logging.StreamHandler[Any]):
    """Writes to standard error, and drops a line that a full disk or a closed pipe does not take."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Drop what cannot be written; anything else is a fault of ours, told as ``logging`` tells it."""
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


class TextFormatter(logging.Formatter):
    """A line for people: the message, then the record's fields as ``key=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Write one line, without an exception's traceback."""
        fields = fields_of(record)
        line = super().formatMessage(record)
        return line + "".join(f" {name}={value}" for name, value in fields.items())


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was logged beside the message: ``logger.info("answered", extra={"fields": {"status": 200}})``."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
