"""Tests of the Keras switch, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Importing TensorFlow takes seconds; the switch looks only at sys.modules.
PRETENDED = "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow'); "


def python(code: str, switch: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    if switch is not None:
        environment["TF_USE_LEGACY_KERAS"] = switch
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )


def test_import_sets_the_switch_and_nothing_heavy_follows():
    done = python(
        "import os, sys, babelrank; "
        "print(os.environ['TF_USE_LEGACY_KERAS'], 'tensorflow' in sys.modules)"
    )
    assert done.stdout.split() == ["1", "False"], done.stderr


def test_tensorflow_then_has_keras_2():
    done = python("import babelrank, tensorflow as tf; print(tf.keras.layers.Layer.__module__)")
    assert done.stdout.startswith("tf_keras"), done.stderr


@pytest.mark.parametrize("switch", [None, "0", ""])
def test_too_late_says_what_to_do(switch: str | None):
    done = python(PRETENDED + "import babelrank", switch)
    assert done.returncode == 1
    assert "ImportError: babelrank needs Keras 2" in done.stderr
    assert "Import babelrank before tensorflow, or set TF_USE_LEGACY_KERAS=1" in done.stderr


@pytest.mark.parametrize("switch", ["1", "true", "True"])
def test_tensorflow_before_is_fine_with_the_switch(switch: str):
    done = python(PRETENDED + "import babelrank; print('fine')", switch)
    assert done.stdout.strip() == "fine", done.stderr
