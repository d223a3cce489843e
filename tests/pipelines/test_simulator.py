"""Tests of the click-log simulator and of the optimum that it states."""

import csv
import dataclasses
import gzip
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError, InputError
from babelrank.components.ranking.config import DataConfig, ModelConfig, TransformConfig
from babelrank.pipelines.click_world import (
    POSITIONS,
    create_world,
    draw_rows,
    draw_truth,
    generator,
    item_factors,
)
from babelrank.pipelines.optimum import Truth, auc, concatenate
from babelrank.pipelines.simulator import (
    COLUMNS,
    MALFORMATIONS,
    MANIFEST_NAME,
    Simulation,
    SimulatorConfig,
    configuration,
    simulate,
)

SMALL = SimulatorConfig(
    users=50, items=20, rows_per_span=1_200, spans=2, malformed_fraction=0.01, quoted_titles=0.05
)


def read(path: Path) -> list[list[str]]:
    """The data rows of a file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    return rows


def truth_of(config: SimulatorConfig, span: int = 1) -> Truth:
    """Labels and probabilities of a span, malformed rows included."""
    world, rng = create_world(config), generator(config, span, 1)
    factors = item_factors(config, world, span)
    return draw_truth(config, draw_rows(config, world, factors, config.rows_per_span, rng), rng)


def contents(simulation: Simulation) -> list[bytes]:
    return [path.read_bytes() for path in simulation.files]


def is_good(row: list[str]) -> bool:
    return (
        len(row) == len(COLUMNS)
        and row[-1] in ("0", "1")
        and row[4] != "cheap"
        and ("T25" not in row[0])
    )


# The files


def test_rows_and_malformed_kinds_are_counted(tmp_path: Path) -> None:
    simulation = simulate(SMALL, tmp_path)
    assert simulation.rows == (1_200, 1_200)
    # 1 % of 1,200 is 12: two of each of the six kinds, in each of two spans.
    assert simulation.malformed == dict.fromkeys(MALFORMATIONS, 4)
    rows = [row for path in simulation.files for row in read(path)]
    assert len(rows) == 2_400
    assert Counter(map(len, rows)) == {10: 2_392, 8: 4, 11: 4}
    assert Counter(row[-1] for row in rows if len(row) == 10 and row[-1] not in "01") == {"2": 4}
    assert sum(row[-1] == "" for row in rows) == 4
    assert sum(row[4] == "cheap" for row in rows) == 4
    assert sum(row[0].endswith("T25:61:00Z") for row in rows) == 4
    assert sum(map(is_good, rows)) == simulation.optimum.rows == 2_376


def test_good_rows_are_what_they_should_be(tmp_path: Path) -> None:
    simulation = simulate(SMALL, tmp_path)
    for number, path in enumerate(simulation.files, start=1):
        assert path == tmp_path / f"span-{number}" / "clicks.csv.gz"
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in read(path) if is_good(row)]
        times = [row["ts"] for row in rows]
        assert times == sorted(times)
        assert {time[:11] for time in times} == {f"2024-01-0{number}T"}
        assert all(len(time) == 20 and time.endswith("Z") for time in times)
        assert {row["position"] for row in rows} == {str(k) for k in range(1, POSITIONS + 1)}
        assert sum(row["clicked"] == "1" for row in rows) == simulation.spans[number - 1].clicks
        assert 0 < sum(row["price"] == "" for row in rows) < 60
        assert all(1 <= len(row["tags"].split("|")) <= 3 for row in rows)
        nasty = [row["title"] for row in rows if "\n" in row["title"]]
        assert 30 < len(nasty) < 90
        assert all(', the "best" one\n(new edition)' in title for title in nasty)


def test_stray_quotes_are_off_unless_asked_for(tmp_path: Path) -> None:
    assert "stray_quote" not in simulate(SMALL, tmp_path / "off").malformed
    config = dataclasses.replace(SMALL, spans=1, stray_quotes=True, malformed_fraction=7 / 1_200)
    simulation = simulate(config, tmp_path / "on")
    assert simulation.malformed == dict.fromkeys([*MALFORMATIONS, "stray_quote"], 1)
    assert gzip.decompress(contents(simulation)[0]).count(b',"never closed,') == 1


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    first = simulate(SMALL, tmp_path / "a")
    second = simulate(SMALL, tmp_path / "b")
    other = simulate(dataclasses.replace(SMALL, seed=1), tmp_path / "c")
    assert contents(first) == contents(second)
    assert first == dataclasses.replace(second, directory=first.directory)
    assert contents(first) != contents(other)


def test_more_spans_leave_the_first_ones_as_they_are(tmp_path: Path) -> None:
    short = simulate(SMALL, tmp_path / "a")
    long = simulate(dataclasses.replace(SMALL, spans=3), tmp_path / "b")
    assert contents(long)[:2] == contents(short)
    assert long.spans[:2] == short.spans


# Repetition


def test_second_call_rewrites_nothing(tmp_path: Path) -> None:
    first = simulate(SMALL, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert simulate(SMALL, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_lost_or_damaged_files_are_written_again(tmp_path: Path) -> None:
    first = simulate(SMALL, tmp_path)
    expected = contents(first)
    first.files[0].unlink()
    first.files[1].write_bytes(expected[1][:100])
    assert simulate(SMALL, tmp_path) == first
    assert contents(first) == expected


def test_crash_in_the_middle_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = contents(simulate(SMALL, tmp_path / "whole"))
    from babelrank.pipelines import simulator

    write, calls = simulator._write_gzip, []

    def crash_at_second(path: Path, records: list[tuple[str, ...]]) -> str:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(path, records)

    monkeypatch.setattr(simulator, "_write_gzip", crash_at_second)
    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "cut")
    monkeypatch.undo()
    assert contents(simulate(SMALL, tmp_path / "cut")) == expected


def test_other_configuration_replaces_all_earlier_spans(tmp_path: Path) -> None:
    simulate(SMALL, tmp_path)
    simulate(dataclasses.replace(SMALL, spans=1, seed=1), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST_NAME, "span-1"]
    assert [path.name for path in (tmp_path / "span-1").iterdir()] == ["clicks.csv.gz"]


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "span-2" / "clicks.csv.gz"
    foreign.parent.mkdir()
    foreign.write_bytes(b"precious")
    with pytest.raises(InputError, match=r"span-2/clicks.csv.gz: exists, and the simulator did"):
        simulate(SMALL, tmp_path)
    assert foreign.read_bytes() == b"precious"
    assert not (tmp_path / "span-1").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"files": {"../precious": ""}}'])
def test_broken_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(InputError, match="not a manifest of the simulator"):
        simulate(SMALL, tmp_path)


def test_manifest_holds_the_optimum(tmp_path: Path) -> None:
    simulation = simulate(SMALL, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST_NAME).read_text())
    assert manifest["simulation"]["optimum"]["served"]["auc"] == simulation.optimum.served.auc
    assert manifest["config"]["users"] == 50


# The optimum


def test_auc_by_hand() -> None:
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    # Of four pairs, (1, 0), (3, 0) and (3, 2) are right.
    assert auc(np.array([0.1, 0.2, 0.3, 0.4]), labels) == 0.75
    # Rows 1 and 2 tie: half a pair more.
    assert auc(np.array([0.1, 0.2, 0.2, 0.4]), labels) == 0.875
    assert auc(np.zeros(4), labels) == 0.5


def test_expected_auc_by_hand() -> None:
    # Right with probability .9 * .9, wrong with .1 * .1, else no pair.
    p = np.array([0.9, 0.1])
    assert auc(p, p) == pytest.approx(0.81 / 0.82)
    assert auc(np.zeros(2), p) == pytest.approx(0.5)


def test_auc_without_pairs_is_nan() -> None:
    assert math.isnan(auc(np.array([0.1, 0.2]), np.ones(2)))
    assert math.isnan(auc(np.zeros(0), np.zeros(0)))


@pytest.mark.parametrize("view", ["known_position", "served", "marginal"])
def test_optimum_is_that_of_scikit_learn(tmp_path: Path, view: str) -> None:
    config = dataclasses.replace(SMALL, malformed_fraction=0.0)
    simulation = simulate(config, tmp_path)
    truths = [truth_of(config, span) for span in (1, 2)]
    written = [row[-1] for path in simulation.files for row in read(path)]
    everything = concatenate(truths)
    assert everything.label.tolist() == [float(label) for label in written]
    scores = getattr(everything, view)
    stated = getattr(simulation.optimum, view)
    assert stated.auc == pytest.approx(roc_auc_score(everything.label, scores))
    assert stated.log_loss == pytest.approx(log_loss(everything.label, scores))
    assert getattr(simulation.spans[1], view).auc == pytest.approx(
        roc_auc_score(truths[1].label, getattr(truths[1], view))
    )
    # The last 10 % of 2,400 and of 1,200 rows.
    assert getattr(simulation.last, view).auc == pytest.approx(
        roc_auc_score(everything.label[-240:], scores[-240:])
    )
    assert getattr(simulation.last_of_spans[0], view).auc == pytest.approx(
        roc_auc_score(truths[0].label[-120:], getattr(truths[0], view)[-120:])
    )


def test_probability_is_the_documented_formula() -> None:
    config = dataclasses.replace(SMALL, taste=0, popularity=0, item_effect=0, price_effect=0)
    world, rng = create_world(config), generator(config, 1, 1)
    rows = draw_rows(config, world, item_factors(config, world, 1), 100, rng)
    truth = draw_truth(config, rows, rng)
    peak = {0: 11, 1: 21, 2: 16}[int(rows.device[7])]
    day = math.cos(2 * math.pi * (int(rows.second[7]) // 3600 - peak) / 24)
    logit = world.bias + config.hour_effect * day
    assert truth.served[7] == pytest.approx(1 / (1 + math.exp(-logit)))
    logit -= config.position_bias * math.log(rows.position[7])
    assert truth.known_position[7] == pytest.approx(1 / (1 + math.exp(-logit)))


def test_expected_and_drawn_optimum_agree() -> None:
    config = SimulatorConfig(rows_per_span=40_000)
    optimum = truth_of(config).optimum()
    for score in (optimum.known_position, optimum.served):
        assert score.auc == pytest.approx(score.expected_auc, abs=0.01)
    assert optimum.clicks / optimum.rows == pytest.approx(config.base_click_rate, abs=0.015)
    assert 0.75 < optimum.served.expected_auc < 0.8


def test_knowing_the_position_helps_only_with_position_bias() -> None:
    biased = truth_of(SMALL).optimum()
    assert biased.known_position.expected_auc > biased.served.expected_auc
    assert biased.marginal.expected_auc == pytest.approx(biased.served.expected_auc)
    assert biased.known_position.log_loss < biased.marginal.log_loss < biased.served.log_loss
    flat = truth_of(dataclasses.replace(SMALL, position_bias=0.0)).optimum()
    assert flat.known_position == flat.served


def test_optimum_falls_as_noise_rises() -> None:
    aucs = [
        truth_of(dataclasses.replace(SMALL, noise=noise)).optimum().served.expected_auc
        for noise in (0.0, 0.3, 0.6, 1.0)
    ]
    assert aucs[0] > aucs[1] > aucs[2] > aucs[3]
    assert aucs[3] == pytest.approx(0.5)


def test_without_any_effect_nothing_can_be_known() -> None:
    config = dataclasses.replace(
        SMALL,
        taste=0.0,
        popularity=0.0,
        item_effect=0.0,
        price_effect=0.0,
        hour_effect=0.0,
        position_bias=0.0,
        base_click_rate=0.2,
    )
    truth = truth_of(config)
    np.testing.assert_allclose(truth.known_position, 0.2)
    assert truth.optimum().known_position.expected_auc == pytest.approx(0.5)


def test_drift_moves_item_factors_from_span_to_span() -> None:
    still, world = SMALL, create_world(SMALL)
    np.testing.assert_array_equal(item_factors(still, world, 1), item_factors(still, world, 3))
    large = dataclasses.replace(SMALL, items=2_000)

    def similarity(drift: float) -> float:
        config = dataclasses.replace(large, drift=drift)
        world = create_world(config)
        first, second = (item_factors(config, world, span).ravel() for span in (1, 2))
        return float(np.corrcoef(first, second)[0, 1])

    assert similarity(0.0) == pytest.approx(1.0)
    assert similarity(0.6) == pytest.approx(0.8, abs=0.06)  # sqrt(1 - 0.6 ** 2)
    assert similarity(1.0) == pytest.approx(0.0, abs=0.06)


def test_drift_changes_later_spans_only(tmp_path: Path) -> None:
    still = simulate(SMALL, tmp_path / "a")
    drifting = simulate(dataclasses.replace(SMALL, drift=0.5), tmp_path / "b")
    assert contents(still)[0] == contents(drifting)[0]
    assert contents(still)[1] != contents(drifting)[1]


# Configuration


def test_configuration_is_valid_and_names_the_columns(tmp_path: Path) -> None:
    plain = configuration(tmp_path)
    data = from_dict(DataConfig, plain["data"])
    from_dict(TransformConfig, plain["transform"])
    from_dict(ModelConfig, plain["model"])
    assert data.path == f"{tmp_path}/span-{{SPAN}}/clicks.csv.gz"
    assert data.path.replace("{SPAN}", "1") == str(simulate(SMALL, tmp_path).files[0])
    assert {*data.features, data.label.column, data.timestamp} == {*COLUMNS} - {"title"}
    assert data.training_only == {"position": "1"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("users", 0, r"users: got 0; takes 1 or more"),
        ("seed", -1, r"seed: got -1; takes 0 or more"),
        ("taste", math.inf, r"taste: got inf; takes 0 or more"),
        ("drift", 1.5, r"drift: got 1.5; takes 0 <= x <= 1"),
        ("noise", math.nan, r"noise: got nan; takes 0 <= x <= 1"),
        ("base_click_rate", 0.0, r"base_click_rate: got 0.0; takes 0 < x < 1"),
        ("start", "yesterday", r"start: got 'yesterday'; takes a day: 2024-01-31"),
    ],
)
def test_bad_values_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SimulatorConfig(**{field: value})  # type: ignore[arg-type]
