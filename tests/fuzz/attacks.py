"""Inputs made to break a reader, and the refusal that each must get.

Run in a process of their own, with little memory: `python -m tests.fuzz.attacks`. It prints a
JSON line for each: name, what came of it, seconds.
"""

from __future__ import annotations

import bz2
import faulthandler
import gzip
import json
import lzma
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

import babelrank  # noqa: F401
from babelrank.components.config import from_dict, load_yaml
from babelrank.components.errors import BabelRankError
from babelrank.components.ingest.binary_readers import read_tfrecord
from babelrank.components.ingest.spans import InputFile
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.example_gen import ParallelTextSource
from babelrank.pipelines.config import TranslationConfig
from tests.fuzz import child, seeds

LONG = b"x" * (80 << 20)
_XML = b'<?xml version="1.0"?>'
_LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10 if i else b"lol") for i in range(30)
)
_TU = b'<tu><tuv xml:lang="en"><seg>%s</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
_LARGE = _TU % ("\U0001f600" + "x" * (1 << 20)).encode()
"""Its text takes four bytes a character in memory."""
_YAML = (
    "data: {path: x.tsv, source: {language: en, column: 0}, target: {language: de, column: 1}}\n"
    "evaluation: {min_bleu: 1}\n"
)
_ALIASES = "".join(f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]\n" for i in range(1, 40))
_MERGES = "".join(f"a{i}: &a{i} {{<<: [*a{i - 1},*a{i - 1}]}}\n" for i in range(1, 40))


def _tmx(body: bytes, doctype: bytes = b"") -> bytes:
    return _XML + doctype + b"<tmx><body>" + body + b"</body></tmx>"


def _packed(begin: bytes, unit: bytes, units: int, end: bytes) -> bytes:
    """Gzip takes files one after the other for one file."""
    return gzip.compress(begin) + gzip.compress(unit) * units + gzip.compress(end)


def _bomb(packer: Any, mebibytes: int, unit: bytes) -> bytes:
    unit *= (1 << 20) // len(unit)
    return b"".join([packer.compress(unit) for _ in range(mebibytes)]) + packer.flush()


def _gzip() -> Any:
    return zlib.compressobj(6, zlib.DEFLATED, 31)


Files = dict[str, tuple[str, Callable[[], bytes], str]]

