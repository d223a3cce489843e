"""Tests of `ClickLogExampleGen` through its driver and its executor, on Beam."""

import gzip
import json
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.components import StatisticsGen
from tfx.dsl.components.base import base_beam_executor
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import standard_artifacts

import babelrank  # noqa: F401  (before TensorFlow)
from babelrank.components.artifacts import Quarantine
from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.ingest.config import IngestConfig, SpansConfig, SplitsConfig
from babelrank.components.ingest.driver import resolve_properties
from babelrank.components.ingest.executor import Plan, _IngestFile
from babelrank.components.ingest.spans import InputFile
from babelrank.components.ingest.splits import Splitter
from babelrank.components.ingest.summary import Summary
from babelrank.components.ranking.config import DataConfig, LabelConfig
from babelrank.components.ranking.example_gen import (
    ClickLogExampleGen,
    ClickLogSource,
    Executor,
    read_blocks,
)

KINDS = ("bytes_list", "float_list", "int64_list")


def data_config(path, **keys):
    keys = {"path": str(path), "label": "y", "categorical": ["u"]} | keys
    return from_dict(DataConfig, keys, "data")


class Run:
    """One run of driver and executor; what it left behind."""

    def __init__(self, folder, data, splits=None, spans=None, ingest=None, beam_args=()):
        component = ClickLogExampleGen(data, splits, spans, ingest)
        config = component.exec_properties["config"]
        self.properties = {"config": config} | resolve_properties(json.loads(config))
        self.examples = standard_artifacts.Examples()
        self.examples.uri = str(folder / "examples")
        self._quarantine = Quarantine()
        self._quarantine.uri = str(folder / "quarantine")
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=["--runner=DirectRunner", *beam_args],
            tmp_dir=str(folder / "tmp"),
            unique_id="1",
        )
        output = {"examples": [self.examples], "quarantine": [self._quarantine]}
        Executor(context).Do({}, output, self.properties)

    def records(self, split):
        """The split's examples as plain values, in the order of files."""
        found = []
        for path in sorted(Path(self.examples.uri, f"Split-{split}").glob("*")):
            for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                found.append(
                    {
                        name: list(getattr(feature, feature.WhichOneof("kind")).value)
                        for name, feature in features.items()
                        if feature.WhichOneof("kind")
                    }
                )
        return found

    def column(self, split, name):
        return [record[name][0] for record in self.records(split)]

    @property
    def summary(self):
        return Summary.from_json(Path(self._quarantine.uri, "summary.json").read_text())

    @property
    def quarantine(self):
        lines = []
        for path in sorted(Path(self._quarantine.uri).glob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return lines

    @property
    def files(self):
        return {path.name for path in Path(self._quarantine.uri).rglob("*")}


def rows(*lines, header="u,y,t,d"):
    return "\n".join([header, *lines]) + "\n"


@pytest.fixture
def log(tmp_path):
    """Two files of ten rows each, one of them dirty."""
    first = [f"u{i},{i % 2},{i},{i}.5" for i in range(10)]
    second = [f"u{i},{i % 2},{i},{i}.5" for i in range(10, 18)] + ["u18,maybe,18,1", "u19,1"]
    (tmp_path / "a.csv").write_text(rows(*first))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(rows(*second).encode()))
    return tmp_path / "*.csv*"


LENIENT = IngestConfig(max_bad_fraction=0.2)


def test_by_time(tmp_path, log):
    data = data_config(log, dense=["d"], timestamp="t")
    run = Run(tmp_path, data, SplitsConfig(by="time", eval=0.2, test=0.2), ingest=LENIENT)
    # 18 good rows: 10.8 before eval, 14.4 before test.
    assert [sorted(run.column(split, "timestamp")) for split in ("train", "eval", "test")] == [
        list(range(11)),
        [11, 12, 13],
        [14, 15, 16, 17],
    ]
    assert run.records("train")[3] == {
        "u": [b"u3"],
        "label": [1.0],
        "timestamp": [3],
        "d": [3.5],
    }
    assert run.examples.split_names == '["train", "eval", "test"]'
    assert run.examples.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
    assert run.summary.read == 20
    assert run.summary.written == {"train": 11, "eval": 3, "test": 4}
    assert run.summary.quarantined == {"bad_label": 1, "wrong_field_count": 1}
    assert run.files == {"summary.json", "quarantine-00001.jsonl"}


