"""What is installed, which stack it is, which devices there are, and what is missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

from babelrank.components.config import from_dict
from babelrank.components.training.config import StrategyConfig

STACKS = {"1.16": "TFX 1.16 / TensorFlow 2.16", "1.21": "TFX 1.21 / TensorFlow 2.21"}
PACKAGES = (
    "babelrank",
    "tfx",
    "tensorflow",
    "tensorflow-text",
    "tf-keras",
    "tensorflow-recommenders",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "apache-beam",
    "ml-metadata",
    "pyarrow",
    "sentencepiece",
    "sacrebleu",
)
MODULES = (
    "tensorflow",
    "tensorflow_text",
    "tensorflow_recommenders",
    "tensorflow_transform",
    "tensorflow_model_analysis",
    "ml_metadata",
    "tfx.v1",
    "sentencepiece",
    "sacrebleu",
)


def examine() -> tuple[list[str], bool]:
    """Lines to print, and whether everything that a run needs is there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    lines = [
        f"python     {platform.python_version()} ({sys.executable})",
        f"system     {platform.platform()}",
        f"processors {os.cpu_count()}",
    ]
    versions = {name: _version(name) for name in PACKAGES}
    lines += [f"  {name:<26}{version or 'MISSING'}" for name, version in versions.items()]
    stack = STACKS.get(".".join((versions["tfx"] or "").split(".")[:2]))
    lines.append(f"stack      {stack or 'unknown: expected TFX 1.16 or 1.21'}")
    failures = [line for module in MODULES if (line := _failure(module))]
    lines += failures or _devices()
    missing = [name for name, version in versions.items() if version is None]
    healthy = stack is not None and not failures and not missing
    lines.append("All is well." if healthy else "Something is missing; `make setup` installs it.")
    return lines, healthy


def examine_strategy(given: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Lines to print, and whether training under a strategy is what it is on one device.

    Args:
        given: Keys of `StrategyConfig`, without those that stay as they are by default.

    Raises:
        ConfigError: A value that it does not take.
        DeviceError: What is asked for is not there.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    config = from_dict(StrategyConfig, given, "strategy")
    from babelrank.pipelines import self_test

    return self_test.examine(config)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _failure(module: str) -> str | None:
    """Why a module cannot be imported; None when it can."""
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken native wheel raises
        return f"{module} cannot be imported: {type(error).__name__}: {error}"
    return None


def _devices() -> list[str]:
    import tensorflow as tf

    legacy = tf.keras.layers.Layer.__module__.startswith("tf_keras")
    lines = [f"keras      {'2, by tf-keras' if legacy else 'not version 2'}"]
    for device in tf.config.list_physical_devices():
        lines.append(f"device     {device.device_type} {device.name}")
    if not tf.config.list_physical_devices("GPU"):
        lines.append("no GPU     training runs on the processor")
    return lines
