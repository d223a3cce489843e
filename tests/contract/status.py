"""Errors as TensorFlow Serving tells them: a gRPC code, and the HTTP code that REST makes of it."""

from __future__ import annotations

import grpc

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INTERNAL = grpc.StatusCode.INTERNAL
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

_OF_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_HTTP = {
    INVALID: 400,
    PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class StatusError(Exception):
    """A request, or a load, that fails.

    Attributes:
        code: The gRPC status code.
        message: What a client reads.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message = code, message

    @classmethod
    def of(cls, number: int, message: str) -> StatusError:
        """The error of TensorFlow's code number, which is the same as gRPC's."""
        return cls(_OF_NUMBER[number], message)

    @property
    def http(self) -> int:
        """The HTTP code."""
        return _HTTP.get(self.code, 500)


def invalid(message: str) -> StatusError:
    """An error of the client's."""
    return StatusError(INVALID, message)
