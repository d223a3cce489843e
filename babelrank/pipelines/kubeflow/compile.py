"""Compiles a pipeline for Kubeflow Pipelines: one container task for each node of the TFX graph.

Each task runs TFX's portable Launcher for its node (`node.py`), so that drivers, resolvers, caching
and publishing are those of a laptop. Edges are the graph's. Before the nodes comes `Plan`, which
decides what the run reads; after them, whatever happened, `Report`.

The text is the same, byte for byte, for the same configuration and version of kfp. It is for
Kubeflow Pipelines 2.16 or newer (schema 2.1.0).
"""

# No `from __future__ import annotations`: kfp reads annotations, and wants types.

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kfp
import yaml
from kfp import dsl

from babelrank.components.config import to_dict
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.kubeflow import lint, pods
from babelrank.pipelines.kubeflow.fingerprint import fingerprint, made_by
from babelrank.pipelines.kubeflow.names import pipeline_name, step_name
from babelrank.pipelines.kubeflow.plan import NAME as PLAN
from babelrank.pipelines.kubeflow.quoting import quoted
from babelrank.pipelines.run import graph_function

REPORT = "Report"
_MODULE = "babelrank.pipelines.kubeflow"


def compile_pipeline(config: PipelineConfig, *, retrain: bool = False) -> str:
    """Compiles a pipeline.

    Args:
        config: The configuration; its section `kubernetes` says what the steps get.
        retrain: Compile what `babelrank retrain` runs: with a warm start and carried vocabularies,
            and with nothing to do when there is no new span.

    Returns:
        YAML of two documents: the pipeline, and what Kubernetes gets beyond it. The parameters of
        its runs are span (-1: the newest), window (0: as configured), push, force, allow_missing
        and scheduled (a time; empty: none).

    Raises:
        ConfigError: Kubeflow or Kubernetes would refuse it.
    """
    if retrain:
        from babelrank.pipelines.schedule import retraining

        config = retraining(config)
    out = Path(config.kubernetes.root) / config.name
    ir = compiled(graph_function(config)(config, out))
    nodes = [node.pipeline_node for node in ir.nodes]
    lint.check(config, [PLAN, *(node.node_info.id for node in nodes), REPORT])
    made = _Pipeline(config, out, nodes, fingerprint(ir), retrain).build()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        kfp.compiler.Compiler().compile(made, str(path))
        spec, *platforms = yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    platform = pods.complete(platforms[0] if platforms else {}, spec, config.kubernetes)
    lint.check_spec(spec, platform)
    documents = (
        yaml.safe_dump(document, sort_keys=True, allow_unicode=True, width=100)
        for document in (spec, platform)
    )
    return "---\n".join(documents)


class _Pipeline:
    """A pipeline by kfp's SDK.

    Args:
        config: The configuration.
        out: Output folder.
        nodes: The TFX nodes, in order.
        mark: The graph's fingerprint.
        retrain: See `compile_pipeline`.
    """

    def __init__(
        self, config: PipelineConfig, out: Path, nodes: Sequence[Any], mark: str, retrain: bool
    ) -> None:
        self._config, self._out, self._nodes = config, out, nodes
        self._mark, self._retrain = mark, retrain

    def build(self) -> Any:
        """The pipeline, for kfp's compiler."""

        def pipeline(
            span: int = -1,
            window: int = 0,
            push: bool = True,
            force: bool = False,
            allow_missing: bool = False,
            scheduled: str = "",
        ) -> None:
            run = {"run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
            report = self._given(self._report_component()(**run), REPORT)
            with dsl.ExitHandler(report, name="nodes"):
                plan = self._plan_component()(
                    **run,
                    span=span,
                    window=window,
                    push=push,
                    force=force,
                    allow_missing=allow_missing,
                    scheduled=scheduled,
                )
                self._given(plan, PLAN)
                self._add_nodes(run, plan)

        name = pipeline_name(self._config.name)
        about = f"BabelRank {self._config.task} pipeline {self._config.name}"
        return dsl.pipeline(name=name, description=about)(pipeline)

    def _add_nodes(self, run: dict[str, str], plan: Any) -> None:
        """One task for each node of the graph, after those that it needs."""
        tasks: dict[str, Any] = {}
        needed = {name for node in self._nodes for name in node.upstream_nodes}
        for node in self._nodes:
            name = node.node_info.id
            before = list(node.upstream_nodes)
            if name == self._nodes[-1].node_info.id:
                # As on a laptop: nothing is pushed when a step failed that nobody waits for.
                before = sorted({*before, *(set(tasks) - needed)})
            task = self._node_component(name)(**run)
            task.after(*([tasks[one] for one in before] or [plan]))
            tasks[name] = self._given(task, name)

    def _given(self, task: Any, name: str) -> Any:
        """A task with its name and what its pod gets."""
        task.set_display_name(name)
        task.set_caching_options(False)  # TFX's caching decides
        return pods.give(task, self._config, name)

    def _node_component(self, name: str) -> Any:
        command = [
            *self._command("node"),
            *("--node", name, "--fingerprint", self._mark, "--compiled-by", made_by()),
        ]

        def component(run_id: str) -> dsl.ContainerSpec:
            return self._container(name, [*command, "--run-id", run_id])

        return _component(component, name)

    def _plan_component(self) -> Any:
        config = quoted(to_dict(self._config))
        command = [
            *self._command("plan"),
            *("--pipeline", self._config.task, "--config", config),
            *("--compiled-by", made_by()),
            *(["--retrain"] if self._retrain else []),
        ]

        def component(
            run_id: str,
            span: int,
            window: int,
            push: bool,
            force: bool,
            allow_missing: bool,
            scheduled: str,
        ) -> dsl.ContainerSpec:
            given = {
                "--run-id": run_id,
                "--span": span,
                "--window": window,
                "--push": push,
                "--force": force,
                "--allow-missing": allow_missing,
                "--scheduled": scheduled,
            }
            pairs = [part for option, value in given.items() for part in (option, value)]
            return self._container(PLAN, [*command, *pairs])

        return _component(component, PLAN)

    def _report_component(self) -> Any:
        command = self._command("report")

        def component(
            run_id: str,
            report: dsl.Output[dsl.HTML],
            metrics: dsl.Output[dsl.Metrics],
        ) -> dsl.ContainerSpec:
            given = ["--run-id", run_id, "--html", report.path, "--executor-input"]
            return self._container(
                REPORT, [*command, *given, dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER]
            )

        return _component(component, REPORT)

    def _command(self, module: str) -> list[str]:
        return ["python", "-m", f"{_MODULE}.{module}", "--out", str(self._out)]

    def _container(self, name: str, command: Sequence[Any]) -> Any:
        kubernetes = self._config.kubernetes
        image = kubernetes.step(name).image or kubernetes.image
        return dsl.ContainerSpec(image=image, command=list(command[:3]), args=list(command[3:]))


def _component(function: Callable[..., Any], name: str) -> Any:
    """A container component under a name of ours; kfp takes the name of the function."""
    function.__name__ = step_name(name).replace("-", "_")
    return dsl.container_component(function)
