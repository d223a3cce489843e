"""The server's addresses: KServe's V1 and V2, the typing page, the models' state, the metrics."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.protocol.rest.v1_endpoints import register_v1_endpoints
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from babelrank.components.serving.server.guard import Guard
from babelrank.components.serving.server.kserve_model import Repository, plane
from babelrank.components.serving.server.metrics import Metrics
from babelrank.components.serving.server.refusals import Refusal
from babelrank.components.serving.server.served import Served
from babelrank.components.serving.server.settings import Settings

PAGE = Path(__file__).with_name("page.html")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def application(
    settings: Settings, models: Mapping[str, Served], metrics: Metrics, lifespan: Any
) -> FastAPI:
    """The application.

    Args:
        settings: What the server must know.
        models: The models by name.
        metrics: Where figures go.
        lifespan: What runs beside the server; see FastAPI.
    """
    app = FastAPI(title="BabelRank", openapi_url=None, docs_url=None, lifespan=lifespan)
    data_plane = plane(models)
    repository = Repository(data_plane.model_registry)
    register_v1_endpoints(app, data_plane, repository)
    register_v2_endpoints(app, data_plane, repository)
    app.add_api_route("/", _page(), methods=["GET"], response_class=HTMLResponse)
    app.add_api_route("/babelrank/models", lambda: states(models), methods=["GET"])
    app.add_api_route("/metrics", lambda: _metrics(metrics), methods=["GET"])
    _answer_errors(app)
    app.add_middleware(
        Guard,
        models=list(models),
        metrics=metrics,
        max_bytes=settings.limits.max_body_mib * 2**20,
        seconds=settings.limits.deadline_seconds,
        log_requests=settings.log_requests,
    )
    if settings.host in LOOPBACK:
        # Otherwise a page of the web could reach this machine's server under a name of its own.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    return app


def states(models: Mapping[str, Served]) -> list[dict[str, Any]]:
    """What the page, and people, want to know of each model."""
    found = []
    for name, served in models.items():
        loaded = served.loaded
        about = {} if loaded is None else loaded.form.description()
        found.append(
            {
                "name": name,
                "version": None if loaded is None else loaded.name,
                "verified": None if loaded is None else loaded.verified,
                "trouble": served.trouble,
                **about,
            }
        )
    return found


def _page() -> Callable[[], HTMLResponse]:
    """The typing page, with a policy that lets nothing else into it."""
    text = PAGE.read_text(encoding="utf-8")
    style, script = (_hash(text, tag) for tag in ("style", "script"))
    policy = (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    return lambda: HTMLResponse(text, headers=headers)


def _hash(page: str, tag: str) -> str:
    content = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    if content is None:
        raise ValueError(f"{PAGE}: has no <{tag}>.")
    return "sha256-" + base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()


def _metrics(metrics: Metrics) -> Response:
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _answer_errors(app: FastAPI) -> None:
    """Each error as `{"error": a sentence}`; only our own faults go to the log."""

    def refused(_: Any, error: Refusal) -> Response:
        headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        return _error(error.status, str(error), headers)

    def malformed(_: Any, error: RequestValidationError) -> Response:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3]
        )
        return _error(400, f"not what the protocol says: {told}")

    def unknown(_: Any, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail), error.headers)

    def failed(_: Any, error: Exception) -> Response:
        # Starlette raises the error once more, which Uvicorn logs, and closes the connection.
        told = "the server failed at this request; its log says why."
        return _error(500, told, {"connection": "close"})

    app.add_exception_handler(Refusal, refused)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, malformed)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, unknown)  # type: ignore[arg-type]
    for kind, status in (
        (InvalidInput, 400),
        (ModelNotFound, 404),
        (ModelNotReady, 503),
        (ServerNotReady, 503),
        (NotImplementedError, 501),
    ):
        app.add_exception_handler(kind, _answering(status))
    app.add_exception_handler(Exception, failed)


def _answering(status: int) -> Callable[[Any, Exception], Response]:
    headers = {"retry-after": "5"} if status == 503 else {}
    return lambda _, error: _error(status, str(error) or type(error).__name__, headers)


def _error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status_code=status, headers=dict(headers or {}))
