"""JSON that travels through Kubernetes and Argo as it is."""

from __future__ import annotations

import json
from typing import Any


def quoted(data: Any) -> str:
    """JSON without $(NAME) and {{…}}, which Kubernetes and Argo would expand."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return text.replace("$", r"\u0024").replace("{{", r"\u007b\u007b")
