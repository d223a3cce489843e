"""What fuzzing starts from: valid inputs of every target, and pieces that have broken readers."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet
import zstandard

_TMX = b"""<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en"><seg>a <bpt i="1">x</bpt>b</seg></tuv><tuv xml:lang="de"><seg>c</seg></tuv>
</tu><tu><tuv xml:lang="fr"><seg>d</seg></tuv></tu></body></tmx>"""
_PO = b"""msgid ""
msgstr "Language: de\\nContent-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=n != 1;\\n"

#, fuzzy
msgctxt "menu"
msgid "file"
msgstr "Datei"

msgid "one"
msgid_plural "%d many"
msgstr[0] "eins"
msgstr[1] "%d viele"

#~ msgid "old"
#~ msgstr "alt"
"""
_CLICKS = (
    b'c,m,d,ts,y\nu1,a|b,1.5,2024-01-02 03:04:05,1\n"u,2",,nan,1700000000,0\n'
    b"\\N,x,-1e5,2024-02-30T25:00Z,2\n"
)
_YAML = b"""data:
  path: x.tsv
  source: {language: en, column: 0}
  target: {language: "no", column: 1}
training: {steps: 10}
evaluation: {min_bleu: 1}
"""

SEEDS: dict[str, list[bytes]] = {
    "csv": [
        b'source,target,x\na,b,1\n"c ""d"" e","f\ng",2\nh,i\n',
        b"\xef\xbb\xbftarget,source\r\na,b\r\n",
    ],
    "tsv": [b"a\tb\tc\nd\te\n\nf\n", b"a\tb\r\nc\td"],
    "jsonl": [
        b'{"source": "a", "target": "b", "x": [1, {"y": null}]}\n'
        b'{"source": 1, "target": ["c", 2]}\n',
        b'{"source": "\\ud83d\\ude00", "target": null, "source": "c"}\n\n{"target": NaN}\n',
    ],
    "lines": [b"a\nb\n\nc\n--\nd\ne\r\nf\ng", b"a\n--\nb\n"],
    "po": [_PO],
    "tmx": [_TMX],
    "clicks_csv": [_CLICKS],
    "clicks_jsonl": [
        b'{"c": "u", "m": ["a", "b"], "d": 1.5, "ts": "2024-01-02", "y": true}\n'
        b'{"c": ["a", "b"], "m": "a|b", "d": "x", "ts": 1e18, "y": 0}\n'
    ],
    "configuration": [_YAML, _YAML + b"\n--\ntraining.steps=5\n--\nname=a"],
    "yaml_values": [
        b"a: &x [1, 2.5, no, 2024-01-31, 0x1f, ~]\nb: {<<: {c: d}, e: *x}\n",
        b"{? [a] : 1, !!int '3': 4}",
    ],
    "spans": [
        b"day={SPAN}.csv\n--\nday=1.csv\nday=12.csv",
        b"{YYYY}-{MM}-{DD}*\n--\n2024-01-02.csv\n2024-13-01",
    ],
}
"""By name of the target; `binary` has the others."""

PIECES: tuple[bytes, ...] = (
    *(
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\t",
        b'"',
        b'""',
        b",",
        b"|",
    ),
    *(
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        "\N{ZERO WIDTH SPACE}\u2028\x85".encode(),
        b"\x1f",
        b"\x1b",
    ),
    *("\N{GRINNING FACE}\u05e9\u202e\u0300".encode(), ("e" + "\u0316\u0300" * 150).encode()),
    *(b"1e999", b"-0", b"9" * 400, b"NaN", b"Infinity", b"0x10", b"\\N", "٣".encode(), b"1_0"),
    *(
        b"9999-12-31T23:59:59Z",
        b"0000-00-00",
        b"{",
        b"}",
        b"[" * 50,
        b"]",
        b'{"a":' * 50,
        b"null",
        b"\\ud800",
    ),
    *(
        b"<tu>",
        b"</tu>",
        b"<seg>",
        b"</seg>",
        b"&#0;",
        b"&lt;",
        b"&x;",
        b"<!--",
        b"<![CDATA[",
        b"<?x ?>",
    ),
    *(
        b'<!DOCTYPE x [<!ENTITY x "y">]>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        b"<tuv xml:lang='de'>",
    ),
    *(
        b"msgid",
        b'msgstr[9] "x"\n',
        b'msgid_plural "x"\n',
        b"#~ ",
        b"#| ",
        b"charset=utf-7",
        b"charset=undefined",
    ),
    *(
        b"&a ",
        b"*a",
        b"<<: *a",
        b"? ",
        b"!!int ",
        b"!!python/object/apply:os.system ",
        b"--- ",
        b"%YAML 9.9\n",
    ),
    *(
        b"{SPAN}",
        b"{SPAN:99}",
        b"{VERSION}",
        b"[z-a]",
        b"**",
        b"[!",
        b"../",
        b"*",
        b": ",
        b"- ",
        b"\n  ",
    ),
)


def mutations(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Seeds with some bytes replaced, taken out, repeated, or pieces put in; and any bytes."""
    edit = st.tuples(
        st.floats(0, 1),
        st.integers(0, 12),
        st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)),
        st.integers(1, 3),
    )

    def edited(seed: bytes, edits: list[tuple[float, int, bytes, int]]) -> bytes:
        for place, length, piece, times in edits:
            at = int(place * len(seed))
            seed = seed[:at] + piece * times + seed[at + length :]
        return seed

    changed = st.builds(edited, st.sampled_from(seeds), st.lists(edit, max_size=6))
    return st.one_of(changed, changed, changed, st.binary(max_size=200))


def binary() -> dict[str, list[bytes]]:
    """Seeds that libraries write."""
    table = pa.table(
        {
            "c": ["u", "v", None],
            "m": [["a", "b"], [], None],
            "d": [1.5, None, float("nan")],
            "ts": pa.array([0, 1, 2], pa.timestamp("us")),
            "y": [1, 0, 1],
        }
    )
    files = []
    for options in ({"compression": "none"}, {"compression": "snappy", "use_dictionary": False}):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink, **options)
        files.append(sink.getvalue())
    text = b"source\ttarget\n" * 50
    packed = [
        gzip.compress(text),
        lzma.compress(text),
        zstandard.compress(text),
        bz2.compress(text),
    ]
    return {"parquet": files, "tfrecord": _records(), "compressed": packed}


def _records() -> list[bytes]:
    import tensorflow as tf  # heavy

    example = tf.train.Example()
    for name, value in {"c": b"u", "m": b"a|b", "ts": b"1"}.items():
        example.features.feature[name].bytes_list.value.append(value)
    example.features.feature["d"].float_list.value.append(1.5)
    example.features.feature["y"].int64_list.value.append(1)
    return [
        record(example.SerializeToString()) * 2,
        gzip.compress(record(b"")),
        record(b"\x0a\x02"),
    ]


def record(payload: bytes) -> bytes:
    """A TFRecord with its checksums."""
    length = len(payload).to_bytes(8, "little")
    return length + checksum(length) + payload + checksum(payload)


def checksum(data: bytes) -> bytes:
    """The masked CRC-32C that TFRecord files have."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
