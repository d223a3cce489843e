"""Why the server does not answer a request, and the HTTP status of each reason."""

from __future__ import annotations

from babelrank.components.errors import BabelRankError


class Refusal(BabelRankError):
    """A request that gets no prediction.

    Attributes:
        status: HTTP status.
        retry_after: Seconds after which the client may try again; None: not the same request.
    """

    status = 500
    retry_after: int | None = None


class BadRequest(Refusal):
    """The request is not what the model takes."""

    status = 400


class TooLarge(Refusal):
    """The request is above a limit of the server."""

    status = 413


class Overloaded(Refusal):
    """Too many requests wait already."""

    status = 503
    retry_after = 1


class NotReady(Refusal):
    """No version of the model is loaded yet."""

    status = 503
    retry_after = 5


class TooLate(Refusal):
    """The answer would come after the deadline."""

    status = 504


class NotOffered(Refusal):
    """The protocol has it, and this server does not."""

    status = 501
