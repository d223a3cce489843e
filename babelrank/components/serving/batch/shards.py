"""Where the predictions of many files stand, and which of them are finished.

Each input file has a name of its own, made from its path. Its rows become shards, NAME-00000 and so
on: a file of predictions, one of bad rows if there are any, and last a part that says what happened
to its rows. A shard whose part stands is finished, and none is ever seen half written.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from babelrank.components.ingest.summary import Summary

_ENDINGS = {"jsonl": "jsonl.gz", "parquet": "parquet"}
_NAME_BYTES = 100


@dataclass(frozen=True)
class InputFile:
    """A file that is to be predicted.

    Attributes:
        path: Its full name.
        size: Bytes.
        changed: When it was last changed, epoch seconds.
    """

    path: str
    size: int
    changed: float

    @property
    def name(self) -> str:
        """A name that no other path has, and that says which file it is."""
        digest = hashlib.sha256(self.path.encode()).hexdigest()[:16]
        # The start of it only: with what is put around it, it may have 255 bytes.
        start = posixpath.basename(self.path).encode()[:_NAME_BYTES].decode("utf-8", "ignore")
        return f"{start}-{digest}"

    @property
    def stamp(self) -> str:
        """Changes when the file does."""
        return f"{self.size} {self.changed}"


@dataclass(frozen=True)
class Part:
    """What happened to the rows of a finished shard.

    Attributes:
        stamp: Of the file that they were read from.
        first_row: Rows of the file before the shard.
        summary: The counts.
    """

    stamp: str
    first_row: int
    summary: Summary

    def to_json(self) -> str:
        """JSON from which `from_json` makes an equal part."""
        plain = {"stamp": self.stamp, "first_row": self.first_row}
        return json.dumps(plain | {"summary": json.loads(self.summary.to_json())})

    @classmethod
    def from_json(cls, text: str) -> Part:
        """The inverse of `to_json`."""
        plain = json.loads(text)
        summary = Summary.from_json(json.dumps(plain["summary"]))
        return cls(plain["stamp"], plain["first_row"], summary)


@dataclass(frozen=True)
class Shards:
    """The folders of the predictions of many files; small and picklable.

    Attributes:
        predictions: Folder of the predictions.
        quarantine: Folder of the bad rows.
        output: Format of the predictions, `jsonl` or `parquet`.
    """

    predictions: str
    quarantine: str
    output: str

    @property
    def parts(self) -> str:
        """Folder of what is known about finished shards."""
        return posixpath.join(self.predictions, ".parts")

    def data(self, name: str, number: int) -> str:
        """The predictions of a shard."""
        return posixpath.join(
            self.predictions, f"predictions-{name}-{number:05d}.{_ENDINGS[self.output]}"
        )

    def bad_rows(self, name: str, number: int) -> str:
        """The bad rows of a shard."""
        return posixpath.join(self.quarantine, f"quarantine-{name}-{number:05d}.jsonl")

    def part(self, name: str, number: int) -> str:
        """What is known about a shard."""
        return posixpath.join(self.parts, f"{name}-{number:05d}.json")

    def end(self, name: str) -> str:
        """Number of the shards and rows of a file that was read to its end."""
        return posixpath.join(self.parts, f"{name}-end.json")

    def names(self) -> set[str]:
        """The names of all files of which predictions stand here."""
        ends = listed(posixpath.join(literal(self.parts), "*-end.json"))
        return {posixpath.basename(path).removesuffix("-end.json") for path in ends}

    def progress(self, name: str, lane: int) -> str:
        """Number of the rows that a worker has predicted."""
        return posixpath.join(self.parts, f"{name}-{lane}.rows")

    def finished(self, file: InputFile) -> dict[int, Part]:
        """The finished shards of a file as it is now."""
        found = {}
        start = posixpath.join(self.parts, file.name)
        for path in listed(f"{literal(start)}-[0-9]*.json"):
            part = Part.from_json(read_text(path))
            if part.stamp == file.stamp:
                found[int(path.removesuffix(".json").rpartition("-")[2])] = part
        return found

    def length(self, file: InputFile) -> tuple[int, int] | None:
        """Number of the shards and of the rows of a file as it is now; None: not yet known."""
        path = self.end(file.name)
        if not FileSystems.exists(path):
            return None
        plain = json.loads(read_text(path))
        return (plain["shards"], plain["rows"]) if plain["stamp"] == file.stamp else None

    def forget(self, file: InputFile) -> None:
        """Removes what was made from a file that has changed since."""
        start = literal(posixpath.join(self.parts, file.name))
        for path in listed(f"{start}-[0-9]*.json"):
            if Part.from_json(read_text(path)).stamp != file.stamp:
                number = int(path.removesuffix(".json").rpartition("-")[2])
                made = (path, self.data(file.name, number), self.bad_rows(file.name, number))
                FileSystems.delete([one for one in made if FileSystems.exists(one)])

    def sweep(self, file: InputFile, parts: Mapping[int, Part]) -> None:
        """Removes predictions and bad rows of a file that belong to no finished shard.

        A process that ends between writing these and the part leaves them; so does a shard that
        had bad rows and, made again, has none.

        Args:
            file: The file.
            parts: Its finished shards.
        """
        bad = {n for n, part in parts.items() if part.summary.quarantined}
        made = {self.data(file.name, n) for n in parts} | {self.bad_rows(file.name, n) for n in bad}
        starts = (
            posixpath.join(self.predictions, f"predictions-{file.name}"),
            posixpath.join(self.quarantine, f"quarantine-{file.name}"),
        )
        left = [
            path
            for start in starts
            for path in listed(f"{literal(start)}-[0-9]*")
            # What follows is a number: the name of another file may begin like this one.
            if re.fullmatch(r"-\d+\.[a-z.]+", path.removeprefix(start)) and path not in made
        ]
        if left:
            FileSystems.delete(left)

    def tidy(self) -> None:
        """Removes what an interrupted run left behind."""
        folders = (literal(one) for one in (self.predictions, self.quarantine, self.parts))
        left = [path for folder in folders for path in listed(posixpath.join(folder, ".*.tmp"))]
        left += listed(posixpath.join(literal(self.parts), "*.rows"))
        if left:
            FileSystems.delete(left)


def listed(glob: str) -> list[str]:
    """The files that a glob names, by name."""
    return sorted(one.path for one in FileSystems.match([glob])[0].metadata_list)


def read_text(path: str) -> str:
    """A whole file of text."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return str(file.read().decode())


def write_text(path: str, text: str) -> None:
    """Writes a whole file of text at once."""
    with written(path) as file:
        file.write(text.encode())


@contextmanager
def written(path: str) -> Iterator[IO[bytes]]:
    """A file that has its name only when it is complete; two workers may write the same."""
    folder, name = posixpath.split(path)
    temporary = posixpath.join(folder, f".{name}-{uuid.uuid4().hex[:8]}.tmp")
    with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        yield file
    FileSystems.rename([temporary], [path])


def literal(path: str) -> str:
    """A path as a glob that means just it."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
