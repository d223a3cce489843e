"""What it means when Kubeflow Pipelines says no, or nothing, and what to do about it."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from babelrank.components.errors import BabelRankError
from babelrank.pipelines.kubeflow.connection import PREFIX, Connection


class UnreachableError(BabelRankError):
    """Kubeflow Pipelines does not answer, or is not well; it may be later."""


class RefusedError(BabelRankError):
    """Kubeflow Pipelines does not do what it was asked to."""


def refusal(error: Any, connection: Connection) -> BabelRankError:
    """An answer that says no, as an error that says what to do.

    Args:
        error: The client's ApiException.
        connection: How the server was reached.
    """
    endpoint, status = connection.endpoint, error.status
    said = _message(error)
    if status == 401:
        remedy = (
            "does not know who asks"
            if connection.token is None and connection.token_file is None
            else "does not accept the token; it may have ended"
        )
        return RefusedError(
            f"{endpoint}: {remedy} (401: {said}). Give a token with --token-file or "
            f"{PREFIX}TOKEN, such as of `kubectl create token ACCOUNT --audience "
            f"pipelines.kubeflow.org`."
        )
    if status == 403:
        where = f"namespace {connection.namespace}" if connection.namespace else "this"
        return RefusedError(
            f"{endpoint}: no permission for {where} (403: {said}). Choose another --namespace, or "
            f"have the role kubeflow-edit bound to the account of the token there."
        )
    if status >= 500:
        return UnreachableError(f"{endpoint}: is not well ({status}: {said}). Try again later.")
    return RefusedError(f"{endpoint}: refused ({status}): {said}")


def silence(error: Exception, connection: Connection) -> BabelRankError:
    """No answer, as an error that says what to do.

    Args:
        error: urllib3's HTTPError.
        connection: How the server was looked for.
    """
    endpoint, cause = connection.endpoint, getattr(error, "reason", None) or error
    said = str(cause).rsplit(": ", 1)[-1].strip(" .")  # without objects and their addresses
    if isinstance(cause, urllib3.exceptions.SSLError):
        return RefusedError(
            f"{endpoint}: cannot be trusted: {said}. Give its certificate authority with --ca-file."
        )
    return UnreachableError(
        f"{endpoint}: does not answer: {said}. Check --endpoint; outside of the cluster, is "
        f"`kubectl port-forward` running?"
    )


def _message(error: Any) -> str:
    """What the server said, in a line."""
    try:
        body = json.loads(error.body)
        text = body.get("message") or body.get("error")
    except (TypeError, ValueError, AttributeError):
        text = None
    return " ".join(str(text or error.reason).split())[:500]
