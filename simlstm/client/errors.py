"""What can go wrong between a caller and the server, as one hierarchy of exceptions."""


class ServerError(Exception):
    """A request that got no good answer; every other exception of the client is one of these.

    Args:
        message: the server's own sentence where there is one, else the client's.
        status: HTTP status; None when nothing was answered.
        code: stable name of the failure, such as ``invalid_request``; None when the answer names none.
        field: the field of the request that is at fault, if one is.
        request_id: what the server's log knows the request by.
        retry_after: seconds after which the server wants to be asked again; None when it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        field: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Say the message, then what one needs to look the failure up."""
        facts = {"status": self.status, "code": self.code, "request id": self.request_id}
        told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.message} ({told})" if told else self.message


class InvalidRequestError(ServerError):
    """The server refuses the request as it is; sending it again would not help."""


class AuthenticationError(ServerError):
    """The API key is missing or not accepted."""


class NotFoundError(ServerError):
    """No model of this name is served, or the server does not have the route."""


class UnavailableError(ServerError):
    """The server, or what stands before it, cannot serve now, and could not over all attempts."""


class OverloadedError(UnavailableError):
    """The server's queue is full, and stayed so over all attempts."""


class DeadlineExceededError(ServerError):
    """The server gave the request up at its deadline."""


class ConnectionFailedError(ServerError):
    """No connection, or it broke before the answer was there."""


class TimedOutError(ServerError):
    """The client's own patience ended before the answer was there."""


class InvalidAnswerError(ServerError):
    """What came back is not an answer of this server."""
