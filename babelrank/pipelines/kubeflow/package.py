"""A compiled pipeline, as it is handed to Kubeflow Pipelines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from babelrank.components.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Package:
    """A compiled pipeline.

    Attributes:
        name: Name of the pipeline.
        text: The YAML.
        parameters: Names of the run's parameters.
        titles: What people call a task, by the names that Kubeflow may give it.
    """

    name: str
    text: str
    parameters: tuple[str, ...]
    titles: dict[str, str]

    @classmethod
    def read(cls, text: str, where: str) -> Package:
        """A package from its text.

        Args:
            text: YAML.
            where: File that it is from, for messages.

        Raises:
            InputError: It is no compiled pipeline.
        """
        try:
            spec: Any = next(iter(yaml.safe_load_all(text)), None)
            name = spec["pipelineInfo"]["name"]
            given = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        except (yaml.YAMLError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{where}: no compiled pipeline; takes what `babelrank compile` writes."
            ) from None
        return cls(name=name, text=text, parameters=tuple(given), titles=_titles(spec))

    @property
    def version(self) -> str:
        """Name of this version of the pipeline, other for each other text."""
        return f"{self.name}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    def check(self, name: str, parameters: Iterable[str], where: str) -> None:
        """Checks that it is the package of a pipeline and takes the parameters of a run.

        Raises:
            InputError: It is another pipeline's, or lacks a parameter.
        """
        if self.name != name:
            raise InputError(
                f"{where}: is the pipeline {self.name}, and the configuration is of {name}. Give "
                f"the configuration that it was compiled from."
            )
        missing = [one for one in parameters if one not in self.parameters]
        if missing:
            raise InputError(
                f"{where}: has no parameter {', '.join(missing)}; compile it anew with this "
                f"version of `babelrank compile`."
            )


def _titles(spec: dict[str, Any]) -> dict[str, str]:
    """The tasks of all graphs in a pipeline, but for groups of tasks."""
    components = spec.get("components", {})
    titles = {}
    for graph in (spec["root"], *components.values()):
        for key, task in graph.get("dag", {}).get("tasks", {}).items():
            if "dag" not in components.get(task["componentRef"]["name"], {}):
                title = task.get("taskInfo", {}).get("name", key)
                titles[key] = titles[title] = title
    return titles
