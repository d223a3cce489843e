"""Tests of finding the files of spans, versions, dates and windows."""

import os
from pathlib import Path

import pytest

from babelrank.components.errors import ConfigError, InputError
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.ingest.spans import Inputs, all_spans, fingerprint_of, resolve


def create(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n")
    return folder


def names(resolved, folder):
    return [str(Path(file.path).relative_to(folder)) for file in resolved.files]


def find(folder, pattern, **config):
    return resolve(f"{folder}/{pattern}", SpansConfig(**config))


def test_a_glob_without_spans(tmp_path):
    create(tmp_path, "b.csv", "a.csv", "c.txt", "sub/d.csv")
    found = find(tmp_path, "*.csv")
    assert names(found, tmp_path) == ["a.csv", "b.csv"]
    assert (found.spans, found.version) == ((0,), None)
    assert [file.span for file in found.files] == [0, 0]


def test_the_newest_span_is_a_number_not_a_text(tmp_path):
    create(tmp_path, "day=9/x.csv", "day=10/x.csv", "day=10/y.csv", "day=ten/x.csv")
    found = find(tmp_path, "day={SPAN}/*.csv")
    assert found.spans == (10,)
    assert names(found, tmp_path) == ["day=10/x.csv", "day=10/y.csv"]


def test_width(tmp_path):
    create(tmp_path, "log007x.csv", "log08x.csv", "log0009x.csv")
    assert names(find(tmp_path, "log{SPAN:3}x.csv"), tmp_path) == ["log007x.csv"]


def test_the_newest_version_of_each_span(tmp_path):
    create(tmp_path, "1/v1/x", "1/v2/x", "2/v10/x", "2/v9/x", "2/v9/y")
    found = find(tmp_path, "{SPAN}/v{VERSION}/*", window=2)
    assert names(found, tmp_path) == ["1/v2/x", "2/v10/x"]
    assert (found.spans, found.version) == ((1, 2), 10)


def test_dates(tmp_path):
    create(tmp_path, "1970-01-02.csv", "1970-02-01.csv")
    found = find(tmp_path, "{YYYY}-{MM}-{DD}.csv", window=5)
    assert found.spans == (1, 31)
    assert names(found, tmp_path) == ["1970-01-02.csv", "1970-02-01.csv"]


def test_a_window_counts_spans_not_numbers(tmp_path):
    create(tmp_path, *(f"{span}.csv" for span in (1, 2, 5, 9)))
    assert find(tmp_path, "{SPAN}.csv", window=3).spans == (2, 5, 9)
    assert find(tmp_path, "{SPAN}.csv", window=3, span=5).spans == (1, 2, 5)
    assert find(tmp_path, "{SPAN}.csv", window=9).spans == (1, 2, 5, 9)


def test_a_span_without_its_marker_is_not_complete(tmp_path):
    create(tmp_path, "1/x.csv", "1/_SUCCESS", "2/x.csv")
    assert find(tmp_path, "{SPAN}/*.csv", marker="_SUCCESS").spans == (1,)
    with pytest.raises(InputError, match="no span 2; the newest ones are 1"):
        find(tmp_path, "{SPAN}/*.csv", marker="_SUCCESS", span=2)
    with pytest.raises(InputError, match="no complete span matches"):
        find(tmp_path, "{SPAN}/*.csv", marker="_DONE")


def test_a_wildcard_leaves_markers_and_checksums_alone(tmp_path):
    create(tmp_path, "1/part-0", "1/_SUCCESS", "1/.part-0.crc")
    assert names(find(tmp_path, "{SPAN}/*"), tmp_path) == ["1/part-0"]
    assert names(find(tmp_path, "{SPAN}/_*"), tmp_path) == ["1/_SUCCESS"]


def test_other_characters_of_the_pattern_stand_for_themselves(tmp_path):
    create(tmp_path, "a+b (1)/log.1.csv", "a+b (1)/log21.csv")
    assert names(find(tmp_path, "a+b (1)/log.{SPAN}.csv"), tmp_path) == ["a+b (1)/log.1.csv"]


def test_sets_and_single_wildcards(tmp_path):
    create(tmp_path, "1a.csv", "1b.csv", "1c.csv")
    assert names(find(tmp_path, "{SPAN}[ab].csv"), tmp_path) == ["1a.csv", "1b.csv"]
    assert names(find(tmp_path, "{SPAN}?.csv"), tmp_path) == ["1a.csv", "1b.csv", "1c.csv"]


def test_nothing_matches(tmp_path):
    with pytest.raises(InputError, match=r"no file matches .*Check data\.path"):
        find(tmp_path, "*.csv")


def test_a_wanted_span_that_is_not_there(tmp_path):
    create(tmp_path, "1.csv", "3.csv")
    with pytest.raises(InputError, match="no span 2; the newest ones are 1, 3"):
        find(tmp_path, "{SPAN}.csv", span=2)


def test_a_date_that_is_none(tmp_path):
    create(tmp_path, "20240230.csv")
    with pytest.raises(InputError, match="2024-02-30 in a file name is no date"):
        find(tmp_path, "{YYYY}{MM}{DD}.csv")


@pytest.mark.parametrize(
    ("pattern", "config", "message"),
    [
        ("{SPAN}-{YYYY}{MM}{DD}", {}, "takes {SPAN}, or all of"),
        ("{YYYY}-{MM}", {}, "takes {SPAN}, or all of"),
        ("{SPAN}/{SPAN}", {}, "{SPAN} stands twice"),
        ("*.csv", {"window": 2}, "window, span and exclude need"),
        ("*.csv", {"span": 3}, "window, span and exclude need"),
    ],
)
def test_patterns_that_make_no_sense(tmp_path, pattern, config, message):
    with pytest.raises(ConfigError, match=message):
        find(tmp_path, pattern, **config)


def test_the_fingerprint_follows_the_files(tmp_path):
    create(tmp_path, "1.csv", "2.csv")
    prints = [find(tmp_path, "*.csv").fingerprint]
    assert find(tmp_path, "*.csv").fingerprint == prints[0]
    (tmp_path / "2.csv").write_text("longer\n1\n")
    prints.append(find(tmp_path, "*.csv").fingerprint)
    os.utime(tmp_path / "2.csv", (1, 1))
    prints.append(find(tmp_path, "*.csv").fingerprint)
    create(tmp_path, "3.csv")
    prints.append(find(tmp_path, "*.csv").fingerprint)
    assert len(set(prints)) == 4


def test_fingerprint_of(tmp_path):
    create(tmp_path, "1.csv")
    assert fingerprint_of(f"{tmp_path}/1.csv") == fingerprint_of(f"{tmp_path}/*.csv")
    with pytest.raises(InputError, match=r"2\.csv: no such file"):
        fingerprint_of(f"{tmp_path}/2.csv")


def test_all_spans(tmp_path):
    create(tmp_path, "1/a.en", "2/a.en", "3/a.en", "3/b.en", "4/a.en", "2/a.de", "3/a.de", "9/a.de")
    config = SpansConfig(window=2, span=3, exclude=(4,))
    inputs = Inputs(path=f"{tmp_path}/{{SPAN}}/*.en")
    assert all_spans(inputs, config) == (1, 2, 3)
    keys = ("s", "t")
    both = Inputs(path=inputs.path, beside=f"{tmp_path}/{{SPAN}}/*.de", keys=keys)
    assert all_spans(both, config) == (2, 3)
    none = Inputs(path=inputs.path, beside=f"{tmp_path}/{{SPAN}}/a.x*", keys=keys)
    create(tmp_path, "9/a.xy")
    with pytest.raises(InputError, match="no span in common; .* Check s and t"):
        all_spans(none, config)
