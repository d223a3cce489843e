"""Configuration of the translation task's data and vocabulary.

Imports neither TensorFlow nor Beam, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from babelrank.components.config import option, required, section
from babelrank.components.errors import ConfigError
from babelrank.components.ingest import config as ingest

FORMATS = ("tsv", "csv", "moses", "tmx", "po", "jsonl", "parquet")
_TWO_LETTERS = {
    "cmn": "zh",
    "zho": "zh",
    "yue": "zh",
    "jpn": "ja",
    "tha": "th",
    "lao": "lo",
    "khm": "km",
    "mya": "my",
    "bod": "bo",
    "dzo": "dz",
}
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "km", "my", "bo", "dz")
"""Languages that are written without spaces between words."""


def primary(language: str) -> str:
    """A language code without script and region, in two letters where there are two: `zh`."""
    code = language.replace("_", "-").split("-")[0].lower()
    return _TWO_LETTERS.get(code, code)


@dataclass(frozen=True, kw_only=True)
class SideConfig:
    """One side of the parallel text. A bare language code stands for `{language: CODE}`."""

    language: str = required("Language code, such as en, pt_BR, zh-Hans.", "en")
    column: str | int | None = option(
        None,
        "tsv, csv: number (from 0, the file has no header) or name (it has one) of the column; "
        "jsonl, parquet: its name. null: 0 for the source and 1 for the target, or the language.",
    )
    path: str | None = option(None, "moses: the file of this side, one sentence a line, or a glob.")

    def __post_init__(self) -> None:
        if not self.language.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"language: got {self.language!r}; takes a code such as en or pt_BR.")
        if isinstance(self.column, int) and self.column < 0:
            raise ConfigError(f"column: got {self.column}; takes 0 or more, or a name.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `source: en` into `source: {language: en}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a language code or a mapping.")
        return {"language": value}

    @property
    def primary(self) -> str:
        """The language without script and region: `zh` of `zh-Hans`."""
        return primary(self.language)

    @property
    def spaced(self) -> bool:
        """True when words of the language are separated by spaces."""
        return self.primary not in WITHOUT_SPACES


@dataclass(frozen=True, kw_only=True)
class CleaningConfig:
    """Which pairs are refused; each rule has a name, a count and a quarantine reason."""

    max_characters: int = option(1000, "Longest side, in characters (too_long).")
    max_length_ratio: float | None = option(
        6.0,
        "Largest ratio of the sides' lengths in characters, over what is usual between the two "
        "languages' scripts (length_ratio); null: any.",
    )
    min_ratio_characters: int = option(
        20, "The ratio is looked at when the longer side has so many characters."
    )
    identical: Literal["keep", "quarantine"] = option(
        "quarantine", "Pairs whose sides are the same text (identical)."
    )
    duplicates: Literal["keep", "drop"] = option(
        "drop", "Second and later occurrences of a pair (duplicate), counted as dropped."
    )
    max_wrong_script: float | None = option(
        0.5,
        "Largest share of letters outside the language's scripts (wrong_script); null: any.",
    )

    def __post_init__(self) -> None:
        if self.max_characters < 1:
            raise ConfigError(f"max_characters: got {self.max_characters}; takes 1 or more.")
        if self.max_length_ratio is not None and self.max_length_ratio < 1:
            raise ConfigError(f"max_length_ratio: got {self.max_length_ratio}; takes 1 or more.")
        if self.max_wrong_script is not None and not 0 <= self.max_wrong_script <= 1:
            raise ConfigError(f"max_wrong_script: got {self.max_wrong_script}; takes 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The parallel text: its files, its format and where the two sides are."""

    path: str | None = option(
        None,
        "Files: a path or glob; {SPAN}, {VERSION} and {YYYY}{MM}{DD} are resolved. Not for moses, "
        "whose files stand under source and target.",
    )
    format: Literal["tsv", "csv", "moses", "tmx", "po", "jsonl", "parquet"] = option(
        "tsv", "Format of the files; .gz, .bz2, .xz and .zst are recognised by name."
    )
    source: SideConfig = required("What is translated.", {"language": "en", "column": 0})
    target: SideConfig = required("What it is translated into.", {"language": "de", "column": 1})
    cleaning: CleaningConfig = section(CleaningConfig, "Which pairs are refused.")

    def __post_init__(self) -> None:
        sides = {"source": self.source, "target": self.target}
        if self.format == "moses":
            for name, side in sides.items():
                if side.path is None:
                    raise ConfigError(f"{name}.path: missing; format: moses has a file a side.")
            if self.path is not None:
                raise ConfigError("path: format: moses takes source.path and target.path instead.")
            return
        if self.path is None:
            raise ConfigError("path: missing; takes a file or a glob.")
        for name, side in sides.items():
            if side.path is not None:
                raise ConfigError(f"{name}.path: only format: moses has a file a side.")
        if self.format in ("tsv", "csv"):
            kinds = {type(column) for column in self.columns}
            if len(kinds) > 1:
                raise ConfigError(
                    f"source.column, target.column: got {self.columns[0]!r} and "
                    f"{self.columns[1]!r}; take two numbers (no header) or two names (a header)."
                )
        if self.format in ("tmx", "po") and (self.source.column or self.target.column):
            raise ConfigError(f"column: format: {self.format} has no columns.")

    @property
    def columns(self) -> tuple[str | int, str | int]:
        """Where source and target stand in a row."""
        numbered = self.format in ("tsv", "csv")
        source, target = self.source.column, self.target.column
        if source is None:
            source = 0 if numbered else self.source.language
        if target is None:
            target = 1 if numbered else self.target.language
        return source, target


