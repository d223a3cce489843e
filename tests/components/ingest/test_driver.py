"""Tests of what the driver resolves before caching is decided."""

import json

import pytest
from tfx.orchestration.portable import data_types

import babelrank  # noqa: F401  (before TensorFlow)
from babelrank.components.errors import ConfigError, InputError
from babelrank.components.ingest.driver import IngestDriver, inputs_section, resolve_properties
from babelrank.components.ingest.spans import Inputs


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n")


def resolve(folder, path="log.csv", joins=(), spans=None, **splits):
    inputs = [Inputs(path=f"{folder}/{path}")]
    for key, value in splits.items():
        split = key.removesuffix("_path")
        inputs.append(Inputs(path=f"{folder}/{value}", split=split, keys=(f"splits.{key}",)))
    section = inputs_section(inputs, [f"{folder}/{join}" for join in joins])
    return resolve_properties({"spans": spans or {}, "inputs": section})


def test_one_file(tmp_path):
    write(tmp_path, "log.csv")
    found = resolve(tmp_path)
    assert json.loads(found["files"]) == [
        {"path": f"{tmp_path}/log.csv", "span": 0, "split": "", "beside": ""}
    ]
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


def pairs(folder, *inputs, spans=None):
    inputs = [
        Inputs(
            path=f"{folder}/{one['path']}",
            beside=f"{folder}/{one['beside']}" if "beside" in one else "",
            split=one.get("split", ""),
            keys=("the.source", "the.target"),
        )
        for one in inputs
    ]
    return resolve_properties({"spans": spans or {}, "inputs": inputs_section(inputs)})


def test_files_side_by_side(tmp_path):
    write(tmp_path, "1/a.en", "2/b.en", "2/a.en", "2/x.de", "1/x.de", "2/y.de", "t.en", "t.de")
    found = pairs(
        tmp_path,
        {"path": "{SPAN}/*.en", "beside": "{SPAN}/*.de"},
        {"path": "t.en", "beside": "t.de", "split": "test"},
        spans={"window": 2},
    )
    files = [
        (file["path"], file["beside"], file["span"], file["split"])
        for file in json.loads(found["files"])
    ]
    assert files == [
        (f"{tmp_path}/1/a.en", f"{tmp_path}/1/x.de", 1, ""),
        (f"{tmp_path}/2/a.en", f"{tmp_path}/2/x.de", 2, ""),
        (f"{tmp_path}/2/b.en", f"{tmp_path}/2/y.de", 2, ""),
        (f"{tmp_path}/t.en", f"{tmp_path}/t.de", 0, "test"),
    ]
    (tmp_path / "2/x.de").write_text("changed")
    again = pairs(
        tmp_path,
        {"path": "{SPAN}/*.en", "beside": "{SPAN}/*.de"},
        {"path": "t.en", "beside": "t.de", "split": "test"},
        spans={"window": 2},
    )
    assert again["input_fingerprint"] != found["input_fingerprint"]


def test_files_without_a_partner(tmp_path):
    write(tmp_path, "1/a.en", "1/b.en", "1/a.de", "2/a.en")
    with pytest.raises(InputError, match=r"1/\*\.en matches 2 files and .*1/\*\.de 1; .*pairs"):
        pairs(tmp_path, {"path": "1/*.en", "beside": "1/*.de"})
    with pytest.raises(InputError, match=r"has the spans \(2,\), .* \(1,\); .*the\.source and the"):
        pairs(tmp_path, {"path": "{SPAN}/a.en", "beside": "{SPAN}/a.de"})
    with pytest.raises(InputError, match=r"no\.de: no file.*Check the\.target"):
        pairs(tmp_path, {"path": "1/a.en", "beside": "no.de"})


def test_a_file_beside_must_not_be_in_two_splits(tmp_path):
    write(tmp_path, "a.en", "a.de", "b.en")
    with pytest.raises(ConfigError, match=r"the\.source, the\.target: .*a\.de is also read by"):
        pairs(
            tmp_path,
            {"path": "a.en", "beside": "a.de"},
            {"path": "b.en", "beside": "a.de", "split": "eval"},
        )


def properties(folder, **spans):
    """The execution properties that the driver makes, which are part of the cache's key."""
    section = inputs_section([Inputs(path=f"{folder}/{{SPAN}}.csv")])
    config = json.dumps({"data": {"label": "y"}, "spans": spans, "inputs": section})
    given = data_types.ExecutionInfo(exec_properties={"config": config}, output_dict={})
    return dict(IngestDriver(None).run(given).exec_properties)


def test_the_same_files_have_the_same_key_however_they_were_asked_for(tmp_path):
    write(tmp_path, "1.csv", "2.csv")
    newest = properties(tmp_path)
    assert properties(tmp_path, span=2) == newest
    assert properties(tmp_path, window=1, exclude=[1]) == newest
    assert properties(tmp_path, span=1) != newest
    assert properties(tmp_path, window=2) != newest
    config = json.loads(newest["config"].string_value)
    assert (set(config), config["data"]) == ({"data", "inputs"}, {"label": "y"})
