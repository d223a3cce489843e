"""Switches Keras before any test imports TensorFlow."""

import babelrank  # noqa: F401
