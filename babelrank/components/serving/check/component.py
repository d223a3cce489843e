"""The `ServingCheck` component: blesses a model that can be served, for the Pusher.

The blessing's folder also holds the report (`check.json`), the requests and the trainer's outputs
that were used, so that the check can be repeated by hand, and the requests for a server's warm-up.
"""

import json
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.components.util import model_utils
from tfx.types import BaseChannel as Channel
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import (
    Examples,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelRun,
    TransformGraph,
)
from tfx.utils import path_utils

from babelrank.components.config import from_dict, to_dict
from babelrank.components.serving import reference
from babelrank.components.serving.check import requests as check_requests
from babelrank.components.serving.check.job import Job
from babelrank.components.serving.check.matching import matched
from babelrank.components.serving.check.report import CheckFinding, CheckReport
from babelrank.components.serving.check.supervisor import check
from babelrank.components.serving.config import ServingConfig
from babelrank.components.serving.manifest import WARMUP
from babelrank.components.serving.reference import Reference

BLESSED, FILES = "blessed", ("INFRA_NOT_BLESSED", "INFRA_BLESSED")
"""Property of the blessing, and the files, as TFX's InfraValidator names them."""


def serving_check(
    config: ServingConfig,
    split: str,
    model: Channel,
    examples: Channel,
    model_run: Channel | None = None,
    transform_graph: Channel | None = None,
    model_blessing: Channel | None = None,
) -> Any:
    """The component; its output is `blessing`.

    Args:
        config: What the model must show.
        split: Split of the examples that the requests are drawn from: the gate's.
        model: The exported model.
        examples: Raw examples.
        model_run: The trainer's, with the outputs of its own model; None: not compared.
        transform_graph: What made the inputs of that model; None: not compared.
        model_blessing: The gate's; a model that it refused is not checked.
    """
    optional = {
        "model_run": model_run,
        "transform_graph": transform_graph,
        "model_blessing": model_blessing,
    }
    return ServingCheck(
        model=model,
        examples=examples,
        config=json.dumps(to_dict(config), sort_keys=True),
        split=split,
        **{name: given for name, given in optional.items() if given is not None},
    )


@tfx.dsl.components.component
def ServingCheck(
    model: tfx.dsl.components.InputArtifact[Model],
    examples: tfx.dsl.components.InputArtifact[Examples],
    blessing: tfx.dsl.components.OutputArtifact[InfraBlessing],
    config: tfx.dsl.components.Parameter[str],
    split: tfx.dsl.components.Parameter[str],
    model_run: tfx.dsl.components.InputArtifact[ModelRun] = None,
    transform_graph: tfx.dsl.components.InputArtifact[TransformGraph] = None,
    model_blessing: tfx.dsl.components.InputArtifact[ModelBlessing] = None,
) -> None:
    """Checks and blesses; see the function `serving_check`."""
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    if model_blessing is not None and not model_utils.is_model_blessed(model_blessing):
        text = "Not checked: the gate refused the model."
        finding = CheckFinding(ok=False, text=text)
        bless(blessing, CheckReport(ok=False, findings=(finding,), command=""))
        return
    requests = folder / check_requests.FILE
    settings = from_dict(ServingConfig, json.loads(config), "serving")
    drawn = check_requests.draw(
        artifact_utils.get_split_uri([examples], split), settings.requests, requests
    )
    job = Job(
        model=Path(path_utils.serving_model_path(model.uri)),
        config=settings,
        requests=requests if drawn else None,
        reference=_reference(folder, examples, model_run, transform_graph),
        warmup=folder / Path(WARMUP).name,
    )
    bless(blessing, check(job))


def bless(blessing: Any, report: CheckReport) -> None:
    """Marks the artifact as the Pusher reads it, and leaves the report beside the mark."""
    folder = Path(blessing.uri)
    report.save(folder)
    (folder / FILES[report.ok]).touch()
    blessing.set_int_custom_property(BLESSED, int(report.ok))


def _reference(folder: Path, examples: Any, model_run: Any, transform_graph: Any) -> Path | None:
    """The trainer's outputs with the raw examples, written into the folder; None without any."""
    kept = None if model_run is None else Path(model_run.uri) / reference.FILE
    if kept is None or transform_graph is None or not kept.exists():
        return None  # a trainer of another make; the report says so
    found = Reference.load(kept)
    split = artifact_utils.get_split_uri([examples], found.split)
    path = folder / reference.FILE
    matched(found, split, transform_graph.uri).save(path)
    return path
