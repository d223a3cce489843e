"""The configuration of a whole pipeline: one YAML file, one dataclass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from babelrank.components.config import option, required, section
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation import gate
from babelrank.components.evaluation.gate import EvaluationConfig
from babelrank.components.ingest.config import TIME, IngestConfig, SpansConfig, SplitsConfig
from babelrank.components.ranking import features
from babelrank.components.ranking.config import DataConfig, ModelConfig, TransformConfig
from babelrank.components.serving.config import PushConfig
from babelrank.components.training.config import TrainingConfig

BEAM_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")


@dataclass(frozen=True, kw_only=True)
class RankingConfig:
    """The ranking pipeline."""

    name: str = option("ranking", "Name of the pipeline; keep it, and its history is kept.")
    data: DataConfig = required(
        "The click log.",
        {"timestamp": "ts", "categorical": ["user_id", "item_id"], "dense": ["price"]},
    )
    splits: SplitsConfig = section(SplitsConfig, "Train, eval and test.")
    spans: SpansConfig = section(SpansConfig, "Which spans ({SPAN} in data.path) are read.")
    ingest: IngestConfig = section(IngestConfig, "Reading and quarantine.")
    transform: TransformConfig = section(TransformConfig, "Raw columns to model inputs.")
    model: ModelConfig = section(ModelConfig, "The network.")
    training: TrainingConfig = section(TrainingConfig, "The training.")
    evaluation: EvaluationConfig = required(
        "The gate; at least one threshold.", {"min_auc": 0.6, "max_auc_drop": 0.002}
    )
    push: PushConfig = section(PushConfig, "Where blessed models go.")
    beam_pipeline_args: tuple[str, ...] = option(BEAM_ARGS, "Passed to Beam as they are.")

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"name: got {self.name!r}; takes letters, digits, - and _.")
        gate.check_objective(self.evaluation, self.data.objective)
        self._check_time()
        self._check_features()
        self._check_model()

    def _check_time(self) -> None:
        if self.data.timestamp is None:
            if self.splits.by == TIME:
                raise ConfigError("splits.by: time needs data.timestamp.")
            if self.transform.time_features:
                raise ConfigError("transform.time_features: needs data.timestamp.")
        for name in self.transform.time_features:
            if name in self.data.features:
                raise ConfigError(f"transform.time_features: {name} is a column already.")

    def _check_features(self) -> None:
        data, transform = self.data, self.transform
        vocabularies = (*data.categorical, *data.multivalent)
        for name in transform.vocabularies:
            if name not in vocabularies:
                raise ConfigError(_takes(f"transform.vocabularies.{name}", vocabularies))
        for name in transform.dense_by_feature:
            if name not in data.dense:
                raise ConfigError(_takes(f"transform.dense_by_feature.{name}", data.dense))
        for name in self._sparse():
            if name in (features.DENSE, features.LABEL, features.WEIGHT):
                raise ConfigError(
                    f"data: {name} is a name that BabelRank uses itself; rename the column."
                )
        if not transform.time_features and set(data.features) <= set(data.training_only):
            raise ConfigError("data.training_only: holds all features; serving needs one.")
        for crossed in self.evaluation.slices:
            for name in crossed.split("*"):
                if name not in vocabularies:
                    raise ConfigError(
                        f"evaluation.slices: {name} is no categorical or multivalent column; "
                        f"takes one of {', '.join(vocabularies)}, or two joined by *."
                    )

    def _check_model(self) -> None:
        sparse = self._sparse()
        for name in self.model.embedding_dims:
            if name not in sparse:
                raise ConfigError(_takes(f"model.embedding_dims.{name}", sparse))
        model = self.model.resolved()
        width = (model.bottom_stack or (0,))[-1]
        scaled = set(self.data.dense) - set(sparse)
        if model.interaction == "dot" and sparse and scaled and width != model.embedding_dim:
            raise ConfigError(
                f"model.bottom_stack: the last layer has {width} units; takes embedding_dim, "
                f"{model.embedding_dim}, with interaction: dot."
            )

    def _sparse(self) -> tuple[str, ...]:
        """Names of the features that get an embedding."""
        data, transform = self.data, self.transform
        modes = {name: transform.dense_by_feature.get(name, transform.dense) for name in data.dense}
        buckets = (name for name, mode in modes.items() if mode == "bucketize")
        return (*data.categorical, *data.multivalent, *transform.time_features, *buckets)


def _takes(key: str, names: Sequence[str]) -> str:
    return (
        f"{key}: takes one of {', '.join(names)}." if names else f"{key}: there is no such column."
    )
