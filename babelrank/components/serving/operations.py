"""The operations of a SavedModel, read from its file without loading it."""

from __future__ import annotations

from pathlib import Path

from babelrank.components.errors import ModelError


def used(model: Path) -> frozenset[str]:
    """Names of the operations of a SavedModel, those in its functions included.

    Raises:
        ModelError: The file is missing or is no SavedModel.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        raw = (model / "saved_model.pb").read_bytes()
        graphs = [one.graph_def for one in saved_model_pb2.SavedModel.FromString(raw).meta_graphs]
    except (OSError, DecodeError) as error:
        raise ModelError(f"{model}: cannot read the model: {error}") from error
    found: set[str] = set()
    functions: set[str] = set()
    for graph in graphs:
        found |= {node.op for node in graph.node}
        for function in graph.library.function:
            functions.add(function.signature.name)
            found |= {node.op for node in function.node_def}
    return frozenset(found - functions)
