"""Tests of the CSV reader: what is a row, what is a bad row, and on which line it stands."""

import io
import random
from pathlib import Path

import pyarrow as pa
import pytest

from babelrank.components.errors import InputError
from babelrank.components.ingest import csv_reader, text_reader
from babelrank.components.ingest.csv_reader import CsvReader

TEXTS = {"a": pa.string(), "b": pa.string()}


def read(data, columns=None, **options):
    """Rows as tuples, and (line, reason) of the bad ones."""
    reader = CsvReader("log.csv", columns or TEXTS, **options)
    rows, bad = [], []
    for block in reader.blocks(io.BytesIO(data)):
        assert block.first_row == len(rows) + len(bad)
        rows += [tuple(row.values()) for row in block.batch.to_pylist()]
        bad += [(int(row.location.position.split()[1]), row.reason) for row in block.bad]
    return rows, bad


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b\n1,2\n3,4\n", [("1", "2"), ("3", "4")]),
        (b"a,b\n1,2\n3,4", [("1", "2"), ("3", "4")]),
        (b"a,b\r\n1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")]),
        (b'\xef\xbb\xbf"a","b"\n1,2\n', [("1", "2")]),
        (b"\n\na,b\n\n1,2\n\r\n3,4\n\n", [("1", "2"), ("3", "4")]),
        (b"b,x,a\n2,9,1\n", [("1", "2")]),
        (b" a ,b \n1,2\n", [("1", "2")]),
        (b'a,b\n"1,1","2\n2"\n', [("1,1", "2\n2")]),
        (b'a,b\n"1\r\n1",2\r\n', [("1\r\n1", "2")]),
        (b'a,b\n"say ""x""",2\n', [('say "x"', "2")]),
        (b'a,b\n"",2\n,\n', [("", "2"), ("", "")]),
        (b'a,b\n5" disk,2\n7" disk,3\n', [('5" disk', "2"), ('7" disk', "3")]),
        (b'a,b\n1, "x"\n', [("1", ' "x"')]),
        (b'a,b\n"x"y,2\n', [("xy", "2")]),
        (b"a,b\n\xc3\xa9,\xf0\x9f\x98\x80\n", [("é", "😀")]),
        (b"a,,,b\n1,2,3,4\n", [("1", "4")]),
        (b"a,b,c,c\n1,2,3,4\n", [("1", "2")]),
    ],
)
def test_good_rows(data, expected):
    assert read(data) == (expected, [])
    assert read(data, block_bytes=16) == (expected, [])


@pytest.mark.parametrize(
    ("delimiter", "data"),
    [
        ("\t", b"a\tb\n1,1\t2\n"),
        ("|", b"a|b\n1,1|2\n"),
        (";", b"a;b\n1,1;2\n"),
        ("\x01", b"a\x01b\n1,1\x012\n"),
        ("::", b"a::b\n1,1::2\n"),
        ("::", b'a::b\n"1,1"::2\n'),
        (" | ", b'a | b\n1,1 | "2"\n'),
        ("¦", "a¦b\n1,1¦2\n".encode()),
    ],
)
def test_separators(delimiter, data):
    assert read(data, delimiter=delimiter) == ([("1,1", "2")], [])


def test_a_long_separator_inside_quotes_is_content():
    data = b'a::b\n"x::y"::2\n1::2::3\n'
    assert read(data, delimiter="::") == ([("x::y", "2")], [(3, "wrong_field_count")])


def test_column_names_stand_for_a_header():
    assert read(b"1,2\n3,4\n", column_names=["a", "b"]) == ([("1", "2"), ("3", "4")], [])


def test_a_header_that_repeats_the_column_names_is_skipped():
    assert read(b"\xef\xbb\xbfa,b\n3,4\n", column_names=["a", "b"]) == ([("3", "4")], [])


@pytest.mark.parametrize(
    ("data", "rows", "bad"),
    [
        (b"a,b\n1\n2,2\n", [("2", "2")], [(2, "wrong_field_count")]),
        (b"a,b\n1,1,1\n2,2\n", [("2", "2")], [(2, "wrong_field_count")]),
        (b"a,b\n1,\xff\n2,2\n", [("2", "2")], [(2, "not_utf8")]),
        (b'a,b\n"1,1\n2,2\n3,3\n', [("2", "2"), ("3", "3")], [(2, "open_quote")]),
        (b'a,b\n1,"1\n2,2\n3,3\n', [("2", "2"), ("3", "3")], [(2, "open_quote")]),
        (b'a,b\n1,1\n2,"2', [("1", "1")], [(3, "open_quote")]),
        (b'a,b\n1,1\n2,"2\n', [("1", "1")], [(3, "open_quote")]),
        (b'a,b\n"x\n",1\n2\n3,3\n', [("x\n", "1"), ("3", "3")], [(4, "wrong_field_count")]),
        (b'a,b\n\n\n1\n"x\n\n",2\n2\n', [("x\n\n", "2")], [(4, "wrong_field_count"), (8,) * 2]),
    ],
)
def test_only_the_bad_rows_are_lost(data, rows, bad):
    bad = [row if row != (8, 8) else (8, "wrong_field_count") for row in bad]
    assert read(data) == (rows, bad)
    assert read(data, block_bytes=16) == (rows, bad)


