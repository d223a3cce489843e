"""Tests of what the driver resolves before caching is decided."""

import json

import pytest

import babelrank  # noqa: F401  (before TensorFlow)
from babelrank.components.errors import ConfigError, InputError
from babelrank.components.ingest.driver import resolve_properties


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n")


def resolve(folder, path="log.csv", joins=(), spans=None, **splits):
    splits = {key: f"{folder}/{value}" for key, value in splits.items()}
    return resolve_properties(
        {
            "data": {
                "path": f"{folder}/{path}",
                "joins": [{"path": f"{folder}/{join}"} for join in joins],
            },
            "spans": spans or {},
            "splits": splits,
        }
    )


def test_one_file(tmp_path):
    write(tmp_path, "log.csv")
    found = resolve(tmp_path)
    assert json.loads(found["files"]) == [{"path": f"{tmp_path}/log.csv", "span": 0, "split": ""}]
    assert (found["spans"], found["span"], found["version"]) == ("[0]", 0, None)


def test_a_window(tmp_path):
    write(tmp_path, "1/v1/x", "2/v1/x", "3/v1/x", "3/v2/x")
    found = resolve(tmp_path, "{SPAN}/v{VERSION}/x", spans={"window": 2})
    assert [file["span"] for file in json.loads(found["files"])] == [2, 3]
    assert (found["spans"], found["span"], found["version"]) == ("[2, 3]", 3, 2)


def test_explicit_splits(tmp_path):
    write(tmp_path, "log.csv", "eval.csv", "test-1.csv", "test-2.csv")
    found = resolve(tmp_path, eval_path="eval.csv", test_path="test-*.csv")
    splits = [file["split"] for file in json.loads(found["files"])]
    assert splits == ["", "eval", "test", "test"]


def test_a_file_must_not_be_in_two_splits(tmp_path):
    write(tmp_path, "log.csv", "eval.csv")
    with pytest.raises(ConfigError, match=r"splits\.eval_path: .*eval\.csv is also read by data"):
        resolve(tmp_path, "*.csv", eval_path="eval.csv")
    with pytest.raises(ConfigError, match=r"splits\.test_path: .*eval\.csv is also read"):
        resolve(tmp_path, eval_path="eval.csv", test_path="eval.csv")


def test_the_fingerprint_covers_every_file(tmp_path):
    write(tmp_path, "log.csv", "eval.csv", "items.csv")
    prints = []
    for name in ("log.csv", "eval.csv", "items.csv"):
        prints.append(resolve(tmp_path, joins=["items.csv"], eval_path="eval.csv"))
        assert prints[-1] == resolve(tmp_path, joins=["items.csv"], eval_path="eval.csv")
        (tmp_path / name).write_text("a\n1\n2\n")
    prints.append(resolve(tmp_path, joins=["items.csv"], eval_path="eval.csv"))
    assert len({found["input_fingerprint"] for found in prints}) == 4


@pytest.mark.parametrize("missing", [{"joins": ["no.csv"]}, {"eval_path": "no.csv"}])
def test_missing_files(tmp_path, missing):
    write(tmp_path, "log.csv")
    with pytest.raises(InputError, match=r"no\.csv: no"):
        resolve(tmp_path, **missing)
