"""Errors before the first record: an HTTP status and `{"error": {code, message, path}}`."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from .dialects.framing import to_json

__all__ = ["Problem", "json_response"]


class Problem(Exception):
    """A request that cannot be served. `path` names the part of the body that is wrong, as in `input.messages.0`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        path: str | None = None,
        error_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.path = path
        self.error_id = error_id
        self.headers = headers

    def response(self) -> Response:
        """The answer to send."""
        error = {"code": self.code, "message": self.message}
        for key in ("path", "error_id"):
            if getattr(self, key) is not None:
                error[key] = getattr(self, key)
        return json_response({"error": error}, self.status, self.headers)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as a JSON answer that no cache keeps."""
    return Response(
        to_json(value), status, {"cache-control": "no-store", **(headers or {})}, media_type="application/json"
    )