def test_an_open_quote_does_not_swallow_the_quoted_rows_below():
    # By the letter, row 2 would reach to the opening quote of row 3 and have two fields.
    data = b'a,b\n1,"one"\n2,"two\n3,"three"\n4,"four\n5,"five"\n'
    rows = [("1", "one"), ("3", "three"), ("5", "five")]
    assert read(data) == (rows, [(3, "open_quote"), (5, "open_quote")])


def test_a_row_that_is_not_utf8_harms_no_row_above():
    data = b'a,b\n"1\n1",1\n\xff,2\n3,3\n'
    assert read(data) == ([("1\n1", "1"), ("3", "3")], [(4, "not_utf8")])


def test_columns_that_nobody_wants_may_hold_any_bytes():
    # One block parses as a whole, the other (with a short row) record by record.
    assert read(b"a,b,c\n1,2,\xff\n") == ([("1", "2")], [])
    assert read(b"a,b,c\n1,2,\xff\n3\n") == ([("1", "2")], [(3, "wrong_field_count")])


def test_a_carriage_return_alone_ends_no_row():
    assert read(b"a,b\n1,x\ry\n2,2\n") == ([("1", "x\ry"), ("2", "2")], [])


def test_long_records_end_at_the_limit_of_lines(monkeypatch):
    monkeypatch.setattr(csv_reader, "MAX_RECORD_LINES", 3)
    data = b'a,b\n"1\n1\n1",1\n"2\n2\n2\n2",2\n'
    bad = [(5, "open_quote"), (6, "wrong_field_count"), (7, "wrong_field_count")]
    assert read(data) == ([("1\n1\n1", "1"), ('2"', "2")], bad)


def test_raw_rows_are_kept_and_cut():
    data = b'a,b\n"x\ny",1,2\n' + b"z" * 2000 + b"\n"
    block = next(CsvReader("f", TEXTS).blocks(io.BytesIO(data)))
    assert [row.location.raw for row in block.bad] == ['"x\ny",1,2', "z" * 1000]
    assert block.bad[0].detail == "3 fields instead of 2"


def test_locate_finds_rows_of_a_block_that_parsed_as_a_whole():
    data = b'a,b\n1,2\n"x\ny",2\n\n3,4\n'
    block = next(CsvReader("f", TEXTS).blocks(io.BytesIO(data)))
    locations = block.locate([1, 2])
    assert [place.position for place in locations] == ["line 3", "line 6"]
    assert [place.raw for place in locations] == ['"x\ny",2', "3,4"]


def test_numbers_are_parsed_at_once_and_missing_ones_are_null():
    columns = {"a": pa.float64(), "b": pa.string()}
    data = b"a,b\n1.5,NA\nNA,x\n,y\n"
    block = next(CsvReader("f", columns, missing_values=["", "NA"]).blocks(io.BytesIO(data)))
    assert block.batch.to_pydict() == {"a": [1.5, None, None], "b": ["NA", "x", "y"]}


def test_a_number_that_does_not_parse_is_left_as_text():
    columns = {"a": pa.float64(), "b": pa.string()}
    block = next(CsvReader("f", columns).blocks(io.BytesIO(b"a,b\n1.5,x\ntwo,y\n")))
    assert block.batch.column(0).to_pylist() == ["1.5", "two"]
    assert block.bad == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"log\.csv: the file is empty"),
        (b"\xef\xbb\xbf\n \n", "the file is empty"),
        (b"user,bb\n1,2\n", r"missing column 'a', 'b'; the header has 'user', 'bb'"),
        (b"a,B_\n1,2\n", "missing column 'b'"),
        (b"a,clicks\n", "missing column 'click'.*Did you mean 'clicks'"),
        (b"a;click\n1;2\n", r"missing column 'a', 'click'.*delimiter ','"),
        (b"a,click,click\n", "'click' stands twice in the header"),
        (b"a,\xff,click\n1,2,3\n", "the first line is not UTF-8"),
        ("a,click\n".encode("utf-16"), "the first line is not UTF-8"),
        (b"a,click\r1,2\r3,4\r", "missing column.*The lines end in CR alone"),
    ],
)
def test_unusable_headers(data, message):
    columns = {
        "a": pa.string(),
        "click" if b"lick" in data or b"\xff" in data else "b": pa.string(),
    }
    with pytest.raises(InputError, match=message):
        read(data, columns)


