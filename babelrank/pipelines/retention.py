"""Removes what `retention` does not keep: versions, reports of runs, outputs of steps.

What is kept, however old: the version that is served and those whose model a coming run compares
with or starts from; the newest run that was judged, and the one on the newest span; and what a run
that did not come to its end needs to go on.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.serving.versions import (
    Version,
    all_versions,
    leftovers,
    remove,
    remove_leftovers,
    unfinished,
)
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.history import PastRun, past_runs, remember
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone
from babelrank.pipelines.rollback import serving_folder
from babelrank.pipelines.run_index import write_index
from babelrank.pipelines.schedule import data_inputs

if TYPE_CHECKING:
    from babelrank.pipelines.garbage import Outputs


@dataclass(frozen=True, kw_only=True)
class Waste:
    """What is to go.

    Attributes:
        versions: Pushed versions.
        runs: Folders of runs.
        outputs: Folders of outputs of steps.
        checkpoints: Folders of trainings that nobody will go on with.
        leftovers: Folders of pushes that were killed.
        artifacts: The outputs in ML Metadata, those included whose folder is gone already.
    """

    versions: tuple[Version, ...]
    runs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    checkpoints: tuple[Path, ...]
    leftovers: tuple[Path, ...]
    artifacts: tuple[Any, ...]

    def folders(self) -> dict[str, list[Path]]:
        """The folders that go, by what they are."""
        return {
            "pushed versions": [one.path for one in self.versions if one.path is not None],
            "reports of runs": list(self.runs),
            "outputs of steps": list(self.outputs),
            "checkpoints of trainings": list(self.checkpoints),
            "leftovers of pushes": list(self.leftovers),
        }


def clean(config: PipelineConfig, out: Path, dry_run: bool = False) -> dict[str, tuple[int, int]]:
    """Removes what is not kept.

    Args:
        config: The configuration.
        out: Output folder.
        dry_run: Only say what would be removed.

    Returns:
        Number of folders and of bytes by what they are.

    Raises:
        BabelRankError: A run uses the output folder.
    """
    # Only here: they import TFX, or what takes as long.
    from babelrank.pipelines.garbage import Outputs, forget
    from babelrank.pipelines.metadata_store import open_store

    out = out.absolute()
    layout, serving = Layout(out), serving_folder(config, out)
    with alone(out):
        store = open_store(connection(layout))
        waste = find(config, layout, serving, Outputs(store, config.name, layout.artifacts))
        freed = {what: (len(f), sum(map(size, f))) for what, f in waste.folders().items()}
        if not dry_run:
            forget(store, waste.artifacts)  # first: what is half gone must not be found
            for one in waste.versions:
                remove(serving, one)
            remove_leftovers(serving)
            going = {path.name for path in waste.runs}
            remember(layout.runs, [one for one in past_runs(layout.runs) if one.run_id in going])
            for path in (*waste.runs, *waste.outputs, *waste.checkpoints):
                shutil.rmtree(path)
            if waste.runs:
                write_index(out)
    return freed


def find(config: PipelineConfig, layout: Layout, serving: Path, outputs: Outputs) -> Waste:
    """What is to go.

    Args:
        config: The configuration.
        layout: The output folder.
        serving: Folder of the versions.
        outputs: The outputs of the steps.
    """
    from babelrank.components.ingest.spans import has_spans
    from babelrank.pipelines.garbage import Needs

    past = past_runs(layout.runs)
    pending = _pending(layout, past)
    good = [outputs.uri(model) for model in outputs.good_models()]
    old = _old_versions(config, all_versions(serving), good, unfinished(serving))
    kept = [one for one in all_versions(serving) if one.path is not None and one not in old]
    manifests = [one.manifest for one in kept if one.manifest is not None]
    needs = Needs(
        spans=config.retention.spans,
        spanned=has_spans(data_inputs(config).path),
        runs=pending,
        excluded=config.spans.exclude,
        sources=[one.manifest.source for one in kept if one.manifest and one.rolled_back is None],
    )
    artifacts, folders = outputs.unneeded(needs)
    newest = {run.run_id for run in past[-config.retention.runs :]} | {
        one.run_id for one in manifests
    }
    kept_runs = {*newest, *pending, *_last_judged(past, config.spans.exclude)}
    return Waste(
        versions=tuple(old),
        runs=tuple(path for path in _folders(layout.runs) if path.name not in kept_runs),
        outputs=tuple(folders),
        checkpoints=() if pending else tuple(_folders(layout.training)),
        leftovers=tuple(leftovers(serving)),
        artifacts=tuple(artifacts),
    )


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _old_versions(
    config: PipelineConfig, every: Sequence[Version], good: Sequence[str], unfinished: str
) -> list[Version]:
    """The versions of ours beyond those that are kept.

    Never the newest, nor one of a good model, nor the one that a rollback is going back to. Those
    that were rolled back do not count: there are to be others to go back to.
    """
    there = [one for one in every if one.path is not None and one.manifest is not None]
    counted = [at for at, one in enumerate(there) if one.rolled_back is None]
    kept = counted[-config.retention.versions :]
    return [
        one
        for one in there[: kept[0] if kept else 0]
        if one.name not in (unfinished, every[-1].name)
        if one.manifest
        and not any(f"{one.manifest.source}/".startswith(folder + "/") for folder in good)
    ]


def _pending(layout: Layout, past: Sequence[PastRun]) -> set[str]:
    """Runs that did not come to their end since one was judged: the next one goes on with theirs.

    Those that left no report, being killed, are among them.
    """
    judged = [at for at, run in enumerate(past) if run.finished]
    since = past[judged[-1] + 1 :] if judged else list(past)
    told = {run.run_id for run in past}
    begun = past[judged[-1]].started if judged else 0.0
    killed = {
        path.name
        for path in _folders(layout.runs)
        if path.name not in told and path.stat().st_mtime > begun
    }
    return {run.run_id for run in since} | killed


def _last_judged(past: Sequence[PastRun], excluded: Sequence[int]) -> set[str]:
    """The last run that was judged, and the last one on the newest span."""
    judged = [run for run in past if run.finished]
    counted = (run.spans[-1:] for run in judged if not set(run.spans[-1:]) & set(excluded))
    newest = max(counted, default=())
    on_newest = [run.run_id for run in judged if run.spans[-1:] == newest]
    return {run.run_id for run in judged[-1:]} | set(on_newest[-1:])


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir())
