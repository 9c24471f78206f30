"""Serve a checkpoint over HTTP."""

import logging
import os
import socket
import sys
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError
from typer import Option

from simlstm.rnn.frozen import Precision


class AnnouncingServer(uvicorn.Server):
    """Uvicorn's server, printing one line with the address as soon as it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print where."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        print(f"simlstm answers at http://{shown}:{port} (documentation: http://{shown}:{port}/docs)", flush=True)


def main(
    model: Annotated[
        str, Option(envvar="SIMLSTM_MODEL", help="Checkpoint folder, or the name of a shipped checkpoint.")
    ],
    host: Annotated[str, Option(envvar="SIMLSTM_HOST", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[
        int, Option(envvar="SIMLSTM_PORT", min=0, max=65535, help="Port to listen on; 0 for a free one.")
    ] = 8000,
    device: Annotated[
        str | None, Option(envvar="SIMLSTM_DEVICE", help="Torch device. Default: CUDA when there is one, else the CPU.")
    ] = None,
    dtype: Annotated[
        Precision | None,
        Option(
            envvar="SIMLSTM_DTYPE",
            help="Arithmetic of the encoder; int8 on the CPU only. Default: bfloat16 on CUDA, float32 on the CPU.",
        ),
    ] = None,
    threads: Annotated[
        int | None, Option(envvar="SIMLSTM_THREADS", min=1, help="Threads of the model. Default: torch decides.")
    ] = None,
    name: Annotated[
        str | None, Option(envvar="SIMLSTM_NAME", help="Name that clients use. Default: the folder's name.")
    ] = None,
    drain_seconds: Annotated[
        int, Option(envvar="SIMLSTM_DRAIN_SECONDS", min=0, help="After SIGTERM, time for requests in flight to end.")
    ] = 20,
    log_level: Annotated[
        str, Option(envvar="SIMLSTM_LOG_LEVEL", help="critical, error, warning, info or debug.")
    ] = "info",
) -> None:
    """Serve a checkpoint over HTTP. Limits, keys and CORS come from environment variables: see docs/serve.md."""
    if log_level not in uvicorn.config.LOG_LEVELS:
        raise typer.BadParameter(f"log level {log_level!r}; allowed: {', '.join(uvicorn.config.LOG_LEVELS)}")
    settings = {"MODEL": model, "DEVICE": device, "DTYPE": dtype, "THREADS": threads, "NAME": name}
    os.environ.update({f"SIMLSTM_{key}": str(value) for key, value in settings.items() if value is not None})
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        config = uvicorn.Config(
            "api.app:create_app",
            factory=True,
            host=host,
            port=port,
            log_level=log_level,
            access_log=False,  # it would log whatever a user writes into a URL; the application logs routes
            server_header=False,
            timeout_graceful_shutdown=drain_seconds,
        )
        AnnouncingServer(config).run()
    except ValidationError as error:
        for problem in error.errors():
            place = ".".join(f"SIMLSTM_{part}".upper() for part in problem["loc"]) or "settings"
            print(f"cannot start: {place}: {problem['msg']}", file=sys.stderr)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
