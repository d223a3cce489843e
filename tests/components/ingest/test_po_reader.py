"""Tests of gettext PO."""

import gettext
import io
import tarfile
from pathlib import Path

import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest.po_reader import STATE, read_po

DJANGO = Path(__file__).parents[3].parent / "shared" / "data" / "django_po" / "django-po.tar.gz"
HEADER = """msgid ""
msgstr ""
"Language: {language}\\n"
"Content-Type: text/plain; charset={charset}\\n"
"Plural-Forms: {plural};\\n"

"""


def block_of(messages, language="de", wanted="de", charset="UTF-8", plural="nplurals=1; plural=0"):
    header = HEADER.format(language=language, charset=charset, plural=plural)
    data = (header + messages).encode("utf-8" if charset == "CHARSET" else charset)
    (block,) = read_po(io.BytesIO(data), "m.po", wanted, ("s", "t"))
    return block


def read(messages, **keys):
    return [tuple(row.values()) for row in block_of(messages, **keys).batch.to_pylist()]


def test_messages():
    messages = """#: a.py:1
#, python-format
msgctxt "month"
msgid "%(n)s \\"files\\" in {x}"
msgstr ""
"%(n)s „Dateien“\\n"
"in {x}"
"""
    assert read(messages) == [('%(n)s "files" in {x}', "%(n)s „Dateien“\nin {x}", "")]


def test_what_is_left_out():
    messages = """#, fuzzy
msgid "a"
msgstr "A"

msgid "b"
msgstr ""

msgid "c"
msgstr "C"

#~ msgid "d"
#~ msgstr "D"
"""
    states = [(row[0], row[2]) for row in read(messages)]
    assert states == [("a", "fuzzy"), ("b", "untranslated"), ("c", ""), ("d", "obsolete")]


FILES = 'msgid "file"\nmsgid_plural "files"\n'


def test_plurals():
    two = FILES + 'msgstr[0] "Datei"\nmsgstr[1] "Dateien"\n'
    found = read(two, plural="nplurals=2; plural=(n != 1)")
    assert found == [("file", "Datei", ""), ("files", "Dateien", "")]
    one = FILES + 'msgstr[0] "ファイル"\n'
    found = read(one, language="ja", wanted="ja")
    assert found == [("file", "ファイル", ""), ("files", "ファイル", "")]


def test_the_singular_is_the_form_for_one():
    arabic = FILES + "".join(f'msgstr[{i}] "form {i}"\n' for i in range(6))
    rule = "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : "
    rule += "n%100>=11 && n%100<=99 ? 4 : 5"
    found = read(arabic, language="ar", wanted="ar", plural=rule)
    assert [row[:2] for row in found] == [("file", "form 1"), ("files", "form 5")]
    found = read(arabic, language="ar", wanted="ar", plural="nplurals=6; plural=nonsense")
    assert found[0][:2] == ("file", "form 0")


def test_half_translated_plurals():
    found = read(FILES + 'msgstr[0] "Datei"\nmsgstr[1] ""\n', plural="nplurals=2; plural=n!=1")
    assert [row[2] for row in found] == ["", "untranslated"]


def test_rows_are_found_again():
    block = block_of('msgid "a"\nmsgstr "A"\n\nmsgid "b"\nmsgstr "B"\n')
    (place,) = block.locate([1])
    assert (place.position, place.raw) == ("line 10", "b\tB")


def test_a_text_is_not_cut_at_other_line_ends():
    assert read('msgid "a\u2028b"\nmsgstr "A\u0085B"\n') == [("a\u2028b", "A\u0085B", "")]


def test_encodings():
    assert read('msgid "a"\nmsgstr "ä"\n', charset="ISO-8859-1") == [("a", "ä", "")]
    assert read('msgid "a"\nmsgstr "ä"\n', charset="CHARSET") == [("a", "ä", "")]
    data = HEADER.format(language="de", charset="x-none", plural="nplurals=1; plural=0")
    with pytest.raises(InputError, match=r"m\.po: unknown encoding: x-none"):
        list(read_po(io.BytesIO(data.encode()), "m.po", "de", ("s", "t")))


@pytest.mark.parametrize("charset", ["utf-7", "UTF7", "u7", "unicode-1-1-utf-7", "unicode_escape"])
def test_encodings_that_make_halves_of_pairs(charset):
    data = HEADER.format(language="de", charset=charset, plural="nplurals=1; plural=0")
    data += 'msgid "+2AA-"\nmsgstr "b"\n'
    with pytest.raises(InputError, match=f"m\\.po: unknown encoding: {charset} in the header's"):
        list(read_po(io.BytesIO(data.encode()), "m.po", "de", ("s", "t")))


@pytest.mark.parametrize("end", ["\n", "\r", "\n\n", "\n#.\n"])
def test_the_lines_of_a_text_are_counted(end):
    line = f'"x"{end}'
    source, target = "x" * 10_000, "y"
    assert read(f'msgid ""\n{line * 10_000}\nmsgstr "y"\n\n')[0][:2] == (source, target)
    with pytest.raises(InputError, match=r"m\.po: line \d+: a text of more than 10,000 lines"):
        read(f'msgid ""\n{line * 10_001}\nmsgstr "y"\n\n')


def test_the_rule_of_plurals_is_read_once(monkeypatch):
    calls = []

    def counted(rule, c2py=gettext.c2py):
        calls.append(rule)
        return c2py(rule)

    monkeypatch.setattr(gettext, "c2py", counted)
    assert len(read('msgid "a"\nmsgstr "A"\n\n' * 3)) == 3
    assert calls == ["0"]


def test_bytes_that_are_not_utf8():
    data = b'msgid "a"\nmsgstr "A"\n\nmsgid "b"\nmsgstr "\xe4"\n'
    (block,) = read_po(io.BytesIO(data), "m.po", "de", ("s", "t"))
    assert block.batch.to_pylist() == [{"s": "a", "t": "A", STATE: ""}]
    (row,) = block.bad
    assert (row.location.position, row.reason) == ("line 4", "not_utf8")
    assert block.rows == 2


def test_another_language():
    message = 'msgid "a"\nmsgstr "A"\n'
    with pytest.raises(InputError, match=r"m\.po: the file's Language is fr; expected de"):
        read(message, language="fr")
    assert read(message, language="zh_CN", wanted="zh_Hans")
    assert read(message, language="nb", wanted="no")
    assert read(message, language="")


@pytest.mark.parametrize("data", [b"hello\n", b'msgid "a"\nmsgstr "A"b"\n'])
def test_files_that_are_no_po(data):
    with pytest.raises(InputError, match=r"m\.po: line [12]: not a gettext PO file"):
        list(read_po(io.BytesIO(data), "m.po", "de", ("s", "t")))


def test_django():
    if not DJANGO.exists():
        pytest.skip(f"needs {DJANGO}, which is not part of the repository")
    found = {}
    with tarfile.open(DJANGO) as archive:
        for member in archive:
            if "/conf/locale/" in member.name and member.name.endswith("django.po"):
                language = member.name.split("/locale/")[1].split("/")[0]
                file = archive.extractfile(member)
                (block,) = read_po(file, member.name, language, ("s", "t"))
                found[language] = {row["s"]: row["t"] for row in block.batch.to_pylist()}
    assert len(found) >= 10
    assert found["de"]["%(num)d day"] == "%(num)d Tag"
    assert found["de"]["%(num)d days"] == "%(num)d Tage"
    assert found["ja"]["%(num)d day"] == found["ja"]["%(num)d days"] == "%(num)d日"
    assert found["ru"]["%(num)d days"] == "%(num)d дней"
