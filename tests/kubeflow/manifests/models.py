"""Checks custom resources against the models that their projects publish as Python classes.

The classes are generated from the resources' definitions, but take unknown fields, and importing
them would bring half of Kubeflow along. So their tables of fields are read from the sources:
`openapi_types`, `attribute_map`, and the setters that refuse None.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.kubeflow.manifests.flink_models import FLINK

KINDS: dict[tuple[str, str], tuple[str | None, str]] = {
    ("serving.kserve.io/v1beta1", "InferenceService"): ("kserve", "V1beta1InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"): ("kserve", "V1alpha1ServingRuntime"),
    ("kubeflow.org/v1", "TFJob"): ("kubeflow.training", "KubeflowOrgV1TFJob"),
    ("flink.apache.org/v1beta1", "FlinkDeployment"): (None, "FlinkDeployment"),
}
"""Custom resources, and the package (None: `FLINK`) and class of their model."""

PLAIN = {"str": str, "bool": bool, "int": int, "float": (int, float), "object": object}
QUANTITY = ("ResourceQuantity", "IntstrIntOrString", "K8sIoApimachineryPkgApiResourceQuantity")


@dataclass(frozen=True)
class Model:
    """The fields of a class, as they stand in YAML.

    Attributes:
        types: Type of each field.
        needed: Fields that must be there.
    """

    types: dict[str, str]
    needed: frozenset[str]


class Models:
    """Reads models from the sources of installed packages.

    Args:
        packages: The folder in which the packages are.
    """

    def __init__(self, packages: Path) -> None:
        self.packages = packages

    def complaints(self, document: dict[str, Any]) -> list[str]:
        """What is wrong with a custom resource.

        Raises:
            KeyError: Its kind is not in `KINDS`.
        """
        package, name = KINDS[document["apiVersion"], document["kind"]]
        theirs = {} if package is None else self._sources(package)
        checker = _Checker({**self._sources("kubernetes.client"), **theirs})
        where = f"{document['kind']} {document['metadata']['name']}"
        return checker.compare(document, name, where)

    def _sources(self, package: str) -> dict[str, Path]:
        folder = self.packages.joinpath(*package.split("."), "models")
        return {_plain(path.stem): path for path in folder.glob("*.py")}


class _Checker:
    """Compares values with types.

    Args:
        sources: Where each class is, by its name in small letters without underscores.
    """

    def __init__(self, sources: dict[str, Path]) -> None:
        self.sources = sources
        self.models = {name: Model(types, frozenset()) for name, types in FLINK.items()}

    def compare(self, value: Any, type_: str, where: str) -> list[str]:
        """Complaints about a value."""
        if value is None:
            return [f"{where}: empty"]
        if type_ in QUANTITY:
            return [] if isinstance(value, str | int) else [f"{where}: takes a quantity"]
        if type_ in PLAIN:
            # A truth value is an int in Python, but not in YAML.
            fits = isinstance(value, PLAIN[type_]) and (
                type_ in ("bool", "object") or not isinstance(value, bool)
            )
            return [] if fits else [f"{where}: got {value!r}; takes {type_}"]
        if inner := re.fullmatch(r"list\[(.+)\]", type_):
            if not isinstance(value, list):
                return [f"{where}: takes a list"]
            pairs = [(f"{where}[{i}]", one) for i, one in enumerate(value)]
            return [text for at, one in pairs for text in self.compare(one, inner[1], at)]
        if inner := re.fullmatch(r"dict\(str, (.+)\)", type_):
            if not isinstance(value, dict):
                return [f"{where}: takes a mapping"]
            items = [(f"{where}.{key}", one) for key, one in value.items()]
            return [text for at, one in items for text in self.compare(one, inner[1], at)]
        return self._compare_model(value, type_, where)

    def _compare_model(self, value: Any, type_: str, where: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{where}: takes a mapping"]
        model = self._model(type_)
        found = [f"{where}: {name} is missing" for name in sorted(model.needed - value.keys())]
        for name, one in value.items():
            if name not in model.types:
                found.append(f"{where}: unknown field {name}")
            else:
                found += self.compare(one, model.types[name], f"{where}.{name}")
        return found

    def _model(self, name: str) -> Model:
        if name not in self.models:
            self.models[name] = _Source(self.sources[_plain(name)]).model
        return self.models[name]


class _Source:
    """The source of a generated class."""

    def __init__(self, path: Path) -> None:
        tree = ast.parse(path.read_text("utf-8"))
        self.body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body

    @cached_property
    def model(self) -> Model:
        names = self._table("attribute_map")
        types = {names[name]: type_ for name, type_ in self._table("openapi_types").items()}
        functions = [node for node in self.body if isinstance(node, ast.FunctionDef)]
        needed = {names[one.name] for one in functions if _refuses_none(one)}
        return Model(types=types, needed=frozenset(needed))

    def _table(self, name: str) -> dict[str, str]:
        for node in self.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
                table: dict[str, str] = ast.literal_eval(node.value)
                return table
        raise KeyError(name)


def _refuses_none(function: ast.FunctionDef) -> bool:
    raised = [node for node in ast.walk(function) if isinstance(node, ast.Raise)]
    texts = [ast.unparse(node) for node in raised]
    return any("must not be `None`" in text for text in texts)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
