"""A typed client of the server, for threads and for asyncio; it needs no torch.

``from simlstm.client import Client, AsyncClient``: the methods are the same, those of ``AsyncClient`` are awaited.
"""

try:
    import httpx as _httpx  # noqa: F401  # first, so that one sentence tells what is missing
except ImportError as error:
    raise ImportError('simlstm.client needs httpx: pip install "simlstm[client]"') from error

from simlstm.client.async_client import AsyncClient
from simlstm.client.errors import (
    AuthenticationError,
    ConnectionFailedError,
    DeadlineExceededError,
    InvalidAnswerError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ServerError,
    TimedOutError,
    UnavailableError,
)
from simlstm.client.patience import Retries, Timeouts
from simlstm.client.results import (
    Health,
    Info,
    Matrix,
    RankedDocument,
    Ranking,
    ScoreInfo,
    ServedModel,
    Similarities,
    Similarity,
    Usage,
)
from simlstm.client.sync_client import Client

__all__ = [
    "AsyncClient",
    "AuthenticationError",
    "Client",
    "ConnectionFailedError",
    "DeadlineExceededError",
    "Health",
    "Info",
    "InvalidAnswerError",
    "InvalidRequestError",
    "Matrix",
    "NotFoundError",
    "OverloadedError",
    "RankedDocument",
    "Ranking",
    "Retries",
    "ScoreInfo",
    "ServedModel",
    "ServerError",
    "Similarities",
    "Similarity",
    "TimedOutError",
    "Timeouts",
    "UnavailableError",
    "Usage",
]