def test_the_quarantine(tmp_path, log):
    run = Run(tmp_path, data_config(log), SplitsConfig(eval=0.4, test=0), ingest=LENIENT)
    assert sorted(run.quarantine, key=lambda line: line["position"]) == [
        {
            "file": str(tmp_path / "b.csv.gz"),
            "position": "line 10",
            "reason": "bad_label",
            "detail": "y holds 'maybe'",
            "raw": "u18,maybe,18,1",
        },
        {
            "file": str(tmp_path / "b.csv.gz"),
            "position": "line 11",
            "reason": "wrong_field_count",
            "detail": "2 fields instead of 4",
            "raw": "u19,1",
        },
    ]


def test_the_gate(tmp_path, log):
    message = (
        r"(?s)2 of 20 rows are bad \(10\.00%.*bad_label: 1 rows, such as .*b\.csv\.gz, line 10"
    )
    with pytest.raises(Exception, match=message):
        Run(tmp_path, data_config(log))
    assert (tmp_path / "quarantine" / "quarantine-00001.jsonl").exists()


def test_by_a_column_keeps_its_values_on_one_side(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(rows(*(f"u{i % 50},1,{i},0" for i in range(500))))
    run = Run(tmp_path, data_config(path), SplitsConfig(by="u", eval=0.2, test=0.2))
    users = [set(run.column(split, "u")) for split in ("train", "eval", "test")]
    assert all(users)
    assert len(set.union(*users)) == sum(map(len, users)) == 50


def test_explicit_files(tmp_path):
    for name in ("train", "eval", "test"):
        (tmp_path / f"{name}.csv").write_text(rows(f"{name},1,0,0"))
    data = data_config(tmp_path / "train.csv", timestamp="t")
    paths = {f"{name}_path": str(tmp_path / f"{name}.csv") for name in ("eval", "test")}
    run = Run(tmp_path, data, SplitsConfig(by="time", **paths))
    assert [run.column(split, "u") for split in ("train", "eval", "test")] == [
        [b"train"],
        [b"eval"],
        [b"test"],
    ]


def test_an_explicit_eval_file_and_a_fraction_for_test(tmp_path):
    (tmp_path / "log.csv").write_text(rows(*(f"u{i},1,{i},0" for i in range(10))))
    (tmp_path / "eval.csv").write_text(rows("e,1,0,0"))
    splits = SplitsConfig(by="time", test=0.2, eval_path=str(tmp_path / "eval.csv"))
    run = Run(tmp_path, data_config(tmp_path / "log.csv", timestamp="t"), splits)
    assert run.summary.written == {"train": 8, "eval": 1, "test": 2}
    assert run.column("test", "timestamp") == [8, 9]


def test_the_newest_span_of_a_window_is_test(tmp_path):
    for span in (1, 2, 3):
        lines = [f"u{i},1,{100 * span + i},0" for i in range(10)]
        (tmp_path / f"{span}.csv").write_text(rows(*lines))
    data = data_config(tmp_path / "{SPAN}.csv", timestamp="t")
    run = Run(tmp_path, data, SplitsConfig(by="time", eval=0.1), SpansConfig(window=2))
    assert json.loads(run.properties["spans"]) == [2, 3]
    assert sorted(run.column("train", "timestamp")) == list(range(200, 209))
    assert run.column("eval", "timestamp") == [209]
    assert sorted(run.column("test", "timestamp")) == list(range(300, 310))


def test_without_a_test_split(tmp_path):
    (tmp_path / "log.csv").write_text(rows(*(f"u{i},1,{i},0" for i in range(10))))
    data = data_config(tmp_path / "log.csv", timestamp="t")
    run = Run(tmp_path, data, SplitsConfig(by="time", eval=0.2, test=0))
    assert run.examples.split_names == '["train", "eval"]'
    assert run.summary.written == {"train": 8, "eval": 2}


def test_a_split_without_rows(tmp_path):
    (tmp_path / "log.csv").write_text(rows("u,1,0,0"))
    with pytest.raises(Exception, match="the split .* has no rows"):
        Run(tmp_path, data_config(tmp_path / "log.csv"))


def test_negatives_are_thinned_in_train_only_and_weighted(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(rows(*(f"u{i % 7},{int(i % 10 == 0)},{i},2" for i in range(20_000))))
    data = data_config(path, keep_negatives=0.25, weight="d")
    run = Run(tmp_path, data, SplitsConfig(by="u", eval=0.3, test=0))
    train = run.records("train")
    label = np.array([record["label"][0] for record in train])
    weight = np.array([record["sample_weight"][0] for record in train])
    negatives = int((label == 0).sum())
    dropped = run.summary.dropped["negative_not_sampled"]
    assert negatives / (negatives + dropped) == pytest.approx(0.25, abs=0.02)
    assert set(weight[label == 1]) == {2.0}
    assert set(weight[label == 0]) == {8.0}
    assert np.average(label, weights=weight) == pytest.approx(0.1, abs=0.005)
    # Rows are thinned, not users: none has lost all its negatives.
    with_negatives = {r["u"][0] for r in train if not r["label"][0]}
    assert with_negatives == {record["u"][0] for record in train}
    held_out = run.records("eval")
    assert {record["sample_weight"][0] for record in held_out} == {2.0}
    assert np.mean([record["label"][0] for record in held_out]) == pytest.approx(0.1, abs=0.001)


def test_examples_that_are_not_thinned_weigh_one(tmp_path):
    """So that all splits have the weights that statistics and training count by."""
    path = tmp_path / "log.csv"
    path.write_text(rows(*(f"u{i % 7},{i % 2},{i},2" for i in range(700))))
    run = Run(tmp_path, data_config(path, keep_negatives=0.25), SplitsConfig(by="u", eval=0.3))
    held_out = [*run.records("eval"), *run.records("test")]
    assert {record["sample_weight"][0] for record in held_out} == {1.0}
    assert {record["sample_weight"][0] for record in run.records("train")} == {1.0, 4.0}


def test_the_same_records_from_several_processes(tmp_path):
    for number in range(4):
        lines = [f"u{i},{i % 2},{i},{i}.5" for i in range(number * 500, number * 500 + 500)]
        (tmp_path / f"{number}.csv").write_text(rows(*lines, "bad"))
    data = data_config(tmp_path / "*.csv", dense=["d"], timestamp="t", keep_negatives=0.5)
    args = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    one, two = (
        Run(tmp_path / name, data, beam_args=beam_args)
        for name, beam_args in (("one", ()), ("two", args))
    )
    for split in ("train", "eval", "test"):
        assert one.records(split) == two.records(split)
        assert one.records(split)
    assert one.quarantine == two.quarantine
    assert one.summary == two.summary
    assert one.summary.read == 2004


def test_every_format_gives_the_same_examples(tmp_path):
    table = {
        "u": ["1", "2", "3"],
        "y": [1, 0, 1],
        "d": [1.5, None, 3.0],
        "g": [["a", "b"], [], ["c"]],
    }
    columns = {"dense": ["d"], "multivalent": {"g": "|"}}
    (tmp_path / "csv").write_text("u,y,d,g\n1,1,1.5,a|b\n2,0,,\n3,1,3,c\n")
    (tmp_path / "tsv").write_text("u\ty\td\tg\n1\t1\t1.5\ta|b\n2\t0\t\t\n3\t1\t3\tc\n")
    lines = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    lines[0]["u"] = 1  # a number in one row, a text in the others
    (tmp_path / "jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pq.write_table(pa.table(table), tmp_path / "parquet")
    with tf.io.TFRecordWriter(str(tmp_path / "tfrecord")) as writer:
        for line in lines:
            example = tf.train.Example()
            feature = example.features.feature
            feature["u"].bytes_list.value.append(str(line["u"]).encode())
            feature["y"].int64_list.value.append(line["y"])
            feature["d"].float_list.value.extend([line["d"]] if line["d"] else [])
            feature["g"].bytes_list.value.extend(text.encode() for text in line["g"])
            writer.write(example.SerializeToString())
    expected = [
        {"label": [1.0], "u": [b"1"], "g": [b"a", b"b"], "d": [1.5]},
        {"label": [0.0], "u": [b"2"]},
        {"label": [1.0], "u": [b"3"], "g": [b"c"], "d": [3.0]},
    ]
    for name in ("csv", "tsv", "jsonl", "parquet", "tfrecord"):
        source = ClickLogSource(data_config(tmp_path / name, format=name, **columns))
        found = []
        for block in source.blocks(InputFile(str(tmp_path / name), 0)):
            found += source.read(block).features.to_pylist()
        assert [{k: v for k, v in row.items() if v} for row in strip(found)] == expected, name


def strip(rows):
    for row in rows:
        yield {
            k: [round(v, 3) if isinstance(v, float) else v for v in vs or []]
            for k, vs in row.items()
        }


def test_joined_files(tmp_path):
    (tmp_path / "log.csv").write_text("u,y,m\n" + "".join(f"u{i},1,{i % 3}\n" for i in range(60)))
    (tmp_path / "m.csv").write_text('m,title\n0,"Zero, the"\n1,One\n')
    data = data_config(
        tmp_path / "log.csv",
        categorical=["u", "title"],
        joins=[{"path": str(tmp_path / "m.csv"), "key": "m", "columns": ["title"]}],
    )
    run = Run(tmp_path, data, SplitsConfig(eval=0.3, test=0))
    titles = Counter(
        str(record.get("title")) for record in run.records("train") + run.records("eval")
    )
    assert titles == {"[b'Zero, the']": 20, "[b'One']": 20, "None": 20}
    assert run.summary.counts == {"join_unmatched:m": 20}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("m,title\n1,a\n1,b\n", "m '1' stands 2 times"),
        ("m,title\n1,a\n2\n", r"m\.csv, line 3: 2? ?.*a joined file must have no bad rows"),
        ("m,title\n", "the file has no rows"),
        ("m,name\n1,a\n", "missing column 'title'"),
    ],
)
def test_unusable_joins(tmp_path, content, message):
    (tmp_path / "m.csv").write_text(content)
    join = {"path": str(tmp_path / "m.csv"), "key": "m", "columns": ["title"]}
    with pytest.raises(Exception, match=message):
        ClickLogSource(data_config("log.csv", categorical=["title"], joins=[join]))


def test_a_file_that_is_ingested_twice_leaves_no_duplicates(tmp_path):
    (tmp_path / "log.csv").write_text(rows(*(f"u{i},1,{i},0" for i in range(10)), "bad"))
    folders = {name: str(tmp_path / name) for name in ("train", "eval")}
    source = partial(ClickLogSource, data_config(tmp_path / "log.csv"))
    plan = Plan(source, Splitter("row", 0.3, 0.0), LENIENT, folders, str(tmp_path / "bad"))
    work = _IngestFile(plan, str(tmp_path / "parts"))
    work.setup()

    def sizes(path):
        if path.suffix != ".gz":
            return path.read_text()
        return [len(r) for r in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()]

    def left_behind():
        work.process((0, InputFile(str(tmp_path / "log.csv"), 0)))
        names = ("train", "eval", "bad", "parts")
        files = [path for name in names for path in (tmp_path / name).iterdir()]
        return {path: sizes(path) for path in files}

    once = left_behind()
    assert len(once) == 4
    assert left_behind() == once


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(rows("u,1,0,0").encode() * 9)[:-9])
    with pytest.raises(Exception, match=r"log\.csv\.gz: cannot read the file"):
        Run(tmp_path, data_config(tmp_path / "log.csv.gz"))


