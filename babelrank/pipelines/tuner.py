"""A whole search: the pipeline up to Transform, once; then trials on what Transform left."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, cast

from babelrank.components.config import to_dict
from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.training import strategy
from babelrank.pipelines import local, run, tuning_report
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.display import Display
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.journal import COMPLETED, Journal, Trial
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone
from babelrank.pipelines.metadata_store import open_store
from babelrank.pipelines.record import RunRecord, message
from babelrank.pipelines.run_artifacts import RunArtifacts
from babelrank.pipelines.search import Method, Oracle, Plan, Proposal, costs, search
from babelrank.pipelines.search_space import SEARCHED
from babelrank.pipelines.trial_parts import Examples, modes, parts
from babelrank.pipelines.trials import STORES, Trials
from babelrank.pipelines.tuning_report import Reporter, TrialBar
from babelrank.pipelines.tuning_request import METRIC, Search

JOURNAL, BEST, FOLDER = "trials.json", "best.yaml", "trials"

_LAST = "Transform"


class Tuner:
    """Runs a search, or goes on with the one that the output folder holds.

    Args:
        wanted: The search.
        out: Output folder, an absolute path.
        display: Whom to tell.

    Attributes:
        found: The best trial, when `run` has found one.
    """

    def __init__(self, wanted: Search, out: Path, display: Display) -> None:
        self._config, self._space, self._wanted = wanted.config, wanted.space, wanted
        self._out, self._display = out, display
        self._beam = any(key.partition(".")[0] == "decoding" for key in self._space.dimensions)
        self.found: Trial | None = None

    def run(self) -> list[str]:
        """Searches; returns lines about what was found.

        Raises:
            ConfigError: The metric is not measured, or the folder holds another search.
            BabelRankError: The examples cannot be made, another process uses the folder, or too
                many trials came to nothing.
            DeviceError: The devices that training asks for are not here.
        """
        self._check_metric()
        strategy.check(self._config.training.strategy)
        with alone(self._out):
            examples = self._examples()
            with self._display.waiting("Batches of the examples"):
                plan = self._plan(examples)
            journal = Journal(self._out / JOURNAL, self._identity(plan, examples))
            self._search(plan, journal, examples)
        return self._found(plan, journal)

    def _examples(self) -> Examples:
        try:
            return prepare(self._config, self._out, self._display.step)
        except BabelRankError:
            raise
        except Exception as error:
            raise BabelRankError(f"{message(error)} (log: {self._out / 'log.txt'})") from error

    def _check_metric(self) -> None:
        metric, known = self._config.training.early_stopping.metric, modes(self._config)
        if metric is not None and metric not in known:
            raise ConfigError(f"{METRIC}: got {metric!r}; takes one of {', '.join(known)}.")

    def _plan(self, examples: Examples) -> Plan:
        task = parts(self._config, examples, self._out / FOLDER / STORES, self._beam).task
        metric = self._config.training.early_stopping.metric or task.best_metric
        return Plan(
            method=cast(Method, self._wanted.request.method),
            metric=metric,
            mode=task.metric_mode(metric),
            seed=self._wanted.request.seed,
            trials=self._wanted.request.trials,
            max_epochs=self._wanted.max_epochs,
        )

    def _identity(self, plan: Plan, examples: Examples) -> dict[str, Any]:
        """What must not change between two calls."""
        sections = [name for name in SEARCHED if hasattr(self._config, name)]
        return {
            "pipeline": self._config.task,
            "method": plan.method,
            "metric": plan.metric,
            "mode": plan.mode,
            "seed": plan.seed,
            "space": self._space.plain(),
            "config": {name: to_dict(getattr(self._config, name)) for name in sections},
            "examples": examples.transformed,
        }

    def _search(self, plan: Plan, journal: Journal, examples: Examples) -> None:
        trials = Trials(self._config, examples, self._out / FOLDER, self._beam, TrialBar)
        planned = costs(self._space, plan)
        self._introduce(plan, journal, len(planned))
        reporter = Reporter(self._display.say, plan, journal, planned)

        def ended(proposal: Proposal, trial: Trial, seconds: float) -> None:
            if proposal.continues is not None:
                trials.tidy(proposal.continues)
            if proposal.epochs == plan.max_epochs or trial.status != COMPLETED:
                trials.tidy(proposal.number)  # no other trial goes on from here
            if journal.ranked()[:1] == [trial]:
                self._keep(plan, journal, trial)
            reporter.ended(proposal, trial, seconds)

        with Oracle(self._space, plan) as oracle:
            search(oracle, journal, plan.metric, trials.train, reporter.begins, ended)
        trials.finish(len(journal.trials))

    def _introduce(self, plan: Plan, journal: Journal, total: int) -> None:
        better = "more" if plan.mode == "max" else "less"
        done = f"; {len(journal.trials)} are done" if journal.trials else ""
        self._display.say(
            f"Search: {plan.method}, {total} trials{done}, by {plan.metric} of the eval split "
            f"({better} is better)"
        )
        keys = " ".join(self._space.dimensions)
        if self._config.training.privacy is not None or "training.privacy" in keys:
            self._display.say(
                "Each trial looks at the training data: the privacy that the search spends comes "
                "on top of the epsilon that the report states for one training."
            )

    def _keep(self, plan: Plan, journal: Journal, trial: Trial) -> None:
        tuning_report.write_best(self._out / BEST, self._config, plan, trial, journal)

    def _found(self, plan: Plan, journal: Journal) -> list[str]:
        lines = tuning_report.table(journal, plan.metric)
        self.found = next(iter(journal.ranked()), None)
        if self.found is None:
            return [*lines, "", "No trial completed."]
        self._keep(plan, journal, self.found)  # whatever happened to the file
        return [
            *lines,
            "",
            f"Best: trial {self.found.number}, {plan.metric} {self.found.metric:.4g}",
            f"  babelrank run {self._config.task} --config {self._out / BEST}",
            f"  all trials: {journal.path}",
        ]


def prepare(config: PipelineConfig, out: Path, watch: local.Watcher) -> Examples:
    """Runs the pipeline up to Transform; steps whose inputs are as before come from the cache.

    Args:
        config: The configuration.
        out: Output folder, an absolute path.
        watch: Told of each step.
    """
    ir = compiled(run.graph_function(config)(config, out))
    names = [node.pipeline_node.node_info.id for node in ir.nodes]
    del ir.nodes[names.index(_LAST) + 1 :]
    record = RunRecord(run_id=f"tune-{datetime.datetime.now():%Y%m%d-%H%M%S-%f}")
    local.run(ir, connection(Layout(out)), record, watch)
    artifacts = RunArtifacts(open_store(connection(Layout(out))), config.name, record.run_id)
    found = [artifacts.get(_LAST, key) for key in ("transform_graph", "transformed_examples")]
    return Examples(*(artifact.uri for artifact in found if artifact is not None))
