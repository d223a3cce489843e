"""The configuration of a whole pipeline: one YAML file, one dataclass for each pipeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from babelrank.components.config import option, required, section
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation import gate
from babelrank.components.evaluation.drift_config import DriftConfig
from babelrank.components.evaluation.gate import (
    RankingEvaluationConfig,
    TranslationEvaluationConfig,
)
from babelrank.components.evaluation.report_config import ReportConfig
from babelrank.components.ingest.config import TIME, IngestConfig, SpansConfig, SplitsConfig
from babelrank.components.ranking import features
from babelrank.components.ranking.config import (
    DataConfig,
    ModelConfig,
    RankingTrainingConfig,
    TransformConfig,
)
from babelrank.components.serving.config import PushConfig, ServingConfig
from babelrank.components.translation import config as translation
from babelrank.components.translation import records
from babelrank.components.translation.model_config import (
    DecodingConfig,
    NetworkConfig,
    TranslationTrainingConfig,
)
from babelrank.pipelines.beam import BeamConfig
from babelrank.pipelines.kubeflow.config import KubernetesConfig
from babelrank.pipelines.operation import NotifyConfig, RetentionConfig, ScheduleConfig

SLICED = (records.SOURCE_LENGTH, records.ORIGIN)
"""Features of a sentence pair by which the gate can slice, and that can drift."""


@dataclass(frozen=True, kw_only=True)
class RankingConfig:
    """The ranking pipeline."""

    task: ClassVar[str] = "ranking"

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
    training: RankingTrainingConfig = section(RankingTrainingConfig, "The training.")
    evaluation: RankingEvaluationConfig = required(
        "The gate; at least one threshold.", {"min_auc": 0.6, "max_auc_drop": 0.002}
    )
    drift: DriftConfig = section(
        DriftConfig,
        "How far the data may move: from the serving model's to this training's "
        "(drift), and from this training's to the gate's (skew).",
    )
    serving: ServingConfig = section(
        ServingConfig, "What a blessed model must show before it is pushed."
    )
    push: PushConfig = section(PushConfig, "Where blessed models go.")
    report: ReportConfig = section(ReportConfig, "What the report shows.")
    beam: BeamConfig = section(BeamConfig, "Where Beam runs.")
    schedule: ScheduleConfig = section(ScheduleConfig, "Retraining.")
    retention: RetentionConfig = section(RetentionConfig, "What `babelrank clean` leaves.")
    notify: NotifyConfig = section(NotifyConfig, "Messages about refused and failed runs.")
    kubernetes: KubernetesConfig = section(KubernetesConfig, "The steps in a cluster.")

    def __post_init__(self) -> None:
        _check_name(self.name)
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
        self.drift.check_features((features.LABEL, *data.features))
        if self.evaluation.significance is not None and data.weight is not None:
            raise ConfigError(
                "evaluation.significance: DeLong's test knows no weights; takes null with "
                "data.weight."
            )
        query = self.evaluation.query
        if query is not None and query not in data.categorical:
            raise ConfigError(_takes("evaluation.query", data.categorical))
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


@dataclass(frozen=True, kw_only=True)
class TranslationConfig:
    """The translation pipeline."""

    task: ClassVar[str] = "translation"

    name: str = option("translation", "Name of the pipeline; keep it, and its history is kept.")
    data: translation.DataConfig = required("The parallel text.", {"path": "corpus/*.tsv.gz"})
    splits: translation.SplitsConfig = section(translation.SplitsConfig, "Train, eval and test.")
    spans: SpansConfig = section(SpansConfig, "Which spans ({SPAN} in data.path) are read.")
    ingest: translation.TextIngestConfig = section(
        translation.TextIngestConfig, "Reading and quarantine."
    )
    vocabulary: translation.VocabularyConfig = section(
        translation.VocabularyConfig, "The subwords that text is cut into."
    )
    model: NetworkConfig = section(NetworkConfig, "The Transformer.")
    decoding: DecodingConfig = section(
        DecodingConfig, "How the exported model searches for translations."
    )
    training: TranslationTrainingConfig = section(TranslationTrainingConfig, "The training.")
    evaluation: TranslationEvaluationConfig = required(
        "The gate; at least one threshold.", {"min_bleu": 20, "max_bleu_drop": 0.5}
    )
    drift: DriftConfig = section(
        DriftConfig,
        "How far the data may move: from the serving model's to this training's "
        "(drift), and from this training's to the gate's (skew).",
    )
    serving: ServingConfig = section(
        ServingConfig, "What a blessed model must show before it is pushed."
    )
    push: PushConfig = section(PushConfig, "Where blessed models go.")
    report: ReportConfig = section(ReportConfig, "What the report shows.")
    beam: BeamConfig = section(BeamConfig, "Where Beam runs.")
    schedule: ScheduleConfig = section(ScheduleConfig, "Retraining.")
    retention: RetentionConfig = section(RetentionConfig, "What `babelrank clean` leaves.")
    notify: NotifyConfig = section(NotifyConfig, "Messages about refused and failed runs.")
    kubernetes: KubernetesConfig = section(KubernetesConfig, "The steps in a cluster.")

    def __post_init__(self) -> None:
        _check_name(self.name)
        self._check_slices()
        self._check_explicit()
        self.drift.check_features(SLICED)

    def _check_slices(self) -> None:
        for crossed in self.evaluation.slices:
            for name in crossed.split("*"):
                if name not in SLICED:
                    raise ConfigError(
                        f"evaluation.slices: got {name}; takes {' or '.join(SLICED)}, or the two "
                        "joined by *."
                    )

    def _check_explicit(self) -> None:
        if self.data.format != "moses":
            return
        for split in ("eval", "test"):
            files = getattr(self.splits.explicit, split)
            if files is not None and files.path is not None:
                raise ConfigError(
                    f"splits.explicit.{split}: got a path; format: moses takes source and target."
                )


PipelineConfig = RankingConfig | TranslationConfig
"""The configuration of either pipeline; `task` tells which."""


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[^\W_][\w-]{0,99}", name):
        raise ConfigError(
            f"name: got {name!r:.120}; takes at most 100 letters, digits, - and _, a letter or a "
            "digit first."
        )


def _takes(key: str, names: Sequence[str]) -> str:
    return (
        f"{key}: takes one of {', '.join(names)}." if names else f"{key}: there is no such column."
    )
