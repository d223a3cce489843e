"""Validates documents, one JSON array on standard input, by Kubernetes's own schemas, strictly.

Belongs to the tools' environment: imports nothing of ours. Arguments: versions of Kubernetes.
Writes a JSON array of complaints; a kind without a schema is one.
"""

from __future__ import annotations

import json
import sys

import kubernetes_validate as validate


def complaint(document: dict, version: str) -> str | None:
    """What is wrong with a document in a version of Kubernetes; None: nothing."""
    where = f"{document.get('kind')} {document.get('metadata', {}).get('name')} in {version}"
    try:
        validate.validate(document, version, strict=True)
    except validate.ValidationError as error:
        return f"{where}: {'.'.join(map(str, error.path))}: {error.message}"
    except validate.SchemaNotFoundError:
        return f"{where}: unknown kind {document['apiVersion']}"
    return None


if __name__ == "__main__":
    documents = json.load(sys.stdin)
    found = (complaint(one, version) for one in documents for version in sys.argv[1:])
    json.dump([text for text in found if text], sys.stdout)
