"""What is done to every input, and what must hold whatever the input is.

A target takes bytes and raises when a promise is broken. Hypothesis feeds them in the tests,
and atheris, guided by coverage, in `make fuzz`. The promises: nothing but a BabelRankError comes
out, every row that was read is used, dropped or refused with a reason, and what becomes of a row
does not depend on how the file was cut into blocks.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from babelrank.components import config, yaml_text
from babelrank.components.errors import BabelRankError
from babelrank.components.ingest.binary_readers import read_parquet, read_tfrecord
from babelrank.components.ingest.blocks import Block, arrow_errors
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.ingest.csv_reader import CsvReader
from babelrank.components.ingest.files import open_input
from babelrank.components.ingest.jsonl_reader import JsonlReader
from babelrank.components.ingest.line_pairs import read_line_pairs
from babelrank.components.ingest.po_reader import read_po
from babelrank.components.ingest.spans import InputFile, resolve
from babelrank.components.ingest.summary import Summary, quarantine_line
from babelrank.components.ingest.tmx_reader import read_tmx
from babelrank.components.ingest.tsv_reader import TsvReader
from babelrank.components.ranking.config import DataConfig as ClickConfig
from babelrank.components.ranking.records import RowReader
from babelrank.components.translation.config import DataConfig as TextConfig
from babelrank.components.translation.pairs import PairBlock, PairReader
from babelrank.pipelines.config import RankingConfig, TranslationConfig

NAMES = ("source", "target")
TEXTS = dict.fromkeys(NAMES, pa.string())
SMALL = 16
"""Bytes of a block, so that every record spans several."""

Row = tuple[Any, ...]
Blocks = Callable[[int], Iterator[Block]]

_TEXT = config.from_dict(
    TextConfig,
    {
        "path": "x",
        "source": {"language": "en", "column": 0},
        "target": {"language": "de", "column": 1},
    },
)
CLICKS = config.from_dict(
    ClickConfig,
    {
        "path": "x",
        "label": "y",
        "timestamp": "ts",
        "categorical": ["c"],
        "multivalent": {"m": "|"},
        "dense": ["d"],
    },
)
SEPARATOR = b"\n--\n"
"""Between the two files of a pair, and between a configuration and its overrides."""


def csv(data: bytes) -> None:
    """A table of parallel text with a header."""
    _pairs(lambda size: CsvReader("a.csv", TEXTS, block_bytes=size).blocks(io.BytesIO(data)))


def tsv(data: bytes) -> None:
    """Lines of parallel text."""
    reader = lambda size: TsvReader("a.tsv", TEXTS, positions=(0, 1), block_bytes=size)  # noqa: E731
    _pairs(lambda size: reader(size).blocks(io.BytesIO(data)))


def jsonl(data: bytes) -> None:
    """JSON lines of parallel text."""
    _pairs(lambda size: JsonlReader("a.jsonl", TEXTS, size).blocks(io.BytesIO(data)))


def lines(data: bytes) -> None:
    """Two files side by side."""
    first, _, second = data.partition(SEPARATOR)

    def blocks(size: int) -> Iterator[Block]:
        files = (io.BytesIO(first), io.BytesIO(second))
        return read_line_pairs(files, ("a.en", "a.de"), NAMES, size)

    _pairs(blocks)


def po(data: bytes) -> None:
    """A gettext catalogue."""
    _pairs(lambda _: read_po(io.BytesIO(data), "a.po", "de", NAMES))


def tmx(data: bytes) -> None:
    """A translation memory."""
    _pairs(lambda _: read_tmx(io.BytesIO(data), "a.tmx", ("en", "de"), NAMES))


def clicks_csv(data: bytes) -> None:
    """A click log, whose columns are converted too."""
    wanted = RowReader(CLICKS).columns()
    _clicks(lambda size: CsvReader("a.csv", wanted, block_bytes=size).blocks(io.BytesIO(data)))


def clicks_jsonl(data: bytes) -> None:
    """The same as JSON lines."""
    wanted = RowReader(CLICKS).columns()
    _clicks(lambda size: JsonlReader("a.jsonl", wanted, size).blocks(io.BytesIO(data)))


def parquet(data: bytes) -> None:
    """A click log as Parquet."""
    wanted = RowReader(CLICKS).columns()
    _clicks(lambda _: _through_a_file(data, ".parquet", lambda f, p: read_parquet(f, p, wanted)))


def tfrecord(data: bytes) -> None:
    """A click log as TFRecord."""
    wanted = RowReader(CLICKS).columns()
    for ending in ("", ".gz"):
        with _file(data, ending) as path:
            _account(RowReader(CLICKS).read, lambda _, path=path: read_tfrecord(path, wanted), 0)


def compressed(data: bytes) -> None:
    """A file that says it is compressed."""
    for ending in (".gz", ".xz", ".zst", ".bz2"):
        with _file(data, ending) as path:
            try:
                with open_input(path) as file:
                    while file.read(1 << 20):
                        pass
            except BabelRankError as error:
                assert path in str(error)


def configuration(data: bytes) -> None:
    """A configuration file and overrides of it."""
    text, *overrides = data.split(SEPARATOR)
    sets = [one.decode("utf-8", "surrogateescape") for one in overrides]
    with _file(text, ".yaml") as path:
        for kind in (RankingConfig, TranslationConfig):
            try:
                made = config.load_yaml(kind, path, sets)
            except BabelRankError as error:
                assert len(str(error)) < 10_000
                continue
            plain = config.to_dict(made)
            assert config.from_dict(kind, json.loads(json.dumps(plain))) == made


def yaml_values(data: bytes) -> None:
    """YAML: what is taken is what PyYAML's safe loader makes of it."""
    text = data.decode("utf-8", "replace")
    try:
        value = yaml_text.loads(text, "a.yaml")
    except BabelRankError:
        return
    assert repr(value) == repr(yaml.safe_load(text))


