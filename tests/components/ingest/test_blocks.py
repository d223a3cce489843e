"""Tests of what blocks say about errors."""

import pyarrow as pa
import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import arrow_errors


def test_errors_of_arrow_name_the_file():
    message = r"^a\.csv: cannot be read as configured: .*'x'"
    with pytest.raises(InputError, match=message), arrow_errors("a.csv"):
        pa.array(["x"]).cast(pa.int64())


def test_too_little_memory_is_not_the_configurations_fault():
    with pytest.raises(MemoryError), arrow_errors("a.csv"):
        pa.allocate_buffer(1 << 62)
