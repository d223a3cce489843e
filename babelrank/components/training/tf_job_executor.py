"""What TFX's Trainer runs in place of its own executor when several pods train the model.

The pods write into a folder beside the training's, which is the same for every try, and not to
where this try's artifacts will be: so the next try finds what the last one has begun.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from tfx.components.trainer import executor
from tfx.types import standard_component_specs

from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.training import tf_job, tf_job_cluster
from babelrank.components.training.interruption import StopRequest
from babelrank.components.training.tf_job_follower import Follower
from babelrank.components.training.work import Work
from babelrank.components.training.worker import write_job

_NOT_PLAIN = ("data_accessor",)
"""Attributes of TFX's `FnArgs` that the pods cannot get."""


class Executor(executor.GenericExecutor):
    """Runs `run_fn` as a TFJob.

    The custom_config of its Trainer has `training`, with `workers` and `parameter_servers`, and
    `work_directory`, a folder that all pods reach under the same path. `run_fn` gets TFX's
    `FnArgs` but for the data_accessor.
    """

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See TFX.

        Raises:
            ConfigError: Something else than a `run_fn` by its dotted name.
            DeviceError: There is no cluster, or no training operator in it.
            Interrupted: Stopped by SIGTERM; the same call goes on.
            BabelRankError: The TFJob has failed.
        """
        fn_args = self._GetFnArgs(input_dict, output_dict, exec_properties)
        run_fn = exec_properties.get(standard_component_specs.RUN_FN_KEY)
        if not run_fn:
            raise ConfigError("training.workers: takes a Trainer with run_fn, and no module_file.")
        information = self._context.pipeline_info if self._context else None
        train(fn_args, run_fn, information.id if information else "training")


def train(fn_args: Any, run_fn: str, pipeline: str) -> None:
    """Has several pods train, and puts what they leave where TFX expects it.

    Args:
        fn_args: TFX's `FnArgs`.
        run_fn: Dotted name of what each pod runs.
        pipeline: Name of the pipeline.
    """
    training = fn_args.custom_config["training"]
    workers, servers = training["workers"], training.get("parameter_servers", 0)
    pod = tf_job.worker_pod(workers)
    work = Work(fn_args).path
    handover = Handover(work.with_name(f"{work.name}-tfjob"), fn_args)
    handover.write(run_fn)
    owner = tf_job_cluster.this_pod()
    manifest = tf_job.manifest(
        tf_job.name(pipeline, work.name),
        pipeline,
        tf_job.replicas(workers, servers),
        pod,
        handover.job,
        str(work.parent),
        [owner] if owner else [],
    )
    with StopRequest() as stop:
        follower = Follower(tf_job_cluster.connect(), manifest, stop)
        try:
            follower.start(handover.complete, handover.clear)
            follower.follow(pod.restarts, partial(_checkpoints, work))
            handover.take()
        finally:
            follower.delete()
    handover.remove()


def _checkpoints(work: Path) -> list[str]:
    """Names of the checkpoints in the folder of a training."""
    return sorted(path.name for path in work.glob("checkpoints/step-*"))


class Handover:
    """The folder by which pods get their job, and leave its result.

    Args:
        path: The folder; it is made.
        fn_args: TFX's `FnArgs`.

    Attributes:
        job: File with the job.
    """

    def __init__(self, path: Path, fn_args: Any) -> None:
        self.job = path / "job.json"
        self._path, self._fn_args = path, fn_args
        self._model, self._run = path / "model", path / "model_run"

    def complete(self) -> bool:
        """Whether a model lies here."""
        return self._model.exists()

    def write(self, run_fn: str) -> None:
        """Writes the job."""
        plain = {k: v for k, v in vars(self._fn_args).items() if k not in _NOT_PLAIN}
        self._path.mkdir(parents=True, exist_ok=True)
        places = {"serving_model_dir": str(self._model), "model_run_dir": str(self._run)}
        write_job(self.job, run_fn, {**plain, **places, "eval_model_dir": None})

    def clear(self) -> None:
        """Removes what an earlier try has left of a model."""
        for path in (self._model, self._run):
            shutil.rmtree(path, ignore_errors=True)

    def take(self) -> None:
        """Moves the result to where TFX expects it.

        Raises:
            BabelRankError: There is none.
        """
        if not self.complete():
            raise BabelRankError(
                f"{self._model}: the TFJob has ended well, and there is no model here. Do its pods "
                f"mount the same volume at the same path (kubernetes.steps.Worker)?"
            )
        if self._run.exists():
            # A copy: a second try of this step begins with everything here.
            shutil.copytree(self._run, self._fn_args.model_run_dir, dirs_exist_ok=True)
        Path(self._fn_args.serving_model_dir).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self._model, self._fn_args.serving_model_dir)

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._path, ignore_errors=True)
