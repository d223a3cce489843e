"""A click-log simulator whose Bayes-optimal AUC is known, for the demo and for tests.

`click_world` has the formula of the click probability and the configuration, `optimum` what
the best models can reach; this file writes the logs, malformed rows included.

Files are the same bytes for the same configuration on the same Python and numpy. A span depends
on no later span: with more spans, the first ones stay the same.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import InputError
from babelrank.pipelines.click_world import (
    CATEGORIES,
    DEVICES,
    Rows,
    SimulatorConfig,
    World,
    create_world,
    draw_rows,
    draw_truth,
    generator,
    item_factors,
)
from babelrank.pipelines.optimum import Optimum, Truth, concatenate

__all__ = [
    "COLUMNS",
    "FILE_NAME",
    "MALFORMATIONS",
    "MANIFEST_NAME",
    "Simulation",
    "SimulatorConfig",
    "configuration",
    "simulate",
]

COLUMNS = (
    "ts",
    "user_id",
    "item_id",
    "category",
    "price",
    "tags",
    "title",
    "device",
    "position",
    "clicked",
)
FILE_NAME = "clicks.csv.gz"
MANIFEST_NAME = "simulation.json"

_VERSION = 1  # part of the fingerprint: raise it when the same configuration gives other files

Record = tuple[str, ...]  # the fields of a row, as they stand in the file


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What `simulate` wrote.

    Attributes:
        directory: Folder of everything below.
        rows: Data rows by span, malformed ones included (lines are more: titles have breaks).
        malformed: Malformed rows by kind, over all spans.
        optimum: Over all rows.
        last: Over the last `last_fraction` of all rows by time.
        spans: By span.
        last_of_spans: Over the last `last_fraction` of every span.
    """

    directory: str
    rows: tuple[int, ...]
    malformed: dict[str, int]
    optimum: Optimum
    last: Optimum
    spans: tuple[Optimum, ...]
    last_of_spans: tuple[Optimum, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of the files, by span."""
        return tuple(
            Path(self.directory, _span_path(number)) for number in range(1, len(self.rows) + 1)
        )


def simulate(config: SimulatorConfig, directory: str | Path) -> Simulation:
    """Writes `directory/span-{N}/clicks.csv.gz` (N = 1, 2, …) and `directory/simulation.json`.

    Returns at once when the same configuration was simulated there before. Files of another
    simulation are replaced; files that the manifest does not list are never touched.

    Raises:
        InputError: The folder holds click files that no simulation wrote, or a broken manifest.
    """
    directory = Path(directory)
    fingerprint = _fingerprint(config)
    manifest = _read_manifest(directory)
    if manifest.get("fingerprint") == fingerprint and _is_complete(directory, manifest):
        return from_dict(Simulation, {**manifest["simulation"], "directory": str(directory)})
    _claim(directory, config, manifest)
    simulation, digests = _simulate(config, directory)
    plain = to_dict(simulation)
    del plain["directory"]
    content = {
        "fingerprint": fingerprint,
        "config": to_dict(config),
        "files": digests,
        "simulation": plain,
    }
    _write_manifest(directory, content)
    return simulation


def configuration(directory: str | Path) -> dict[str, Any]:
    """The ranking configuration, as plain data for YAML, of a log simulated in `directory`."""
    return {
        "data": {
            "path": f"{directory}/span-{{SPAN}}/{FILE_NAME}",
            "format": "csv",
            "label": "clicked",
            "objective": "click",
            "timestamp": "ts",
            "categorical": ["user_id", "item_id", "category", "device", "position"],
            "multivalent": {"tags": "|"},
            "dense": ["price"],
            "training_only": {"position": "1"},
        },
        "splits": {"by": "time", "eval": 0.1, "test": 0.1},
        "transform": {"dense": "log_zscore", "time_features": ["hour", "weekday"]},
        "model": {"preset": "small", "interaction": "dot"},
    }


def _replaced(column: str, text: str) -> Callable[[Record], Record]:
    index = COLUMNS.index(column)
    return lambda record: (*record[:index], text, *record[index + 1 :])


MALFORMATIONS: dict[str, Callable[[Record], Record]] = {
    "too_few_columns": lambda record: record[:-2],
    "too_many_columns": lambda record: (*record, "surplus"),
    "price_no_number": _replaced("price", "cheap"),
    "label_missing": _replaced("clicked", ""),
    "label_out_of_range": _replaced("clicked", "2"),
    "timestamp_invalid": _replaced("ts", "2024-02-30T25:61:00Z"),
}
STRAY_QUOTE = {"stray_quote": _replaced("title", '"never closed')}


def _spoil(
    config: SimulatorConfig, records: list[Record], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Makes some records malformed, in place.

    Returns:
        Which rows stayed good, bool[rows], and the number of malformed ones by kind.
    """
    kinds = {**MALFORMATIONS, **(STRAY_QUOTE if config.stray_quotes else {})}
    count = round(config.malformed_fraction * len(records))
    rows = rng.permutation(len(records))[:count]
    malformed = dict.fromkeys(kinds, 0)
    for row, kind in zip(rows, itertools.cycle(kinds), strict=False):
        records[row] = kinds[kind](records[row])
        malformed[kind] += 1
    good = np.ones(len(records), np.bool_)
    good[rows] = False
    return good, malformed


def _span_path(span: int) -> str:
    return f"span-{span}/{FILE_NAME}"


def _simulate(config: SimulatorConfig, directory: Path) -> tuple[Simulation, dict[str, str]]:
    """Writes the files of all spans; returns also their SHA-256 by relative path."""
    world = create_world(config)
    malformed: Counter[str] = Counter()
    truths, digests = [], {}
    for span in range(1, config.spans + 1):
        rng = generator(config, span, 1)
        factors = item_factors(config, world, span)
        rows = draw_rows(config, world, factors, config.rows_per_span, rng)
        truth = draw_truth(config, rows, rng)
        records = _records(config, world, rows, truth, span, rng)
        good, kinds = _spoil(config, records, rng)
        malformed.update(kinds)
        truths.append(truth.select(good))
        path = _span_path(span)
        digests[path] = _write_gzip(directory / path, [COLUMNS, *records])
    everything = concatenate(truths)
    simulation = Simulation(
        directory=str(directory),
        rows=(config.rows_per_span,) * config.spans,
        malformed=dict(malformed),
        optimum=everything.optimum(),
        last=everything.last(config.last_fraction).optimum(),
        spans=tuple(truth.optimum() for truth in truths),
        last_of_spans=tuple(truth.last(config.last_fraction).optimum() for truth in truths),
    )
    return simulation, digests


def _records(
    config: SimulatorConfig,
    world: World,
    rows: Rows,
    truth: Truth,
    span: int,
    rng: np.random.Generator,
) -> list[Record]:
    """The rows as CSV fields, quoted where they must be."""
    midnight = np.datetime64(date.fromisoformat(config.start) + timedelta(days=span - 1), "s")
    times = np.datetime_as_string(midnight + rows.second.astype("timedelta64[s]"), timezone="UTC")
    items = [f"i{number}" for number in range(config.items)]
    titles = [f"Item {number}" for number in range(config.items)]
    nasty = [f'"Item {number}, the ""best"" one\n(new edition)"' for number in range(config.items)]
    quoted = rng.random(len(rows.item)) < config.quoted_titles
    item = rows.item.tolist()
    columns: dict[str, Iterable[str]] = {
        "ts": times.tolist(),
        "user_id": [f"u{number}" for number in rows.user.tolist()],
        "item_id": [items[i] for i in item],
        "category": [CATEGORIES[c] for c in world.item_category[rows.item].tolist()],
        "price": ["" if price != price else f"{price:.2f}" for price in rows.price.tolist()],
        "tags": [world.item_tags[i] for i in item],
        "title": [
            nasty[i] if bad else titles[i] for i, bad in zip(item, quoted.tolist(), strict=True)
        ],
        "device": [DEVICES[d] for d in rows.device.tolist()],
        "position": map(str, rows.position.tolist()),
        "clicked": ["1" if label else "0" for label in truth.label.tolist()],
    }
    return list(zip(*(columns[name] for name in COLUMNS), strict=True))


def _write_gzip(path: Path, records: list[Record]) -> str:
    """Writes CSV, the same bytes for the same records; returns its SHA-256."""
    text = "".join([",".join(record) + "\n" for record in records])
    content = gzip.compress(text.encode(), compresslevel=4, mtime=0)
    _write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fingerprint(config: SimulatorConfig) -> str:
    text = json.dumps([_VERSION, to_dict(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an earlier simulation, or {}."""
    path = directory / MANIFEST_NAME
    if not path.exists():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for name in manifest["files"]:
            if not re.fullmatch(rf"span-\d+/{re.escape(FILE_NAME)}", name):
                raise ValueError(f"file {name!r}")
        return manifest
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: not a manifest of the simulator ({error!r}); remove the folder or "
            "simulate into another one."
        ) from error


def _write_manifest(directory: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    _write_atomically(directory / MANIFEST_NAME, text.encode())


def _is_complete(directory: Path, manifest: dict[str, Any]) -> bool:
    """Whether all files are there, unchanged."""
    return "simulation" in manifest and all(
        (directory / path).is_file()
        and hashlib.sha256((directory / path).read_bytes()).hexdigest() == digest
        for path, digest in manifest["files"].items()
    )


def _claim(directory: Path, config: SimulatorConfig, manifest: dict[str, Any]) -> None:
    """Removes the files of an earlier simulation and notes which ones are going to be ours.

    Written first, so that after a crash nothing of ours passes for someone else's, and no span
    of an earlier simulation stays behind.
    """
    ours = [_span_path(span) for span in range(1, config.spans + 1)]
    for path in ours:
        if path not in manifest.get("files", {}) and (directory / path).exists():
            raise InputError(
                f"{directory / path}: exists, and the simulator did not write it; remove it or "
                "simulate into another folder."
            )
    _write_manifest(directory, {"files": dict.fromkeys([*manifest.get("files", {}), *ours], "")})
    for path in manifest.get("files", {}):
        (directory / path).unlink(missing_ok=True)
        if path not in ours:
            with contextlib.suppress(OSError):  # not empty, or not there
                (directory / path).parent.rmdir()