def test_column_names_that_lack_a_column():
    with pytest.raises(InputError, match="missing column 'b'; the configured names are 'a', 'c'"):
        read(b"1,2\n", column_names=["a", "c"])


def test_a_file_without_line_breaks_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr("babelrank.components.ingest.text_reader.MAX_RECORD_BYTES", 100)
    with pytest.raises(InputError, match="the first line is longer than"):
        read(b"x" * 1000, block_bytes=64)


def test_only_a_header():
    assert read(b"a,b\n") == ([], [])
    assert read(b"a,b") == ([], [])


def dirty_file(rng, path: Path, delimiter: str) -> tuple[list[tuple[str, str]], dict[int, str]]:
    """Writes a random file; returns its good rows and the lines of the bad ones."""
    newline = rng.choice(["\n", "\r\n"])
    out, good, bad, line = [f"a{delimiter}x{delimiter}b"], [], {}, 2
    for number in range(rng.randrange(1, 25)):
        kind = rng.choice(["plain"] * 4 + ["quoted", "lines", "blank", "short", "long", "open"])
        first = f"{number}"
        if kind in ("plain", "quoted", "lines"):
            last = {
                "plain": rng.choice(["", "é", 'in"ch', "word " * rng.randrange(9)]),
                "quoted": f'say "{number}"{delimiter}',
                "lines": f"one{newline}{newline}two{delimiter}",
            }[kind]
            quoted = '"' + last.replace('"', '""') + '"' if kind != "plain" else last
            good.append((first, last))
            text = delimiter.join([first, rng.choice(["", "x", '"x"']), quoted])
        elif kind == "blank":
            text = ""
        else:
            text = {
                "short": f"{number}",
                "long": delimiter.join(f"{number}234"),
                "open": f'{number}{delimiter}{delimiter}"open',
            }[kind]
            bad[line] = "open_quote" if kind == "open" else "wrong_field_count"
            if kind == "long" and number > 9:
                bad[line] = "wrong_field_count"
        out.append(text)
        line += text.count("\n") + 1
    path.write_text(newline.join(out) + rng.choice(["", newline]), newline="")
    return good, bad


@pytest.mark.parametrize("delimiter", [",", "\t", "||"])
def test_any_block_size_gives_the_same_rows(tmp_path, delimiter, monkeypatch):
    rng = random.Random(7)
    path = tmp_path / "dirty.csv"
    for _ in range(120):
        good, bad = dirty_file(rng, path, delimiter)
        data = path.read_bytes()
        for size in (16, rng.randrange(17, 64), 1 << 20):
            monkeypatch.setattr(text_reader, "PIECE_BYTES", rng.randrange(8, 99))
            rows, found = read(data, block_bytes=size, delimiter=delimiter)
            assert rows == good, (size, data)
            assert dict(found) == bad, (size, data)


def test_locations_fit_their_rows_in_blocks_of_any_size(tmp_path, monkeypatch):
    rng = random.Random(5)
    path = tmp_path / "dirty.csv"
    for _ in range(60):
        good, _ = dirty_file(rng, path, ",")
        data = path.read_bytes()
        monkeypatch.setattr(text_reader, "PIECE_BYTES", rng.randrange(8, 99))
        for size in (rng.randrange(16, 64), 1 << 20):
            places = []
            for block in CsvReader("f", TEXTS, block_bytes=size).blocks(io.BytesIO(data)):
                places += block.locate(range(block.batch.num_rows))
            lines = data.decode().split("\n")
            assert [place.raw.split(",")[0] for place in places] == [row[0] for row in good]
            for place in places:
                line = lines[int(place.position.split()[1]) - 1].rstrip("\r")
                assert place.raw.startswith(line)


def test_whole_blocks_and_single_records_agree():
    """Whatever Arrow accepts, the record path reads as the same values."""
    rng = random.Random(11)
    accepted = 0
    for _ in range(3000):
        text = "".join(
            rng.choice(["a", "b", ",", ",", '"', '"', "\n", "\r", "é"]) for _ in range(14)
        )
        reader = CsvReader("f", {"a": pa.string(), "b": pa.string()}, column_names=["a", "b"])
        reader.start(b"x,y\n", True)
        data = text.encode()
        try:
            batch = reader.parse(data)
        except pa.ArrowInvalid:
            continue
        records, used = reader.records(data, final=True)
        assert [list(row.values()) for row in batch.to_pylist()] == [
            record.values for record in records
        ], text
        assert used == len(data)
        accepted += 1
    assert accepted > 30


def test_columns_by_number():
    data = b'x,1,"2,2"\ny,3,4\n'
    assert read(data, positions=(2, 0)) == ([("2,2", "x"), ("4", "y")], [])
    assert read(data + b"z,5\n", positions=(1, 0))[1] == [(3, "wrong_field_count")]
    with pytest.raises(InputError, match="first row has 3 columns.*expected a column 3"):
        read(data, positions=(0, 3))