@dataclass(frozen=True, kw_only=True)
class TextIngestConfig(ingest.IngestConfig):
    """How parallel text becomes examples."""

    max_bad_fraction: float = option(
        0.2,
        "The run stops when a larger fraction of the pairs is refused: a sign of a wrong column, "
        "language or rule, for real corpora are never quite clean.",
    )


@dataclass(frozen=True, kw_only=True)
class FilesConfig:
    """Files of an explicit split. A bare path stands for `{path: PATH}`."""

    path: str | None = option(None, "Files in the format of the data.")
    source: str | None = option(None, "File of source sentences, one a line.")
    target: str | None = option(None, "File of their translations, one a line.")

    def __post_init__(self) -> None:
        pair = self.source is not None and self.target is not None
        if pair == (self.path is not None) or (self.source is None) != (self.target is None):
            raise ConfigError("takes either path, or source and target.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `eval: dev.tsv` into `eval: {path: dev.tsv}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a path or a mapping.")
        return {"path": value}


@dataclass(frozen=True, kw_only=True)
class ExplicitConfig:
    """Files that are a split, in place of a fraction."""

    eval: FilesConfig | None = option(None, "Files of the eval split.")
    test: FilesConfig | None = option(None, "Files of the test split.")


@dataclass(frozen=True, kw_only=True)
class SplitsConfig:
    """How pairs are divided into train, eval and test."""

    by: Literal["source"] = option(
        "source", "source: by a hash of the source sentence, so that none stands on two sides."
    )
    eval: float = option(0.02, "Fraction of the source sentences for eval (early stopping).")
    test: float = option(0.02, "Fraction for test (the gate); 0: the gate uses eval.")
    explicit: ExplicitConfig = section(ExplicitConfig, "Files in place of the fractions.")

    def __post_init__(self) -> None:
        for name in ("eval", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 <= x < 1.")
        if self.eval + self.test >= 1:
            raise ConfigError(f"eval + test: got {self.eval + self.test}; takes less than 1.")
        if self.eval == 0 and self.explicit.eval is None:
            raise ConfigError("eval: got 0; training needs an eval split (or explicit.eval).")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the splits that there will be."""
        return ingest.SPLITS if self.test or self.explicit.test else ingest.SPLITS[:2]

    @property
    def gate(self) -> str:
        """Name of the split that the gate judges by."""
        return self.names[-1]


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """The subwords that text is cut into (SentencePiece; ids: padding 0, end 1, unknown 2)."""

    size: int = option(8000, "Number of subwords, the three special ones included.")
    shared: bool = option(True, "One vocabulary for both languages, or one for each.")
    model: Literal["unigram", "bpe"] = option("unigram", "Kind of subword model.")
    character_coverage: float = option(
        0.9995,
        "Share of the characters in the text that the subwords cover at least; more are covered "
        "while they take up a quarter of the vocabulary or less. Others are unknown.",
    )
    protected: tuple[str, ...] = option(
        (), "Texts that are never cut, such as placeholders, each one subword."
    )
    reuse: Literal["never", "latest"] = option(
        "never", "latest: keep the vocabulary of the last blessed model, when there is one."
    )
    max_sentences: int = option(
        2_000_000, "Sentences to learn from, a side, where words are not separated by spaces."
    )

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ConfigError(f"size: got {self.size}; takes 16 or more.")
        if not 0.9 <= self.character_coverage <= 1:
            raise ConfigError(f"character_coverage: got {self.character_coverage}; takes 0.9 to 1.")
