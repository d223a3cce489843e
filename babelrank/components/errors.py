"""The exceptions that a user of BabelRank can cause.

    BabelRankError
    ├── ConfigError            a key, type or value in the configuration (also a ValueError)
    ├── InputError             a file that is missing, empty, truncated or lacks a column
    │   └── BadRowsError       more bad rows than `ingest.max_bad_fraction` allows
    ├── ModelError             a SavedModel that is missing or not one of ours
    └── DivergedError          the loss of a training is no longer a finite number

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
