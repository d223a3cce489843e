"""A small parallel corpus of real phrases for the demo: the names of emoji, English to Spanish.

The names are those of Unicode's Common Locale Data Repository, as the `emoji` package carries
them. Half of them name a skin tone or two ("woman surfing light skin tone"), so that a name that
is held out mostly has near relatives in training: a model can be seen to compose what it has
learned, and a score on them says nothing about other text. The other half are single names
("blowfish"), of which no model can know the ones that it has not seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import emoji

from babelrank.components.errors import InputError

SOURCE, TARGET = "en", "es"
FILE_NAME = "names.tsv"


def names() -> list[tuple[str, str]]:
    """Each name once, with its translation, in the order of the package."""
    emoji.config.load_language(TARGET)
    pairs = {
        _clean(entry[SOURCE]): _clean(entry[TARGET])
        for entry in emoji.EMOJI_DATA.values()
        if entry["status"] <= emoji.STATUS["fully_qualified"]  # the others repeat names
    }
    return list(pairs.items())


def write(directory: Path) -> int:
    """Writes `directory/names.tsv`, unless it is there already; returns the number of pairs.

    Raises:
        InputError: The folder cannot be made or written.
    """
    pairs = names()
    content = "".join(f"{source}\t{target}\n" for source, target in pairs).encode()
    path = directory / FILE_NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:  # a new date would be new data
            path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    return len(pairs)


def configuration(directory: Path) -> dict[str, Any]:
    """The translation configuration, as plain data for YAML, of names written to `directory`."""
    return {
        "data": {
            "path": str(directory / FILE_NAME),
            "format": "tsv",
            "source": {"language": SOURCE, "column": 0},
            "target": {"language": TARGET, "column": 1},
            "cleaning": {"identical": "keep"},  # such as koala
        },
        "splits": {"by": "source", "eval": 0.05, "test": 0.1},
        "vocabulary": {"size": 1000, "shared": True, "character_coverage": 1.0},
        "model": {"preset": "tiny"},
    }


def _clean(name: str) -> str:
    """`:woman_with_bunny_ears:` as words."""
    return name.strip(":").replace("_", " ")
