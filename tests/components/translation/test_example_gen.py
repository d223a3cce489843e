"""Tests of `ParallelTextExampleGen` through its driver and its executor, on Beam."""

import gzip
import json
import tarfile
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.components import StatisticsGen
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

import babelrank  # noqa: F401  (before TensorFlow)
from babelrank.components.artifacts import Quarantine
from babelrank.components.config import from_dict
from babelrank.components.errors import BadRowsError, ConfigError, InputError
from babelrank.components.ingest.config import IngestConfig, SpansConfig
from babelrank.components.ingest.driver import resolve_properties
from babelrank.components.ingest.summary import Summary
from babelrank.components.translation.config import DataConfig, SplitsConfig
from babelrank.components.translation.example_gen import Executor, ParallelTextExampleGen

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
FEATURES = ("source", "target", "origin", "source_length")
LENIENT = IngestConfig(max_bad_fraction=1.0)


def data_config(**keys):
    return from_dict(DataConfig, {"source": "en", "target": "de"} | keys, "data")


def split_config(**keys):
    return from_dict(SplitsConfig, {"eval": 0.2, "test": 0.2} | keys, "splits")


class Run:
    """One run of driver and executor; what it left behind."""

    def __init__(self, folder, data, splits=None, spans=None, ingest=LENIENT, beam_args=()):
        component = ParallelTextExampleGen(data, splits or split_config(), spans, ingest)
        config = component.exec_properties["config"]
        properties = {"config": config} | resolve_properties(json.loads(config))
        self.examples, self._quarantine = standard_artifacts.Examples(), Quarantine()
        self.examples.uri = str(folder / "examples")
        self._quarantine.uri = str(folder / "quarantine")
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=["--runner=DirectRunner", *beam_args],
            tmp_dir=str(folder / "tmp"),
            unique_id="1",
        )
        output = {"examples": [self.examples], "quarantine": [self._quarantine]}
        Executor(context).Do({}, output, properties)
        self.files = {path.name for path in Path(self._quarantine.uri).rglob("*")}
        self.summary = Summary.from_json(
            Path(self._quarantine.uri, "summary.json").read_text(encoding="utf-8")
        )

    def records(self, split):
        """The split's examples as tuples of texts, in the order of files."""
        found = []
        for path in sorted(Path(self.examples.uri, f"Split-{split}").glob("*")):
            for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                assert set(features) == set(FEATURES)
                values = [features[name].bytes_list.value for name in FEATURES]
                found.append(tuple(value.decode() for (value,) in values))
        return found

    def pairs(self, *splits):
        return [record[:2] for split in splits for record in self.records(split)]

    @property
    def quarantine(self):
        lines = []
        for path in sorted(Path(self._quarantine.uri).glob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return lines


ALL = ("train", "eval", "test")


def write(path, *pairs):
    text = "".join(f"{source}\t{target}\tCC-BY\n" for source, target in pairs).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def numbered(start, stop, word="house"):
    return [(f"{word} number {i} .", f"Haus Nummer {i} .") for i in range(start, stop)]


def test_a_file(tmp_path):
    good = numbered(0, 200)
    odd = [("one\u00a0two", "eins  zwei"), ("", "leer"), ("same", "same"), good[7]]
    write(tmp_path / "a.tsv.gz", *good, *odd)
    run = Run(tmp_path, data_config(path=f"{tmp_path}/*.tsv.gz"))
    assert sorted(run.pairs(*ALL)) == sorted([*good, ("one two", "eins zwei")])
    assert {record[2:] for record in run.records("train")} == {("a.tsv.gz", "01-05")}
    sizes = [len(run.records(split)) for split in ALL]
    assert all(
        abs(size - share * 201) < 25 for size, share in zip(sizes, (0.6, 0.2, 0.2), strict=True)
    )
    summary = run.summary
    assert (summary.read, summary.dropped) == (204, {"duplicate": 1})
    assert summary.quarantined == {"empty_source": 1, "identical": 1}
    assert summary.written == dict(zip(ALL, sizes, strict=True))
    assert [(line["position"], line["reason"], line["raw"]) for line in run.quarantine] == [
        ("line 202", "empty_source", "\tleer\tCC-BY"),
        ("line 203", "identical", "same\tsame\tCC-BY"),
    ]
    assert run.examples.split_names == '["train", "eval", "test"]'
    assert run.files == {"summary.json", "quarantine-00000.jsonl"}


def test_no_source_stands_on_two_sides(tmp_path):
    several = [(f"s{i % 60}", f"t{i}") for i in range(300)]
    write(tmp_path / "a.tsv", *several)
    write(tmp_path / "b.tsv", *[(f" s{i % 60} ", f"u{i}") for i in range(300)])
    run = Run(tmp_path, data_config(path=f"{tmp_path}/*.tsv"))
    sides = [{source for source, _ in run.pairs(split)} for split in ALL]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 60
    assert sum(run.summary.written.values()) == 600


@pytest.mark.parametrize(
    "beam_args",
    [
        ["--direct_running_mode=in_memory", "--direct_num_workers=1"],
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    ],
)
def test_repetitions_in_several_files(tmp_path, beam_args):
    write(tmp_path / "a.tsv", *numbered(0, 50), *numbered(40, 50))
    write(tmp_path / "b.tsv", *numbered(30, 70))
    write(tmp_path / "c.tsv", *numbered(60, 80), *numbered(0, 5), ("same", "same"))
    run = Run(tmp_path, data_config(path=f"{tmp_path}/*.tsv"), beam_args=beam_args)
    assert sorted(run.pairs(*ALL)) == sorted(numbered(0, 80))
    origins = {}
    for split in ALL:
        for source, _, origin, _ in run.records(split):
            origins[int(source.split()[2])] = origin
    # The first file that has a pair keeps it.
    assert [origins[i] for i in (0, 49, 50, 69, 70)] == ["a.tsv"] * 2 + ["b.tsv"] * 2 + ["c.tsv"]
    assert (run.summary.read, run.summary.dropped) == (126, {"duplicate": 45})
    assert run.summary.quarantined == {"identical": 1}
    assert run.files == {"summary.json", "quarantine-00002.jsonl"}  # nothing else is left


def test_repetitions_may_be_kept(tmp_path):
    write(tmp_path / "a.tsv", *numbered(0, 60), *numbered(0, 60))
    data = data_config(path=f"{tmp_path}/*.tsv", cleaning={"duplicates": "keep"})
    run = Run(tmp_path, data)
    assert (sum(run.summary.written.values()), run.summary.dropped) == (120, {})


def test_explicit_files_side_by_side(tmp_path):
    write(tmp_path / "a.tsv", *numbered(0, 100), ("same", "same"))
    dev = [*numbered(0, 3), ("same", "same"), ("same", "same"), ("x" * 3000, "y")]
    (tmp_path / "dev.en").write_text("\n".join(source for source, _ in dev))
    (tmp_path / "dev.de").write_text("\n".join(target for _, target in dev) + "\n")
    write(tmp_path / "test.txt", *numbered(200, 202), numbered(5, 6)[0])
    explicit = {
        "eval": {"source": f"{tmp_path}/dev.en", "target": f"{tmp_path}/dev.de"},
        "test": f"{tmp_path}/test.txt",
    }
    run = Run(tmp_path, data_config(path=f"{tmp_path}/*.tsv"), split_config(explicit=explicit))
    assert run.pairs("eval") == dev  # whole, in order
    assert run.pairs("test") == [*numbered(200, 202), *numbered(5, 6)]
    assert run.pairs("train") == [*numbered(3, 5), *numbered(6, 100)]
    assert run.summary.dropped == {"in_eval_or_test": 4}
    assert run.summary.quarantined == {"identical": 1}


def test_an_explicit_test_file_and_a_fraction_for_eval(tmp_path):
    write(tmp_path / "a.tsv", *numbered(0, 100))
    write(tmp_path / "test.txt", *numbered(0, 50))
    splits = split_config(explicit={"test": f"{tmp_path}/test.txt"})
    run = Run(tmp_path, data_config(path=f"{tmp_path}/*.tsv"), splits)
    # Neither train nor eval has a source of test.
    assert sorted(run.pairs("train", "eval")) == sorted(numbered(50, 100))
    assert len(run.pairs("eval")) > 3
    assert run.summary.dropped == {"in_eval_or_test": 50}


def test_a_window_of_spans_keeps_sources_on_one_side(tmp_path):
    for span, rows in (("1", numbered(0, 60)), ("2", numbered(30, 90))):
        (tmp_path / span).mkdir()
        write(tmp_path / span / "a.tsv", *rows)
    data = data_config(path=f"{tmp_path}/{{SPAN}}/a.tsv")
    run = Run(tmp_path, data, spans=SpansConfig(window=2))
    assert sorted(run.pairs(*ALL)) == sorted(numbered(0, 90))
    assert 5 < len(run.pairs("test")) < 35


def test_moses(tmp_path):
    for part, rows in (("1", numbered(0, 50)), ("2", numbered(50, 90))):
        (tmp_path / f"{part}.en").write_text("".join(f"{source}\n" for source, _ in rows))
        text = "".join(f"{target}\n" for _, target in rows).encode()
        (tmp_path / f"{part}.de.gz").write_bytes(gzip.compress(text))
    data = data_config(
        format="moses",
        source={"language": "en", "path": f"{tmp_path}/*.en"},
        target={"language": "de", "path": f"{tmp_path}/*.de.gz"},
    )
    run = Run(tmp_path, data)
    assert sorted(run.pairs(*ALL)) == sorted(numbered(0, 90))
    assert {record[2] for record in run.records("train")} == {"1.en", "2.en"}
    with (tmp_path / "2.en").open("a") as file:
        file.write("one more\n")
    with pytest.raises(InputError, match=r"2\.en has 41 lines and .*2\.de\.gz has 40"):
        Run(tmp_path / "again", data)


def test_a_language_without_spaces(tmp_path):
    write(tmp_path / "a.tsv", *[("中" * (i + 1), f"house {i}") for i in range(60)])
    data = data_config(
        path=f"{tmp_path}/a.tsv",
        source="zh-Hans",
        target="en",
        cleaning={"max_length_ratio": None},
    )
    run = Run(tmp_path, data)
    found = {len(source): bucket for split in ALL for source, _, _, bucket in run.records(split)}
    assert [found[length] for length in (10, 11, 40, 41)] == ["01-10", "11-20", "21-40", "41-80"]


def test_the_gate(tmp_path):
    write(tmp_path / "a.tsv", *numbered(0, 90), *[(f"Tom {i}", f"Tom {i}") for i in range(10)])
    with pytest.raises(BadRowsError, match=r"10 of 100 rows are bad[\s\S]*identical: 10 rows"):
        Run(tmp_path, data_config(path=f"{tmp_path}/a.tsv"), ingest=IngestConfig())


def test_a_file_in_two_splits(tmp_path):
    write(tmp_path / "a.tsv", *numbered(0, 9))
    splits = split_config(explicit={"eval": f"{tmp_path}/a.tsv"})
    with pytest.raises(ConfigError, match=r"splits\.explicit\.eval: .*a\.tsv is also read by data"):
        Run(tmp_path, data_config(path=f"{tmp_path}/*.tsv"), splits)


def test_the_pairs_of_a_run_do_not_depend_on_the_order_of_lines(tmp_path):
    rows = numbered(0, 200)
    found = []
    for name, lines in (("x", rows), ("y", rows[::-1])):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.tsv", *lines)
        run = Run(tmp_path / name, data_config(path=f"{tmp_path}/{name}/a.tsv"))
        found.append({split: set(run.pairs(split)) for split in ALL})
    assert found[0] == found[1]


def test_beside_a_stock_component(tmp_path):
    component = ParallelTextExampleGen(data_config(path="x.tsv"))
    StatisticsGen(examples=component.outputs["examples"])
    assert json.loads(component.exec_properties["config"])["inputs"]["files"][0]["path"] == "x.tsv"


@pytest.fixture
def shared(request):
    folder = SHARED / request.param
    if not folder.is_dir():
        pytest.skip(f"needs the data set {request.param} in {SHARED}, not part of the repository")
    return folder


@pytest.mark.parametrize("shared", ["tatoeba_deu_eng"], indirect=True)
def test_tatoeba_has_nothing_to_refuse(tmp_path, shared):
    run = Run(tmp_path, data_config(path=f"{shared}/*.tsv.gz"), ingest=IngestConfig())
    assert run.summary.read == sum(run.summary.written.values()) == 169_813


@pytest.mark.parametrize("shared", ["bible_eng_spa"], indirect=True)
def test_bible(tmp_path, shared):
    sides = {name: {"language": name, "column": name} for name in ("en", "es")}
    data = data_config(path=f"{shared}/*.tsv.gz", source=sides["en"], target=sides["es"])
    run = Run(tmp_path, data, ingest=IngestConfig())
    assert run.summary.read == 31_084
    assert run.summary.quarantined == {"identical": 1, "length_ratio": 3}
    assert any(line["raw"].startswith("Job 39:30\t") for line in run.quarantine)  # misaligned


@pytest.mark.parametrize("language", ["ja", "ar"])
@pytest.mark.parametrize("shared", ["django_po"], indirect=True)
def test_django(tmp_path, shared, language):
    with tarfile.open(shared / "django-po.tar.gz") as archive:
        archive.extractall(tmp_path / "po", filter="data")
    path = f"{tmp_path}/po/**/locale/{language}/LC_MESSAGES/*.po"
    run = Run(tmp_path, data_config(path=path, format="po", target=language))
    assert 850 < sum(run.summary.written.values()) < 900
    assert set(run.summary.quarantined) <= {"identical", "length_ratio"}
    assert run.summary.quarantined["identical"] < 25
    sources = [source for source, _ in run.pairs(*ALL)]
    assert sum("%(" in source for source in sources) > 50
