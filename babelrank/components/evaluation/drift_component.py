"""The `Drift` component: compares statistics of examples, and leaves what it found as an artifact.

It refuses nothing by itself: the Evaluator takes what it found into the verdict.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from tfx import v1 as tfx
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.io import fileio
from tfx.types import BaseChannel as Channel

from babelrank.components.artifacts import DriftMeasures
from babelrank.components.config import from_dict, to_dict
from babelrank.components.evaluation.drift import DriftReport, judge
from babelrank.components.evaluation.drift_config import DriftConfig
from babelrank.components.evaluation.drift_distance import Statistics, compare
from babelrank.components.ingest.config import TRAIN

_FILE_NAME = "drift.json"


def drift(
    config: DriftConfig,
    statistics: Channel,
    serving_statistics: Channel,
    split: str,
    unmeasured: Sequence[str],
) -> Any:
    """The component; its output is `drift`.

    Args:
        config: The bounds.
        statistics: Of the examples of this run.
        serving_statistics: Of those that the serving model was trained on; may resolve to nothing.
        split: The gate's split, for skew.
        unmeasured: Names of features that always move, such as times, or whose values hardly ever
            return, such as sentences.
    """
    return Drift(
        statistics=statistics,
        serving_statistics=serving_statistics,
        config=json.dumps(to_dict(config), sort_keys=True),
        split=split,
        unmeasured=json.dumps(list(unmeasured)),
    )


@tfx.dsl.components.component
def Drift(
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    drift: tfx.dsl.components.OutputArtifact[DriftMeasures],
    config: tfx.dsl.components.Parameter[str],
    split: tfx.dsl.components.Parameter[str],
    unmeasured: tfx.dsl.components.Parameter[str],
    serving_statistics: tfx.dsl.components.InputArtifact[
        tfx.types.standard_artifacts.ExampleStatistics
    ] = None,
) -> None:
    """Measures and judges; see the function `drift`."""
    left_out = json.loads(unmeasured)
    train = _load(statistics, TRAIN)
    skew = compare(train, _load(statistics, split), left_out)
    before = None
    if serving_statistics is not None:
        before = compare(_load(serving_statistics, TRAIN), train, left_out)
    report = judge(from_dict(DriftConfig, json.loads(config), "drift"), split, before, skew)
    save(report, drift.uri)


def save(report: DriftReport, uri: str) -> None:
    """Writes the report into a drift artifact."""
    fileio.makedirs(uri)
    with fileio.open(os.path.join(uri, _FILE_NAME), "w") as file:
        file.write(report.to_json())


def load(uri: str) -> DriftReport:
    """Reads the report of a drift artifact."""
    with fileio.open(os.path.join(uri, _FILE_NAME)) as file:
        return DriftReport.from_json(file.read())


def _load(statistics: Any, split: str) -> Statistics:
    """The statistics of one split."""
    return stats_artifact_utils.load_statistics(statistics, split).proto()
