"""A pipeline compiled for a cluster, and what of a cluster it needs: a volume and a database."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from babelrank.pipelines import database as metadata
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.metadata_store import open_store
from tests.kubeflow.backend import Backend, Run
from tests.kubeflow.backend_launcher import Cluster
from tests.kubeflow.databases import Database

CLAIM, SECRET = "babelrank-artifacts", "metadata-db/password"


class Deployment:
    """A pipeline that is compiled for a cluster, and the folder and database that it has there.

    Args:
        pipeline: ranking or translation.
        config: Its configuration, without the section `kubernetes`.
        root: Folder of the volume.
        server: ML Metadata's database.
    """

    def __init__(self, pipeline: str, config: dict[str, Any], root: Path, server: Database) -> None:
        self.layout = Layout(root / config["name"])
        self._pipeline, self._root, self._server = pipeline, root, server
        self._config = root / f"{pipeline}.yaml"
        kubernetes = {"root": str(root), "metadata": server.address}
        self._config.write_text(yaml.safe_dump({**config, "kubernetes": kubernetes}))
        secrets = {SECRET: server.password}
        self._backend = Backend(root / "backend", Cluster(secrets, {CLAIM: root}), width=2)

    def compile(self, *arguments: str) -> Path:
        """The YAML that `babelrank compile` writes."""
        path = self._root / f"{self._pipeline}-compiled.yaml"
        command = [sys.executable, "-m", "babelrank.pipelines.cli", "compile", self._pipeline]
        command += ["--config", str(self._config), "-o", str(path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return path

    def run(self, path: Path, **given: Any) -> Run:
        """One run on the cluster."""
        disturb = given.pop("disturb", None)
        return self._backend.run(path, given, disturb=disturb)

    @property
    def versions(self) -> list[str]:
        """The pushed versions."""
        return sorted(folder.name for folder in self.layout.serving.glob("*"))

    def result(self) -> dict[str, Any]:
        """run.json."""
        found: dict[str, Any] = json.loads((self.layout.out / "run.json").read_text())
        return found

    def executions(self, run: Run) -> dict[str, list[str]]:
        """States of the executions of a run in ML Metadata, by node."""
        environment = {metadata.VARIABLE: self._server.address}
        environment[metadata.PASSWORD] = self._server.password
        store = open_store(metadata.connection(self.layout, environment))
        context = store.get_context_by_type_and_name("pipeline_run", run.run_id)
        found: dict[str, list[str]] = {}
        if context is None:
            return found
        for execution in store.get_executions_by_context(context.id):
            (node,) = (
                one.name.rpartition(".")[2]
                for one in store.get_contexts_by_execution(execution.id)
                if store.get_context_types_by_id([one.type_id])[0].name == "node"
            )
            state = execution.State.Name(execution.last_known_state)
            found.setdefault(node, []).append(state)
        return found


_WRITES = {"plan": "request.json", "report": "run.json"}


class Killer:
    """Ends the first try of tasks, with all its processes, while it writes its outputs.

    Args:
        layout: Where the outputs are.
        tasks: Names of the tasks.

    Attributes:
        killed: Those that were, in order.
    """

    def __init__(self, layout: Layout, tasks: Collection[str]) -> None:
        self._layout, self._tasks = layout, tasks
        self._lock = threading.Lock()
        self.killed: list[str] = []

    def __call__(self, task: str, number: int, group: int, log: Path) -> None:
        """Waits for an output of the try, and a moment longer; kills it unless it has ended."""
        if task not in self._tasks or number > 0:
            return
        before = self._outputs(task)
        while self._outputs(task) <= before:
            if not _alive(group):
                return
            time.sleep(0.05)
        time.sleep(random.random() / 5)
        if _alive(group):
            with contextlib.suppress(ProcessLookupError), self._lock:
                os.killpg(group, signal.SIGKILL)
                self.killed.append(task)

    def _outputs(self, task: str) -> set[Path]:
        """Files of all tries of the node, such as those below artifacts/StatisticsGen.

        Plan and Report, which are no nodes, write into the folder of the run.
        """
        if task in _WRITES:
            return set(self._layout.runs.glob(f"*/{_WRITES[task]}"))
        folders = self._layout.artifacts.glob("*")
        mine = [one for one in folders if one.name.lower() == task.replace("-", "")]
        return {path for folder in mine for path in folder.rglob("*") if path.is_file()}


def _alive(group: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        status = Path(f"/proc/{group}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
