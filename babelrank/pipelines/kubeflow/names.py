"""Names that Kubeflow Pipelines and Argo accept; neither makes them out of others."""

from __future__ import annotations

import re

from babelrank.components.errors import ConfigError

_LONGEST = 50
"""Argo adds to the name of a pipeline, and its label may have 63 characters."""


def step_name(node: str) -> str:
    """A TFX node's name as a task's: `StatisticsGen` becomes `statistics-gen`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+", "-", node)
    return spaced.strip("-").lower()


def pipeline_name(name: str) -> str:
    """The name of a pipeline in Kubeflow: in lower case, without underscores.

    Raises:
        ConfigError: It cannot be made.
    """
    made = name.replace("_", "-").lower().strip("-")
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", made) or len(made) > _LONGEST:
        raise ConfigError(
            f"name: got {name}; on Kubeflow it takes at most {_LONGEST} letters, digits and "
            f"hyphens, a letter first."
        )
    return made
