"""Where the weights of a model are among its objects, in memory and in a checkpoint.

A path is the names of the attributes that lead to a weight, as `encoder_layers/0/norm/beta`.
In lists, what has no weights does not count: a dropout between two layers leaves their paths alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from babelrank.components.errors import ModelError

Array = npt.NDArray[Any]

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # as TensorFlow names it in its files
_VALUE = "VARIABLE_VALUE"
_MODEL = ("model", "_model")
"""What a model is called in a checkpoint of a training, and in a `ServingModel`."""


@dataclass(frozen=True)
class ObjectGraph:
    """Objects by number, and those that are weights.

    Attributes:
        root: Number of the model.
        children: Object to the objects that it holds, by name.
        leaves: Object to the variable, or to its key in a checkpoint.
    """

    root: int
    children: Mapping[int, Mapping[str, int]]
    leaves: Mapping[int, Any]

    @classmethod
    def of_model(cls, model: tf.Module) -> ObjectGraph:
        """The objects of a model in memory; its leaves are `model.weights` or `model.variables`."""
        weights = getattr(model, "weights", None) or model.variables
        objects, children, left = {id(model): model}, {}, [id(model)]
        while left:
            parent = left.pop()
            held = tf.train.TrackableView.children(objects[parent])
            children[parent] = {name: id(child) for name, child in held.items()}
            for child in held.values():
                if id(child) not in objects:
                    objects[id(child)] = child
                    left.append(id(child))
        leaves = {id(weight): weight for weight in weights if id(weight) in objects}
        return cls(id(model), _counted(children, leaves), leaves)

    def at(self, path: str) -> Any:
        """The leaf at a path, or None."""
        node: int | None = self.root
        for name in path.split("/"):
            node = None if node is None else self.children.get(node, {}).get(name)
        return None if node is None else self.leaves.get(node)

    def paths(self) -> dict[str, Any]:
        """All leaves, by one of the shortest paths to each."""
        found: dict[str, Any] = {}
        seen, level = {self.root}, {"": self.root}
        while level:
            deeper: dict[str, int] = {}
            for path, node in level.items():
                for name, child in self.children.get(node, {}).items():
                    if child not in seen:
                        seen.add(child)
                        deeper[f"{path}/{name}".lstrip("/")] = child
            found |= {path: self.leaves[n] for path, n in deeper.items() if n in self.leaves}
            level = deeper
        return found


class SavedWeights:
    """The weights of a model in a checkpoint, or in the variables of a SavedModel.

    Args:
        prefix: The files' names up to `.index`.

    Attributes:
        names: Name of each variable to its key; with `read` for what has no path.

    Raises:
        ModelError: The files cannot be read, or hold names only and no objects.
    """

    def __init__(self, prefix: str) -> None:
        try:
            self._reader = tf.train.load_checkpoint(prefix)
            stored = self._reader.get_tensor(_GRAPH)
        except (ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
            raise ModelError(
                f"{prefix}: cannot read the weights: {error} Give a SavedModel, or a checkpoint "
                f"that tf.train.Checkpoint wrote."
            ) from error
        proto = trackable_object_graph_pb2.TrackableObjectGraph.FromString(stored)
        self._graph = _from_proto(proto)
        self.names: dict[str, str] = {
            attribute.full_name: attribute.checkpoint_key
            for node in proto.nodes
            for attribute in node.attributes
            if attribute.name == _VALUE
        }

    def get(self, path: str) -> Array | None:
        """The weight at a path below the model, or None."""
        key = self._graph.at(path)
        return None if key is None else self.read(key)

    def read(self, key: str) -> Array:
        """The weight with a key."""
        return np.asarray(self._reader.get_tensor(key))


def _from_proto(proto: Any) -> ObjectGraph:
    children = {
        number: {child.local_name: child.node_id for child in node.children}
        for number, node in enumerate(proto.nodes)
    }
    leaves = {
        number: attribute.checkpoint_key
        for number, node in enumerate(proto.nodes)
        for attribute in node.attributes
        if attribute.name == _VALUE
    }
    top = children.get(0, {})
    root = next((top[name] for name in _MODEL if name in top), 0)
    return ObjectGraph(root, _counted(children, leaves), leaves)


def _counted(
    children: Mapping[int, Mapping[str, int]], leaves: Mapping[int, Any]
) -> dict[int, dict[str, int]]:
    """The children, with the elements of lists numbered without those that lead to no leaf."""
    parents: dict[int, list[int]] = {}
    for parent, held in children.items():
        for child in held.values():
            parents.setdefault(child, []).append(parent)
    leading, left = set(leaves), list(leaves)
    while left:
        above = [p for p in parents.get(left.pop(), ()) if p not in leading]
        leading.update(above)
        left += above
    counted = {}
    for parent, held in children.items():
        elements = sorted((n for n in held if n.isdecimal() and held[n] in leading), key=int)
        counted[parent] = {n: c for n, c in held.items() if not n.isdecimal()} | {
            str(i): held[name] for i, name in enumerate(elements)
        }
    return counted