def spans(data: bytes) -> None:
    """A pattern, beside files with whatever names."""
    pattern, _, rest = data.partition(SEPARATOR)
    with tempfile.TemporaryDirectory() as folder:
        for name in rest.split(b"\n")[:8]:
            path = os.path.join(os.fsencode(folder), name.replace(b"\0", b"").lstrip(b"/")[:200])
            if (
                b".." not in name
                and not os.path.lexists(path)
                and os.path.isdir(Path(os.fsdecode(path)).parent)
            ):
                Path(os.fsdecode(path)).write_bytes(b"x")
        try:
            wanted = os.path.join(folder, pattern.decode("utf-8", "replace").lstrip("/"))
            found = resolve(wanted, SpansConfig())
        except BabelRankError:
            return
        assert found.files
        assert all(os.path.isfile(one.path) for one in found.files)
        json.dumps([vars(one) for one in found.files]).encode()


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (
        csv,
        tsv,
        jsonl,
        lines,
        po,
        tmx,
        clicks_csv,
        clicks_jsonl,
        parquet,
        tfrecord,
        compressed,
        configuration,
        yaml_values,
        spans,
    )
}


def _pairs(blocks: Blocks) -> None:
    reader = PairReader(_TEXT)

    def read(block: Block) -> Any:
        file = InputFile("a/b", 0)
        return reader.read(
            PairBlock(block.batch, block.locate, block.first_row, block.bad, file=file)
        )

    assert _account(read, blocks, 1 << 20) == _account(read, blocks, SMALL)


def _clicks(blocks: Blocks) -> None:
    read = RowReader(CLICKS).read
    assert _account(read, blocks, 1 << 20) == _account(read, blocks, SMALL)


def _account(read: Callable[[Any], Any], blocks: Blocks, size: int) -> Any:
    """What became of each row; a refusal of the whole file is the text of its error."""
    summary = Summary()
    used: list[Row] = []
    refused: list[Row] = []
    try:
        with arrow_errors("a"):
            for block in blocks(size):
                assert block.first_row == summary.read
                rows = read(block)
                summary.read += block.rows
                summary.written["train"] += len(rows.index)
                summary.dropped.update(rows.dropped)
                used += [tuple(map(str, row.values())) for row in rows.features.to_pylist()]
                places = block.locate([index for index, _, _ in rows.bad]) if rows.bad else []
                for row in block.bad:
                    summary.add_bad("a", row)
                    refused.append((row.location.position, row.reason))
                    json.dumps(quarantine_line("a", row), ensure_ascii=False).encode()
                for place, (_, reason, detail) in zip(places, rows.bad, strict=True):
                    summary.quarantined[reason] += 1
                    refused.append((place.position, reason))
                    json.dumps([place.raw, detail], ensure_ascii=False).encode()
    except BabelRankError:
        return None
    summary.check_balance()
    return used, sorted(refused), summary.dropped


def _through_a_file(
    data: bytes, ending: str, read: Callable[[Any, str], Iterator[Block]]
) -> Iterator[Block]:
    with _file(data, ending) as path, open_input(path) as opened:
        yield from read(opened, path)


class _file:
    """A file that is there for a while."""

    def __init__(self, data: bytes, ending: str) -> None:
        self._data = data
        self._ending = ending

    def __enter__(self) -> str:
        handle, self.path = tempfile.mkstemp(self._ending)
        with os.fdopen(handle, "wb") as file:
            file.write(self._data)
        return self.path

    def __exit__(self, *_: object) -> None:
        os.remove(self.path)
