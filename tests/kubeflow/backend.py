"""Executes a compiled pipeline as Kubeflow Pipelines does, with processes in place of pods.

What it stands for: the API server that reads the YAML (`backend_spec`), the drivers that work out
inputs (`backend_driver`), the launcher and kubelet that run a container (`backend_launcher`), and
Argo, here: order, retries, exit tasks, and no new task after a failure. Between tries it does not
wait, and resources and machines mean nothing to it.
"""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubeflow import backend_driver as driver
from tests.kubeflow.backend_launcher import Attempt, Cluster, Disturbance, Pod
from tests.kubeflow.backend_spec import EXIT, NOTHING, Pipeline, SpecError, needs, read

SUCCEEDED, FAILED, SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"


@dataclass(frozen=True)
class Task:
    """What a task came to.

    Attributes:
        state: SUCCEEDED, FAILED or SKIPPED.
        attempts: Its tries, in order; none for a graph within the graph.
    """

    state: str
    attempts: tuple[Attempt, ...] = ()

    @property
    def log(self) -> str:
        """Output of the last try."""
        return self.attempts[-1].log.read_text(encoding="utf-8", errors="replace")


@dataclass
class Run:
    """What a run came to.

    Attributes:
        run_id: As the tasks saw it.
        state: SUCCEEDED or FAILED.
        tasks: By name, in the order in which they ended.
    """

    run_id: str
    state: str = SUCCEEDED
    tasks: dict[str, Task] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"run {self.run_id}: {self.state}"]
        for name, task in self.tasks.items():
            codes = ", ".join(str(attempt.code) for attempt in task.attempts)
            lines.append(f"  {name}: {task.state} ({codes})")
            if task.state == FAILED and task.attempts:
                lines += [f"    {line}" for line in task.log.splitlines()[-40:]]
        return "\n".join(lines)


class Backend:
    """Kubeflow Pipelines in one folder.

    Args:
        folder: For logs, scratch folders and the object store.
        cluster: What the pods find.
        width: How many pods run at the same time.
    """

    def __init__(self, folder: Path, cluster: Cluster | None = None, width: int = 1) -> None:
        self._folder, self._cluster, self._width = folder, cluster or Cluster(), width

    def run(
        self,
        path: Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        scheduled: datetime.datetime | None = None,
        disturb: Disturbance | None = None,
    ) -> Run:
        """One run of a compiled pipeline, to its end.

        Args:
            path: The YAML.
            parameters: Of the run; the others have their defaults.
            scheduled: When a recurring run was due, in UTC; None: nobody scheduled it.
            disturb: Told of every try.

        Raises:
            SpecError: Kubeflow would refuse it, or this backend does not know what it asks for.
        """
        pipeline = read(path)
        root = pipeline.spec.root
        values = driver.run_parameters(root, parameters or {})
        created = datetime.datetime.now(datetime.UTC)
        run_id, name = str(uuid.uuid4()), pipeline.spec.pipeline_info.name
        info = driver.RunInfo(
            run_id=run_id,
            display_name=f"{name} {created:%Y-%m-%d %H-%M-%S}",
            resource_name=f"{name}-{run_id[:5]}",
            created=_rfc3339(created),
            scheduled=_rfc3339(scheduled or created),
        )
        folder = self._folder / run_id
        execution = _Execution(pipeline, info, folder, self._cluster, self._width, disturb)
        execution.graph(root, values)
        return execution.run


class _Execution:
    """A run under way."""

    def __init__(
        self,
        pipeline: Pipeline,
        info: driver.RunInfo,
        folder: Path,
        cluster: Cluster,
        width: int,
        disturb: Disturbance | None,
    ) -> None:
        self._pipeline, self._info, self._folder = pipeline, info, folder
        self._cluster, self._disturb = cluster, disturb
        self._free = threading.Semaphore(width)
        self.run = Run(info.run_id)

    def graph(self, component: Any, outside: Mapping[str, Any]) -> bool:
        """Runs the tasks of a graph; whether all came to a good end.

        As on Argo, tasks that wait for nothing run at the same time, none begins after a failure,
        and exit tasks begin when what they watch over has ended, however that was.
        """
        tasks = component.dag.tasks
        states: dict[str, str] = {}
        produced: dict[str, Mapping[str, Any]] = {}
        running: dict[Future[Task], str] = {}
        with ThreadPoolExecutor(len(tasks)) as pool:
            while True:
                for key in sorted(set(tasks) - set(states) - set(running.values())):
                    if _ready(tasks[key], states):
                        task = self._task(pool, key, tasks[key], outside, produced)
                        running[task] = key
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key, ended = running.pop(future), future.result()
                    self._keep(key, ended)
                    states[key] = ended.state
                    produced[key] = ended.attempts[-1].parameters if ended.attempts else {}
        for key in sorted(set(tasks) - set(states)):
            self._keep(key, Task(SKIPPED))
        good = len(states) == len(tasks) and set(states.values()) == {SUCCEEDED}
        self.run.state = self.run.state if good else FAILED
        return good

    def _keep(self, key: str, task: Task) -> None:
        if key in self.run.tasks:
            raise SpecError(f"two tasks are named {key}.")
        self.run.tasks[key] = task

    def _task(
        self,
        pool: ThreadPoolExecutor,
        key: str,
        task: Any,
        outside: Mapping[str, Any],
        produced: Mapping[str, Mapping[str, Any]],
    ) -> Future[Task]:
        component = self._pipeline.spec.components[task.component_ref.name]
        values = driver.inputs(task, component, outside, produced, self._info)
        if component.WhichOneof("implementation") == "dag":
            return pool.submit(self._subgraph, component, values)
        label = component.executor_label
        pod = Pod(
            name=key,
            run_id=self._info.run_id,
            component=component,
            container=self._pipeline.containers[label],
            kubernetes=self._pipeline.kubernetes.get(label, NOTHING),
            inputs=values,
            folder=self._folder / key,
        )
        return pool.submit(self._tries, pod, task.retry_policy.max_retry_count)

    def _subgraph(self, component: Any, values: Mapping[str, Any]) -> Task:
        return Task(SUCCEEDED if self.graph(component, values) else FAILED)

    def _tries(self, pod: Pod, retries: int) -> Task:
        attempts: list[Attempt] = []
        for number in range(retries + 1):
            with self._free:
                attempts.append(pod.run(number, self._cluster, self._disturb))
            if attempts[-1].code == 0:
                return Task(SUCCEEDED, tuple(attempts))
        return Task(FAILED, tuple(attempts))


def _ready(task: Any, states: Mapping[str, str]) -> bool:
    """Whether a task begins now."""
    before = needs(task)
    if not before <= set(states):
        return False
    if task.trigger_policy.strategy == EXIT:
        return True
    return all(state == SUCCEEDED for state in states.values())


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
