"""Which files a run reads: spans, versions, dates and rolling windows in a path pattern.

A pattern may hold `{SPAN}` (a number, optionally `{SPAN:width}`) or `{YYYY}`, `{MM}` and
`{DD}` (together a date, whose span is its number of days since 1970-01-01, as in TFX), and
`{VERSION}`; everything else is a glob. Of each span the newest version is read. A wildcard
does not match a file whose name begins with `.` or `_`, such as Spark's `_SUCCESS`.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import posixpath
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems

from babelrank.components.errors import ConfigError, InputError
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.ingest.files import check_regular

_TOKEN = re.compile(r"\{(SPAN|VERSION)(?::(\d+))?\}|\{(YYYY|MM|DD)\}")
_LARGEST = (1 << 63) - 1
"""What ML Metadata holds."""
_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
        path: Its full name.
        span: Span it belongs to; 0 without spans.
        split: Name of the split that all its rows belong to; empty: by the split rule.
        beside: The file that is read line by line beside it; empty: none.
    """

    path: str
    span: int
    split: str = ""
    beside: str = ""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Files that a task wants to be read, before they are looked for.

    Attributes:
        path: A pattern.
        beside: Pattern of the files that are read line by line beside those; empty: none.
        split: Name of the split that the files are; empty: the split rule decides. Only files
            without one may have spans.
        keys: The configuration's keys of `path` and `beside`, for messages.
    """

    path: str
    beside: str = ""
    split: str = ""
    keys: tuple[str, ...] = ("data.path",)


@dataclass(frozen=True)
class Resolved:
    """What a pattern stands for now.

    Attributes:
        files: The files, in the order of span and name.
        spans: The spans, oldest first; (0,) without spans.
        version: Newest version read in the newest span, if the pattern has versions.
        fingerprint: Changes when a file comes, goes, or changes size or time.
    """

    files: tuple[InputFile, ...]
    spans: tuple[int, ...]
    version: int | None
    fingerprint: str


def has_spans(pattern: str) -> bool:
    """True when the pattern tells spans apart."""
    return any(match[1] == "SPAN" or match[3] for match in _TOKEN.finditer(pattern))


def resolve_inputs(inputs: Inputs, config: SpansConfig) -> Resolved:
    """Finds the files, and pairs those that are read side by side, in the order of their names.

    Raises:
        ConfigError: A pattern mixes `{SPAN}` with dates, or names a date in part.
        InputError: No file matches, the wanted span is not there, or a file has no partner.
    """
    found = resolve(inputs.path, config, inputs.split, inputs.keys[0])
    if not inputs.beside:
        return found
    beside = resolve(inputs.beside, config, inputs.split, inputs.keys[1])
    sides = (found, beside)
    if found.spans != beside.spans:
        raise InputError(
            f"{inputs.path} has the spans {found.spans}, {inputs.beside} {beside.spans}; "
            f"a span needs files of both. Check {' and '.join(inputs.keys)}."
        )
    for span in found.spans:
        counts = [sum(file.span == span for file in side.files) for side in sides]
        if counts[0] != counts[1]:
            raise InputError(
                f"{inputs.path} matches {counts[0]} files and {inputs.beside} {counts[1]}; they "
                f"are read in pairs, in the order of their names. "
                f"Check {' and '.join(inputs.keys)}."
            )
    files = tuple(
        dataclasses.replace(one, beside=other.path)
        for one, other in zip(found.files, beside.files, strict=True)
    )
    prints = found.fingerprint + beside.fingerprint
    both = hashlib.sha256(prints.encode()).hexdigest()[:32]
    return Resolved(files, found.spans, found.version, both)


def all_spans(inputs: Inputs, config: SpansConfig) -> tuple[int, ...]:
    """Every complete span of a pattern, oldest first; of two, those that both have.

    Whether the files of a span can be paired is seen when it is read; here, a span that was
    delivered in part does not keep others from being found.

    Raises:
        ConfigError: A pattern mixes `{SPAN}` with dates, or names a date in part.
        InputError: No file matches, or the two patterns have no span in common.
    """
    everything = dataclasses.replace(config, window=sys.maxsize, span=None)
    patterns = [inputs.path, *([inputs.beside] if inputs.beside else [])]
    sides = [
        set(resolve(pattern, everything, inputs.split, key).spans)
        for pattern, key in zip(patterns, inputs.keys, strict=False)
    ]
    both = set.intersection(*sides)
    if not both:
        raise InputError(
            f"{inputs.path} and {inputs.beside} have no span in common; a span needs files of "
            f"both. Check {' and '.join(inputs.keys)}."
        )
    return tuple(sorted(both))


def resolve(pattern: str, config: SpansConfig, split: str = "", key: str = "data.path") -> Resolved:
    """Finds the files that `pattern`, the value of `key`, stands for.

    Raises:
        ConfigError: The pattern mixes `{SPAN}` with dates, or names a date in part.
        InputError: No file matches, or the wanted span is not there.
    """
    _check(pattern, config)
    found: dict[int, dict[int, list[FileMetadata]]] = {}
    regex = _compiled(pattern)
    for metadata in _match(_glob(pattern)):
        match = regex.fullmatch(metadata.path)
        if match is not None and not _is_hidden(metadata.path, pattern):
            _check_file(metadata.path)
            groups = match.groupdict()
            version = _number(groups.get("VERSION"), metadata.path)
            found.setdefault(_span(groups, metadata.path), {}).setdefault(version, []).append(
                metadata
            )
    if config.marker is not None:
        found = {s: v for s, v in found.items() if _is_complete(v[max(v)], config.marker)}
    if has_spans(pattern):
        found = {s: v for s, v in found.items() if s not in config.exclude}
    if not found:
        raise InputError(
            f"{pattern}: no {'complete span' if config.marker else 'file'} matches"
            f" (looked for {_glob(pattern)}). Check {key}."
        )
    spans = _window(pattern, sorted(found), config)
    newest = {span: found[span][max(found[span])] for span in spans}
    files = tuple(
        InputFile(metadata.path, span, split)
        for span in spans
        for metadata in sorted(newest[span], key=lambda metadata: metadata.path)
    )
    newest_version = max(found[spans[-1]]) if "{VERSION" in pattern else None
    return Resolved(files, spans, newest_version, fingerprint(m for s in spans for m in newest[s]))


def fingerprint(files: Iterable[FileMetadata]) -> str:
    """A digest of the files' names, sizes and modification times."""
    lines = sorted(f"{m.path}\t{m.size_in_bytes}\t{m.last_updated_in_seconds}" for m in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def fingerprint_of(path: str) -> str:
    """The same for the files that one path or glob names.

    Raises:
        InputError: There is none, one is no regular file, or its name no UTF-8.
    """
    found = _match(path)
    if not found:
        raise InputError(f"{path}: no such file (named in data.joins).")
    for metadata in found:
        _check_file(metadata.path)
    return fingerprint(found)


def _window(pattern: str, spans: Sequence[int], config: SpansConfig) -> tuple[int, ...]:
    if not has_spans(pattern):
        return tuple(spans)
    newest = spans[-1] if config.span is None else config.span
    if newest not in spans:
        shown = ", ".join(map(str, spans[-10:]))
        raise InputError(f"{pattern}: no span {newest}; the newest ones are {shown}.")
    return tuple(span for span in spans if span <= newest)[-config.window :]


def _check(pattern: str, config: SpansConfig) -> None:
    tokens = [match[1] or match[3] for match in _TOKEN.finditer(pattern)]
    dates = {"YYYY", "MM", "DD"} & set(tokens)
    if dates and (len(dates) < 3 or "SPAN" in tokens):
        raise ConfigError(f"path: {pattern}: takes {{SPAN}}, or all of {{YYYY}}, {{MM}}, {{DD}}.")
    for name in ("SPAN", "VERSION", "YYYY", "MM", "DD"):
        if tokens.count(name) > 1:
            raise ConfigError(f"path: {pattern}: {{{name}}} stands twice.")
    if not has_spans(pattern) and (config.window > 1 or config.span is not None or config.exclude):
        raise ConfigError(
            f"spans: window, span and exclude need {{SPAN}} or {{YYYY}}{{MM}}{{DD}} in data.path "
            f"({pattern})."
        )


def _glob(pattern: str) -> str:
    return _TOKEN.sub("*", pattern)


def _regex(pattern: str) -> str:
    out, end = [], 0
    for match in _TOKEN.finditer(pattern):
        out.append(_escape(pattern[end : match.start()]))
        name = match[1] or match[3]
        digits = match[2] or {"YYYY": "4", "MM": "2", "DD": "2"}.get(name)
        out.append(rf"(?P<{name}>[0-9]{{{digits}}})" if digits else rf"(?P<{name}>[0-9]+)")
        end = match.end()
    return "".join(out) + _escape(pattern[end:])


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_regex(pattern))
    except (re.error, OverflowError) as error:
        raise ConfigError(f"path: {pattern}: takes a glob: {error}.") from error


