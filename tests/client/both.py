"""Both clients behind one way of calling, so that each test tries each of them."""

import asyncio
from typing import Any

from simlstm.client import AsyncClient, Client


class Threaded:
    """The synchronous client as it is."""

    def __init__(self, url: str, **options: Any) -> None:
        self._arguments = (url, options)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Open a client, call one method, close it."""
        url, client_options = self._arguments
        with Client(url, **client_options) as client:
            return getattr(client, method)(*arguments, **options)


class Awaited(Threaded):
    """The asynchronous client in an event loop of its own."""

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Open a client, await one method, close it."""
        url, client_options = self._arguments

        async def ask() -> Any:
            async with AsyncClient(url, **client_options) as client:
                return await getattr(client, method)(*arguments, **options)

        return asyncio.run(ask())


BOTH = (Threaded, Awaited)