def test_read_blocks_knows_the_delimiters(tmp_path):
    (tmp_path / "log").write_text("u\ty\n1\t2\n")
    wanted = {"y": pa.string()}
    assert next(read_blocks(str(tmp_path / "log"), "tsv", wanted)).batch.to_pydict() == {"y": ["2"]}
    (block,) = read_blocks(str(tmp_path / "log"), "csv", wanted, delimiter="\t")
    assert block.batch.to_pydict() == {"y": ["2"]}


def test_by_time_needs_a_timestamp():
    with pytest.raises(ConfigError, match=r"splits\.by: time needs data\.timestamp"):
        ClickLogExampleGen(data_config("x"), SplitsConfig(by="time"))


def test_beside_a_stock_component(tmp_path):
    (tmp_path / "log").mkdir()
    for span in (3, 4):
        lines = [f"u{i},{i % 2},{i},{i}" for i in range(100)]
        (tmp_path / "log" / f"{span}.csv").write_text(rows(*lines))
    example_gen = ClickLogExampleGen(
        DataConfig(
            path=str(tmp_path / "log" / "{SPAN}.csv"),
            label=LabelConfig(column="y"),
            categorical=("u",),
            dense=("d",),
        ),
        spans=SpansConfig(window=2),
    )
    statistics = StatisticsGen(examples=example_gen.outputs["examples"])
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.db"))

    def run():
        local_dag_runner.LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="small",
                pipeline_root=str(tmp_path / "root"),
                components=[example_gen, statistics],
                metadata_connection_config=connection,
                enable_cache=True,
            )
        )
        with metadata.Metadata(connection) as handler:
            return (
                handler.store.get_artifacts_by_type("Examples"),
                handler.store.get_artifacts_by_type("ExampleStatistics"),
            )

    (examples,), (found,) = run()
    assert examples.custom_properties["span"].int_value == 4
    assert examples.custom_properties["spans"].string_value == "[3, 4]"
    splits = {path.name for path in Path(found.uri).iterdir()}
    assert splits == {"Split-train", "Split-eval", "Split-test"}
    assert len(run()[0]) == 1  # nothing changed: cached
    (tmp_path / "log" / "5.csv").write_text(rows(*(f"u{i},1,{i},0" for i in range(100))))
    newest = max(run()[0], key=lambda artifact: artifact.id)
    assert newest.custom_properties["spans"].string_value == "[4, 5]"
