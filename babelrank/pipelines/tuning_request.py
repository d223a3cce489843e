"""What is asked of a search, checked before anything heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from babelrank.components.errors import ConfigError
from babelrank.pipelines import budget
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.search_space import Space, configured, load_space

METHODS = ("random", "hyperband")

METRIC = "training.early_stopping.metric"
LENGTH = ("training.epochs", "training.steps", "training.evaluate_every")
"""How long a trial trains: hyperband decides that itself."""


SEVERAL = ("multi_worker_mirrored", "parameter_server")
"""Strategies of several processes."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a search.

    Attributes:
        space: YAML file; see `search_space`.
        method: "random" or "hyperband".
        trials: Trials at the most, or None; see `search.Plan`.
        metric: Metric of the eval split; None: the one that early stopping watches.
        seed: Seed of the proposals, 1 or more.
    """

    space: Path
    method: str = "random"
    trials: int | None = None
    metric: str | None = None
    seed: int = 42


@dataclass(frozen=True)
class Search:
    """A request that was found to be right.

    Attributes:
        config: What all trials have in common.
        space: What is searched.
        request: The request.
        max_epochs: Where hyperband's longest trials end; None for a random search.
    """

    config: PipelineConfig
    space: Space
    request: Request
    max_epochs: int | None


def checked(config: PipelineConfig, request: Request) -> Search:
    """Checks a request on a configuration.

    Args:
        config: What all trials have in common.
        request: What is asked for.

    Raises:
        ConfigError: The configuration or the space does not fit the search.
    """
    _check_training(config)
    if request.metric is not None:
        config = configured(config, {METRIC: request.metric})
    max_epochs, refused = None, {}
    if request.method == "hyperband":
        max_epochs = budget.longest(config.training)
        refused = dict.fromkeys(LENGTH, "hyperband decides how long a trial trains")
    return Search(config, load_space(request.space, config, refused), request, max_epochs)


def _check_training(config: PipelineConfig) -> None:
    training = config.training
    if training.warm_start is not None:
        raise ConfigError(
            f"training.warm_start: got {training.warm_start!r}; trials start from random weights; "
            "takes null, such as by --set training.warm_start=null."
        )
    if training.strategy.name in SEVERAL:
        raise ConfigError(
            f"training.strategy.name: got {training.strategy.name}; one process runs the trials; "
            "takes auto, one_device, mirrored or tpu."
        )