FILES: Files = {
    # name: (ending, content, what the refusal says; `rows: N` when N rows are used)
    "zstd bomb": (".tsv.zst", lambda: _bomb(zstandard.ZstdCompressor().compressobj(), 2048, b"\0"),
                  "a record is longer than 64 MiB"),
    "gzip bomb": (".tsv.gz", lambda: _bomb(_gzip(), 100, b"\0"), "a record is longer than 64 MiB"),
    "xz bomb": (".jsonl.xz", lambda: _bomb(lzma.LZMACompressor(preset=0), 100, b"{"),
                "the first line is longer than 64 MiB"),
    "bz2 bomb": (".csv.bz2", lambda: _bomb(bz2.BZ2Compressor(), 100, b"\0"),
                 "the first line is longer than 64 MiB"),
    "xz that wants much memory": (".tsv.xz", lambda: lzma.compress(b"a\tb\n", filters=[
        {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 27}]), "cannot read the file"),
    "PO bomb": (".po.gz", lambda: _bomb(_gzip(), 120, b"# comment\n"), "longer than 64 MiB"),
    "TMX bomb": (".tmx.gz", lambda: gzip.compress(_XML + b"<tmx><!--", 6)
                 + _bomb(_gzip(), 100, b"x"), "something is longer than 64 MiB"),
    "long line of TSV": (".tsv", lambda: b"a\tb\n" + LONG + b"\ta\n", "line 2: a record is longer"),
    "long line of CSV": (".csv", lambda: b'a,b\n"' + LONG + b'",a\n', "line 2: a record is longer"),
    "long line of JSON": (".jsonl", lambda: b'{"s":"a","t":"b"}\n{"s":"' + LONG + b'"}\n',
                          "line 2: a record is longer"),
    "long field of CSV": (".csv", lambda: b'a,b\n"' + b"x" * 200_000 + b'"\r\ry,b\n', "rows: 1"),
    "blank lines": (".tsv", lambda: b"\n" * (9 << 20) + b"a\tb\n", "rows: 1"),
    "nothing but blanks": (".tsv", lambda: b" \n" * (9 << 20), "the file is empty"),
    "deep JSON": (".jsonl", lambda: b'{"s":"a","t":"b","x":' + b"[" * 1_000_000 + b"\n"
                  b'{"s":"a","t":"b"}\n', "rows: 1"),
    **{
        f"deep {kind} in a wanted column": (".jsonl", lambda begin=begin, end=end: b'{"s":"a","t":'
            + begin * 700 + b"1" + end * 700 + b"}\n" + b'{"s":"a","t":"b"}\n', "rows: [12]")
        for kind, begin, end in (("list", b"[", b"]"), ("object", b'{"k":', b"}"))
    },
    "JSON in JSON": (".jsonl", lambda: b'{"s":"a","t":"b"}{}}\n{"s":"c","t":"d"}\n', "rows: 1"),
    "keys twice": (".jsonl", lambda: b'{"s":"a","t":"b","s":"c"}\n{"s":"c","t":"d"}\n', "rows: 1"),
    "marks in a pile": (".tsv", lambda: b"a" + ("\u0300\u0316" * 500_000).encode() + b"\tb\nc\td\n",
                        "rows: 1"),
    "marks in small piles": (".tsv", lambda: ("a" + "\u0300\u0316" * 90).encode() * 10 + b"\tb\n",
                             "rows: 0"),
    "entities in entities": (".tmx", lambda: _tmx(_TU % b"&l29;", b"<!DOCTYPE tmx [%s]>" % _LAUGHS),
                             "line 1: the file declares an entity"),
    "one long entity": (".tmx", lambda: _tmx(_TU % (b"&a;" * 100_000),
                        b'<!DOCTYPE tmx [<!ENTITY a "%s">]>' % (b"x" * 100_000)), "an entity"),
    "entity of a file": (".tmx", lambda: _tmx(_TU % b"&a;",
                         b'<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), "an entity"),
    "entity of a server": (".tmx", lambda: _tmx(_TU % b"&a;",
                           b'<!DOCTYPE tmx [<!ENTITY a SYSTEM "http://127.0.0.1:9/">]>'),
                           "an entity"),
    "parameter entity": (".tmx", lambda: _tmx(_TU % b"a",
                         b'<!DOCTYPE tmx [<!ENTITY %% a SYSTEM "http://127.0.0.1:9/"> %%a;]>'
                         .replace(b"%%", b"%")), "an entity"),
    "DTD that is not fetched": (".tmx", lambda: _tmx(_TU % b"a",
                                b'<!DOCTYPE tmx SYSTEM "http://127.0.0.1:9/x.dtd">'), "rows: 1"),
    "deep XML": (".tmx", lambda: _tmx(b"<a>" * 1_000_000), "not well-formed"),
    "long attribute": (".tmx", lambda: _tmx(b'<a b="' + LONG), "something is longer than 64 MiB"),
    "empty variants": (".tmx", lambda: _tmx(b"<tu>" + b"<seg/>" * 1_000_000), "a <tu> is longer"),
    "unit in a unit": (".tmx", lambda: _tmx(_TU.replace(b"</tu>", _TU % b"x" + b"</tu>") % b"a"
                       + _TU % b"a"), "rows: 1"),
    "many large units": (".tmx.gz", lambda: _packed(_XML + b"<tmx><body>", _LARGE, 160,
                         b"</body></tmx>"), "rows: 0"),
    "text before a segment in it": (".tmx", lambda: _tmx(_TU % b"a<seg>b</seg>c" + _TU % b"a"),
                                    "rows: 1"),
    **{
        f"PO in {charset}": (".po", lambda charset=charset: b'msgid ""\nmsgstr "Content-Type: '
                             b'text/plain; charset=%s\\n"\n\nmsgid "\\ud800"\nmsgstr "\xff"\n'
                             % charset.encode(), words)
        for charset, words in {
            "raw_unicode_escape": "unknown encoding", "utf-7": "unknown encoding",
            "u7": "unknown encoding: u7", "unicode-1-1-utf-7": "unknown encoding: unicode-1",
            "undefined": "unknown encoding", "hex": "not a text encoding", "nonsense": "nonsense",
            "utf-16": "PO", "utf-8": "rows: 0",
        }.items()
    },
    "PO with a long text": (".po", lambda: b'msgid ""\nmsgstr ""\n' + b'"x"\n' * 500_000,
                            "line 10003: a text of more than 10,000 lines"),
    "PO with many plurals": (".po", lambda: b'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural='
                             + b"n+" * 15 + b'n;\\n"\n\n'
                             + b'msgid "a"\nmsgstr "b"\n\n' * 5000, "rows: "),
    "broken PO": (".po", lambda: b'msgid "a"\nmsgstr "\xff"\n\n' * 50_000, "rows: 0"),
    "unpacked archive": (".tsv.tar.gz", lambda: gzip.compress(b"a\tb\n"), "archives are not read"),
    "Parquet in zstd": (".parquet.zst", lambda: zstandard.compress(b"PAR1"), "compresses its col"),
    "TFRecord of 2^50 bytes": (".tfrecord", lambda: _huge_record(1 << 50), "says that it has"),
    "TFRecord of 2^33 bytes in gzip": (".tfrecord.gz", lambda: gzip.compress(_huge_record(1 << 33)),
                                       "says that it has 8,589"),
}  # fmt: skip

YAMLS: dict[str, tuple[str, str]] = {
    "deep list": (_YAML + "name: " + "[" * 100_000, "nested too deeply"),
    "deep mapping": (_YAML + "name: " + "{a: " * 100_000, "nested too deeply"),
    "aliases of aliases": (_YAML + "a0: &a0 [x,x]\n" + _ALIASES, "more than 100,000 values"),
    "merges of merges": (_YAML + "a0: &a0 {k: 1}\n" + _MERGES, "more than 100,000 values"),
    "alias of itself": (_YAML + "name: &a [*a]\n", "an alias stands inside of what it"),
    "long": (_YAML + "name: " + "x" * 10_000_000, "longer than 1,048,576 characters"),
    "call": (_YAML + "name: !!python/object/apply:os.system [id]\n", "could not determine a cons"),
    "object": (_YAML + "name: !!python/object:object {}\n", "could not determine a constructor"),
    "no month": (_YAML + "name: 2024-13-01\n", "'2024-13-01' is no timestamp"),
    "no number": (_YAML + "name: !!int abc\n", "'abc' is no int"),
    "empty number": (_YAML + "name: !!int ''\n", "'' is no int"),
    "no boolean": (_YAML + "name: !!bool maybe\n", "'maybe' is no bool"),
    "no mapping": (_YAML + "name: !!map x\n", "expected a mapping"),
    "huge number": (_YAML + "name: " + "9" * 5000 + "\n", "is no int"),
    "huge hexadecimal": (_YAML + "name: 0x" + "f" * 6000 + "\n", "got a huge number"),
    "number of 300 digits": (_YAML + "training: {steps: " + "9" * 300 + "}\n", "takes a number of"),
    "half a pair": (_YAML + 'name: "\\ud800"\n', "a text holds U\\+D800, which no text may"),
    "nul": (_YAML + 'name: "\\0"\n', "a text holds U\\+0000"),
    "twice": (_YAML + "name: a\nname: b\n", "the key 'name' stands twice"),
    "Norwegian": (_YAML.replace(": de,", ": no,"), r"got False \(bool\); takes text\. Quotes make"),
    "date": (_YAML + "name: 2024-01-31\n", "takes text. Quotes make it text"),
    "character past the last": (_YAML + 'name: "\\U00110000"\n', "not valid YAML"),
    "character past C": (_YAML + 'name: "\\UFFFFFFFF"\n', "not valid YAML"),
    "version of 5000 digits": ("%YAML 1." + "1" * 5000 + "\n---\n" + _YAML, "not valid YAML"),
    "two documents": (_YAML + "---\n" + _YAML, "expected a single document"),
}


def _huge_record(length: int) -> bytes:
    whole = seeds.record(b"")
    header = length.to_bytes(8, "little")
    return header + seeds.checksum(header) + whole[12:]


def _read(path: str) -> str:
    if ".tfrecord" in path:
        return f"rows: {sum(block.batch.num_rows for block in read_tfrecord(path, {}))}"
    kind = next(k for k in ("tsv", "csv", "jsonl", "po", "tmx", "parquet") if f".{k}" in path)
    columns = ("s", "t") if kind in ("jsonl", "parquet") else (0, 1)
    named = {} if kind in ("po", "tmx") else {"column": columns}
    sides = {
        side: {"language": language, **{key: both[i] for key, both in named.items()}}
        for i, (side, language) in enumerate((("source", "en"), ("target", "de")))
    }
    source = ParallelTextSource(from_dict(DataConfig, {"path": "x", "format": kind, **sides}))
    used = 0
    for block in source.blocks(InputFile(path, 0)):
        rows = source.read(block)
        assert block.rows == len(rows.index) + len(rows.bad) + len(block.bad) + rows.dropped.total()
        used += len(rows.index)
    return f"rows: {used}"


def attempts(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """Names of all attacks, and what to call."""
    for name, (ending, content, _) in FILES.items():
        path = folder / f"attack{ending}"

        def read(path: Path = path, content: Callable[[], bytes] = content) -> str:
            path.write_bytes(content())
            return _read(str(path))

        yield name, read
    for name, (text, _) in YAMLS.items():
        path = folder / "attack.yaml"

        def load(path: Path = path, text: str = text) -> str:
            path.write_text(text)
            return f"taken: {load_yaml(TranslationConfig, path)!r:.100}"

        yield f"YAML: {name}", load


def main() -> None:
    """Runs all attacks."""
    child.limit_memory(3 << 29)
    with tempfile.TemporaryDirectory() as folder:
        for name, attack in attempts(Path(folder)):
            faulthandler.dump_traceback_later(child.LONGEST, exit=True)
            start = time.monotonic()
            try:
                said = attack()
            except BabelRankError as error:
                said = str(error)
            except Exception as error:
                said = f"raised {error!r:.1000}"
            line = {"name": name, "said": said, "seconds": time.monotonic() - start}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
