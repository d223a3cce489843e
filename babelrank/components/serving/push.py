"""Pushing a blessed SavedModel to the folder that a model server watches.

A version appears there complete or not at all: it is copied under a temporary name, synced
to disk and renamed. Versions only rise. Pushing the newest version again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

MANIFEST = "assets.extra/babelrank_push.json"
_TEMPORARY = ".pushing-"


def digest(model: Path) -> str:
    """SHA-256 over the names and contents of a model's files, but for the push manifest."""
    whole = hashlib.sha256()
    for path in sorted(p for p in model.rglob("*") if p.is_file()):
        name = path.relative_to(model).as_posix()
        if name != MANIFEST:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{name}\t{content}\n".encode())
    return whole.hexdigest()


def push(model: Path, destination: Path) -> tuple[Path, bool]:
    """Pushes a model, unless it is the newest version already.

    An older version with the same content does not count: servers serve the newest.

    Args:
        model: Folder of the SavedModel.
        destination: Folder that holds one numbered folder for each version.

    Returns:
        Folder of the version that holds the model, and whether it is new.

    Raises:
        OSError: The destination cannot be written; nothing is left behind there.
    """
    destination.mkdir(parents=True, exist_ok=True)
    wanted = digest(model)
    for leftover in destination.glob(f"{_TEMPORARY}*"):  # of a push that was killed
        shutil.rmtree(leftover)
    pushed = versions(destination)
    if pushed and _pushed_digest(pushed[-1]) == wanted:
        return pushed[-1], False
    newest = int(pushed[-1].name) if pushed else 0
    final = destination / str(max(int(time.time()), newest + 1))
    temporary = destination / f"{_TEMPORARY}{final.name}-{os.getpid()}"
    try:
        shutil.copytree(model, temporary)
        manifest = temporary / MANIFEST
        manifest.parent.mkdir(exist_ok=True)
        manifest.write_text(json.dumps({"digest": wanted, "source": str(model)}))
        _sync(temporary)
        temporary.rename(final)
        _sync_folder(destination)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final, True


def versions(destination: Path) -> list[Path]:
    """The pushed versions, oldest first."""
    found = [p for p in destination.glob("*") if p.name.isdecimal() and p.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def _pushed_digest(version: Path) -> str | None:
    try:
        manifest: dict[str, str] = json.loads((version / MANIFEST).read_text())
    except (OSError, ValueError):
        return None  # pushed by something else
    return manifest.get("digest")


def _sync(folder: Path) -> None:
    """Forces a folder and everything in it to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Executor(tfx_executor.Executor):
    """TFX's Pusher executor with `push` in place of its copying."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed; see `tfx.components.Pusher`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        version, new = push(
            Path(self.GetModelPath(input_dict)), Path(destination.filesystem.base_directory)
        )
        pushed.set_int_custom_property("new_version", int(new))
        self._MarkPushed(pushed, pushed_destination=str(version), pushed_version=version.name)


class Pusher(tfx.components.Pusher):  # type: ignore[misc]
    """TFX's Pusher; a push is atomic, durable, and not repeated."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
