"""The configuration of a whole pipeline: one YAML file, one dataclass."""

from __future__ import annotations

from dataclasses import dataclass, replace

from babelrank.components.config import option, required, section
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation import gate
from babelrank.components.evaluation.gate import EvaluationConfig
from babelrank.components.ingest.config import TIME, IngestConfig, SpansConfig, SplitsConfig
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
                raise ConfigError(f"transform.vocabularies.{name}: takes one of {vocabularies}.")
        for name in transform.dense_by_feature:
            if name not in data.dense:
                raise ConfigError(f"transform.dense_by_feature.{name}: takes one of {data.dense}.")
        sparse = (*vocabularies, *transform.time_features)
        for name in self.model.embedding_dims:
            if name not in sparse:
                raise ConfigError(f"model.embedding_dims.{name}: takes one of {sparse}.")
        for crossed in self.evaluation.slices:
            for name in crossed.split("*"):
                if name not in vocabularies:
                    raise ConfigError(
                        f"evaluation.slices: {name} is no categorical or multivalent column; "
                        f"takes one of {', '.join(vocabularies)}, or two joined by *."
                    )

    def with_paths(self, data: str | None, span: int | None) -> RankingConfig:
        """This configuration with the command line's `--data` and `--span`."""
        changed = self
        if data is not None:
            changed = replace(changed, data=replace(changed.data, path=data))
        if span is not None:
            changed = replace(changed, spans=replace(changed.spans, span=span))
        return changed
