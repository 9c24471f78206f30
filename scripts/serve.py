"""Serve checkpoints over HTTP."""

import os
import socket
import sys
from typing import Any

import typer
import uvicorn
from pydantic import ValidationError

from api.app import create_app
from api.logs import configure_logs
from api.options import sentences, with_settings_as_options
from api.served import models_from_flags
from api.settings import Settings
from api.settings_page import settings_page
from api.settings_sources import SettingsFileError
from api.tracing import TracingError


class AnnouncingServer(uvicorn.Server):
    """Uvicorn's server, printing one line with the address as soon as it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print where."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        _announce(f"simlstm answers at http://{shown}:{port} (documentation: http://{shown}:{port}/docs)")


def _announce(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # A full disk or a closed pipe is no reason not to serve; what print still holds must not fail at the exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _refuse(*reasons: str) -> typer.Exit:
    for reason in reasons:
        print(f"cannot start: {reason}", file=sys.stderr)
    return typer.Exit(2)


def read_settings(given: dict[str, Any]) -> Settings:
    """Build the settings from the flags that were given, the environment, and the settings file.

    Raises:
        typer.Exit: with status 2, once standard error says what is wrong.
    """
    flags = {name: value for name, value in given.items() if value is not None}
    try:
        flags |= models_from_flags(flags.pop("model", []))
        settings = Settings(**flags)
    except ValidationError as error:
        raise _refuse(*sentences(error, flags)) from error
    except (SettingsFileError, ValueError) as error:
        raise _refuse(str(error)) from error
    if not settings.served:
        raise _refuse("no model to serve: name a shipped one, or a checkpoint's folder, by --model or SIMLSTM_MODEL")
    return settings


@with_settings_as_options
def main(
    print_settings: bool = typer.Option(False, "--print-settings", help="Write docs/settings.md and end."),
    **given: Any,
) -> None:
    """Serve checkpoints over HTTP.

    Each option can be set by environment and by a TOML file (--settings) as well: see docs/settings.md.
    """
    if print_settings:
        print(settings_page(), end="")
        return
    settings = read_settings(given)
    configure_logs(settings.log_level, settings.log_format)
    try:
        app = create_app(settings)
    except TracingError as error:
        raise _refuse(str(error)) from error
    config = uvicorn.Config(
        app,
        http=app.state.http_protocol,
        host=settings.host,
        port=settings.port,
        log_config=None,  # its lines go where ours go, in our format
        log_level=settings.log_level,
        access_log=False,  # it would log whatever a user writes into a URL; the application logs routes
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    AnnouncingServer(config).run()


if __name__ == "__main__":
    typer.run(main)
