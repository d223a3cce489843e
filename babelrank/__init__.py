"""BabelRank: TFX components and ready pipelines for translation and ranking models.

Importing this package switches TensorFlow to Keras 2 (`tf_keras`), which TensorFlow
Recommenders and TFMA need. The switch only works before TensorFlow is imported, so it is
made here, where every process (CLI, Beam worker, container) passes first.
"""

import os
import sys

__version__ = "0.1.0"


def _use_legacy_keras() -> None:
    """Sets `TF_USE_LEGACY_KERAS=1`, or says what to do when it is too late for that.

    Raises:
        ImportError: TensorFlow was imported before and without the switch.
    """
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        return
    if "tensorflow" in sys.modules:
        raise ImportError(
            "babelrank needs Keras 2, but TensorFlow was already imported with Keras 3. "
            "Import babelrank before tensorflow, or set TF_USE_LEGACY_KERAS=1 in the environment."
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"


_use_legacy_keras()