def _escape(text: str) -> str:
    """A glob as a regular expression; Beam's own matching has already applied its details."""
    parts = re.split(r"(\*\*?|\?|\[[^\]]*\])", text)
    known = {"*": "[^/]*", "**": ".*", "?": "[^/]"}
    return "".join(
        known.get(p, p.replace("[!", "[^") if p.startswith("[") else re.escape(p)) for p in parts
    )


def _span(groups: dict[str, str | None], path: str) -> int:
    if groups.get("YYYY"):
        year, month, day = (int(groups[name] or 0) for name in ("YYYY", "MM", "DD"))
        try:
            return (datetime.date(year, month, day) - _EPOCH).days
        except ValueError:
            raise InputError(
                f"{path}: {year:04}-{month:02}-{day:02} in a file name is no date."
            ) from None
    return _number(groups.get("SPAN"), path)


def _number(digits: str | None, path: str) -> int:
    number = int(digits or 0)
    if number > _LARGEST:
        raise InputError(f"{path}: the number {digits} is too large for a span or version.")
    return number


def _is_hidden(path: str, pattern: str) -> bool:
    first = posixpath.basename(path)[:1]
    return first in ("_", ".") and posixpath.basename(pattern)[:1] in ("*", "?", "[", "{")


def _match(glob: str) -> list[FileMetadata]:
    """The files that a glob names.

    Raises:
        ConfigError: It is no glob.
        InputError: The files cannot be listed.
    """
    try:
        return list(FileSystems.match([glob])[0].metadata_list)
    except (re.error, OverflowError) as error:
        raise ConfigError(f"path: {glob}: takes a glob: {error}.") from error
    except (BeamIOError, OSError, ValueError) as error:
        raise InputError(f"{glob}: cannot list the files: {error}") from error


def _check_file(path: str) -> None:
    check_regular(path)
    if not _is_utf8(path):
        raise InputError(f"{path!r}: the file's name is not UTF-8; rename the file.")


def _is_utf8(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_complete(files: Sequence[FileMetadata], marker: str) -> bool:
    folders = {posixpath.dirname(metadata.path) for metadata in files}
    return all(FileSystems.exists(posixpath.join(folder, marker)) for folder in folders)
