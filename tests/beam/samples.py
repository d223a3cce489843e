"""Small pipelines for both tasks: three days of clicks, two files of sentence pairs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any


def clicks(folder: Path) -> dict[str, Any]:
    """Writes clicks with bad rows; returns the ranking pipeline's configuration."""
    for day in range(3):
        lines = ["user,item,genres,price,y,ts"]
        for row in range(200 * day, 200 * (day + 1)):
            genres = "|".join(f"g{k}" for k in range(row % 4))
            label = "maybe" if row % 61 == 0 else (row % 3) % 2
            lines.append(f"u{row % 17},i{row % 41},{genres},{row % 7}.5,{label},{1000 * row}")
        text = "\n".join([*lines, "too,short"]) + "\n"
        (folder / f"day{day}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return {
        "data": {
            "path": str(folder / "*.csv.gz"),
            "label": "y",
            "timestamp": "ts",
            "categorical": ["user", "item"],
            "multivalent": {"genres": "|"},
            "dense": ["price"],
        },
        "splits": {"by": "time", "eval": 0.2, "test": 0.2},
        "ingest": {"max_bad_fraction": 0.1},
        "transform": {"vocabularies": {"item": {"min_frequency": 9}}},
        "model": {"embedding_dim": 4, "bottom_stack": [4], "top_stack": [4, 1]},
        "training": {"epochs": 1, "batch_size": 64},
        "evaluation": {"min_auc": 0.001},
    }


def sentences(folder: Path) -> dict[str, Any]:
    """Writes pairs, some of which both files have; returns the translation's configuration."""
    colours, animals = ("red", "green", "blue", "black"), ("cat", "dog", "cow", "owl", "pig")
    farben, tiere = (
        ("rote", "grüne", "blaue", "schwarze"),
        ("Katze", "Hündin", "Kuh", "Eule", "Sau"),
    )
    for part in range(2):
        lines = []
        for i in range(150):
            colour, animal = i % 4, (i // 4 + part) % 5
            source = f"the {colours[colour]} {animals[animal]} sees {i // 10} birds"
            target = f"die {farben[colour]} {tiere[animal]} sieht {i // 10} Vögel"
            lines.append(f"{source}\t{target}")
        (folder / f"part{part}.tsv").write_text("\n".join([*lines, "only a source\t"]) + "\n")
    return {
        "data": {"path": str(folder / "*.tsv"), "format": "tsv", "source": "en", "target": "de"},
        "splits": {"by": "source", "eval": 0.2, "test": 0.2},
        "ingest": {"max_bad_fraction": 0.1},
        "vocabulary": {"size": 60, "shared": False},
        "model": {"preset": "tiny"},
        "training": {"steps": 2, "tokens_per_batch": 512},
        "evaluation": {"min_bleu": 0},
    }
