"""Tests of TMX."""

import io

import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest import tmx_reader
from babelrank.components.ingest.tmx_reader import read_tmx

HEAD = (
    '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header/><body>'
)
TAIL = "</body></tmx>"


def blocks(data, languages=("en", "de")):
    data = data.encode() if isinstance(data, str) else data
    return list(read_tmx(io.BytesIO(data), "m.tmx", languages, ("s", "t")))


def read(units, languages=("en", "de")):
    """Rows, and (position, reason, detail) of the bad ones."""
    found = blocks(f"{HEAD}{units}{TAIL}", languages)
    rows = [(row["s"], row["t"]) for block in found for row in block.batch.to_pylist()]
    bad = [(row.location.position, row.reason, row.detail) for block in found for row in block.bad]
    return rows, bad


def unit(**texts):
    variants = (
        f'<tuv xml:lang="{language.replace("_", "-")}"><seg>{text}</seg></tuv>'
        for language, text in texts.items()
    )
    return f"<tu>{''.join(variants)}</tu>"


def test_units():
    assert read(unit(en="Hi &amp; bye", de="Hallo") + unit(de="Zwei", fr="Deux", en="Two")) == (
        [("Hi & bye", "Hallo"), ("Two", "Zwei")],
        [],
    )


def test_languages():
    units = unit(EN_us="color", en_GB="colour", DE="Farbe")
    assert read(units) == ([("color", "Farbe")], [])
    assert read(units, ("en_GB", "de")) == ([("colour", "Farbe")], [])
    assert read(unit(en_US="color", en="colour", de="Farbe")) == ([("colour", "Farbe")], [])
    old = '<tu><tuv lang="EN"><seg>a</seg></tuv><tuv lang="DE-AT"><seg>b</seg></tuv></tu>'
    assert read(old) == ([("a", "b")], [])


def test_a_missing_language():
    rows, bad = read(unit(en="a", de="b") + "\n" + unit(en="c", eng="d") + unit(en="e", de="f"))
    assert rows == [("a", "b"), ("e", "f")]
    assert bad == [("tu 2, line 4", "missing_language", "no de; the unit has en, eng")]


def test_inline_markup():
    text = (
        '<bpt i="1">&lt;b&gt;</bpt>Press<ept i="1">&lt;/b&gt;</ept> <hi type="x">any <it>k</it>key'
        "</hi><ph>{1}<sub>note</sub>!</ph><ut>u</ut>."
    )
    assert read(unit(en=text, de="x")) == ([("Press any key.", "x")], [])


def test_text_outside_segments_is_not_read():
    units = '<tu><note>n</note><prop type="p">q</prop><tuv xml:lang="en"><note>m</note>'
    units += '<seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
    assert read(units) == ([("a", "b")], [])


def test_another_encoding():
    head = HEAD.replace("?>", ' encoding="UTF-16"?>', 1)
    (block,) = blocks((head + unit(en="ä", de="ß") + TAIL).encode("utf-16"))
    assert block.batch.to_pylist() == [{"s": "ä", "t": "ß"}]


def test_entities_are_refused():
    bomb = '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    with pytest.raises(InputError, match=r"m\.tmx: line 1: the file declares an entity"):
        blocks(f"{bomb}<tmx><body>{unit(en='&b;', de='x')}</body></tmx>")


def test_external_entities_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    outside = f'<!DOCTYPE tmx [<!ENTITY a SYSTEM "{secret.as_uri()}">]>'
    with pytest.raises(InputError, match="declares an entity or refers to another"):
        blocks(f"{outside}<tmx><body>{unit(en='&a;', de='x')}</body></tmx>")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", r"m\.tmx: the file is not well-formed XML: no element found: line 1"),
        ("not xml", "not well-formed XML: syntax error: line 1, column 0"),
        (HEAD + "<tu>", "not well-formed XML: no element found: line 3"),
        (HEAD + "<tu></tuv>", "not well-formed XML: mismatched tag: line 3"),
        (HEAD + "&what;" + TAIL, "not well-formed XML: undefined entity"),
        (HEAD.encode() + b"\xff", "not well-formed XML: not well-formed"),
        ("<html></html>", r"the root element is <html>; expected <tmx>"),
        (HEAD + TAIL, "the file has no <tu>"),
    ],
)
def test_files_that_are_no_tmx(data, message):
    with pytest.raises(InputError, match=message):
        blocks(data)


@pytest.mark.parametrize("wanted", [("en", "de"), ("en", "fr")])
def test_blocks_of_long_units(monkeypatch, wanted):
    monkeypatch.setattr(tmx_reader, "BLOCK_LENGTH", 2000)
    monkeypatch.setattr(tmx_reader, "_CHUNK_BYTES", 500)
    units = unit(en="e" * 400, de="d" * 400) * 30
    found = blocks(HEAD + units + TAIL, wanted)
    assert sum(block.rows for block in found) == 30
    assert {block.rows for block in found[:-1]} <= {3, 4}
    assert [block.first_row for block in found[:2]] == [0, found[0].rows]


def test_blocks(monkeypatch):
    monkeypatch.setattr(tmx_reader, "BLOCK_UNITS", 1)
    monkeypatch.setattr(tmx_reader, "_CHUNK_BYTES", 40)
    units = "".join(unit(en=f"e{i}", de=f"d{i}") + "\n" for i in range(20))
    found = blocks(HEAD + units + TAIL)
    assert [block.first_row for block in found] == list(range(20))
    assert [place.position for place in found[7].locate([0])] == ["tu 8, line 10"]
