"""Tests of errors that come back from workers as text."""

from __future__ import annotations

import pytest

from babelrank.components.errors import ConfigError, InputError
from babelrank.components.remote import own_errors

REPORT = """Pipeline job-1 failed in state FAILED: bundle inst1 stage-3 failed:Traceback (most recent call last):
  File "babelrank/components/ingest/csv_reader.py", line 80, in blocks
    raise InputError(f"{path}: no header")
babelrank.components.errors.InputError: a.csv: no header.
Expected one. [while running 'Ingest']

  [while running 'Ingest'] java.lang.RuntimeException: worker 1
"""  # noqa: E501


def test_what_was_raised():
    with pytest.raises(InputError) as found, own_errors():
        raise RuntimeError(REPORT)
    assert str(found.value) == "a.csv: no header.\nExpected one."
    assert str(found.value.__cause__) == REPORT


def test_one_of_a_chain():
    chain = REPORT.replace(" [while", "\n\nDuring handling of the above exception, … [while", 1)
    with pytest.raises(InputError, match="^a.csv: no header.\nExpected one.$"), own_errors():
        raise RuntimeError(chain)


def test_the_kind():
    with pytest.raises(ConfigError, match="^data: got 1$"), own_errors():
        raise RuntimeError("babelrank.components.errors.ConfigError: data: got 1")


@pytest.mark.parametrize("text", ["out of memory", "babelrank.components.errors.Nothing: text"])
def test_other_errors(text: str):
    with pytest.raises(RuntimeError, match=text), own_errors():
        raise RuntimeError(text)


def test_an_error_in_this_process():
    error = InputError("a.csv: no header. [while running 'Ingest']")
    with pytest.raises(InputError) as found, own_errors():
        raise error
    assert found.value is error
