"""The exceptions that a user of BabelRank can cause.

    BabelRankError
    ├── ConfigError            a key, type or value in the configuration (also a ValueError)
    ├── InputError             a file that is missing, empty, truncated or lacks a column
    │   └── BadRowsError       more bad rows than `ingest.max_bad_fraction` allows
    ├── ModelError             a SavedModel that is missing or not one of ours
    ├── DivergedError          the loss of a training is no longer a finite number
    ├── DeviceError            a GPU, TPU or worker that was asked for is not there
    ├── WorkerLostError        another worker of this training is gone: start all again
    └── CheckpointError        a checkpoint cannot be written, such as on a full disk

    KeyboardInterrupt
    └── Interrupted            training stopped as asked, with a checkpoint: start it again

Every message says what happened, where, what was expected, and what to do about it.
"""


class BabelRankError(Exception):
    """Base of all errors that BabelRank raises on purpose."""


class ConfigError(BabelRankError, ValueError):
    """A configuration key, type or value is wrong."""


class InputError(BabelRankError):
    """An input file is missing, empty, unreadable, or lacks a column."""


class BadRowsError(InputError):
    """The fraction of quarantined rows is above `ingest.max_bad_fraction`."""


class ModelError(BabelRankError):
    """A model folder is missing or holds no model that BabelRank exported."""


class DivergedError(BabelRankError):
    """The loss of a training is no longer a finite number."""


class DeviceError(BabelRankError):
    """A device or a worker that the configuration asks for is not there."""


class WorkerLostError(BabelRankError):
    """Another worker of a training of several is gone, or does not answer."""


class CheckpointError(BabelRankError):
    """A checkpoint cannot be written; the one before is whole."""


class Interrupted(KeyboardInterrupt):
    """Training stopped because it was asked to, after a checkpoint; the same call goes on."""


RESUME = 143
"""Exit code of a process that was stopped and, started again, goes on; 128 + SIGTERM.

Kubernetes' training operator takes codes of 128 and more as a reason to start a worker again.
"""
