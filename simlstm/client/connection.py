"""What both clients are told on construction, checked."""

import re

import httpx

from simlstm.client.patience import Retries, Timeouts
from simlstm.version import __version__

# Idle connections are closed after this many seconds, well before servers do (5 at the least): a request that leaves
# while the server closes has no answer.
POOL = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
_VISIBLE = re.compile(r"[!-~]+")


def address_of(base_url: str) -> str:
    """Return the server's address without a slash at its end.

    Raises:
        ValueError: when it is no address of HTTP.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"base_url is {base_url!r}: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ValueError(f"base_url is {base_url!r}; an address like http://127.0.0.1:8000 is needed")
    return base_url.rstrip("/")


def headers_of(api_key: str | None) -> dict[str, str]:
    """Return the headers of every request.

    Raises:
        ValueError: when the key cannot be sent in a header; it is not repeated.
    """
    headers = {"user-agent": f"simlstm/{__version__}", "accept": "application/json"}
    if api_key is not None:
        if not _VISIBLE.fullmatch(api_key):
            raise ValueError("api_key holds something other than visible ASCII characters, or nothing")
        headers["authorization"] = f"Bearer {api_key}"
    return headers


def timeouts_of(timeout: Timeouts | float) -> Timeouts:
    """Return the timeouts; a number is the total, and bounds the others."""
    if isinstance(timeout, Timeouts):
        return timeout
    return Timeouts(connect=min(Timeouts().connect, timeout), read=timeout, total=timeout)


def retries_of(retries: Retries | int) -> Retries:
    """Return the retries; a number is how many."""
    return retries if isinstance(retries, Retries) else Retries(most=retries)
