"""The checks that two runners did the same, for the tests of each runner."""

from __future__ import annotations

from tests.beam.outcome import Outcome

SPLITS = {"Split-train", "Split-eval", "Split-test"}
KINDS = ("model", "vocab.txt")


def same_ingest(direct: Outcome, other: Outcome) -> None:
    """The same examples on the same sides, and the same quarantine."""
    examples = direct.examples("Ingest", "examples")
    assert set(examples) == SPLITS
    assert other.examples("Ingest", "examples") == examples
    quarantine = direct.files("Ingest", "quarantine", "**/*.json*")
    assert "summary.json" in quarantine
    assert len(quarantine) > 1
    assert other.files("Ingest", "quarantine", "**/*.json*") == quarantine
    assert not [path for path in other.folder("Ingest", "examples").glob(".*")]
    assert not [path for path in other.folder("Ingest", "quarantine").glob(".*")]


def same_statistics(direct: Outcome, other: Outcome) -> None:
    """TFDV's figures of the raw examples."""
    assert set(direct.statistics()) == SPLITS
    assert other.statistics() == direct.statistics()


def same_vocabulary(direct: Outcome, other: Outcome) -> None:
    """Subword models byte for byte, and what is said of them."""
    files, summary = direct.vocabulary()
    assert set(files) == {f"{side}.{kind}" for side in ("source", "target") for kind in KINDS}
    assert other.vocabulary() == (files, summary)


def same_transform(direct: Outcome, other: Outcome, pattern: str) -> None:
    """Transformed examples, and the files beside the graph that match the pattern."""
    examples = direct.examples("Transform", "transformed_examples")
    assert set(examples) == {"Split-train", "Split-eval"}
    assert other.examples("Transform", "transformed_examples") == examples
    files = direct.files("Transform", "transform_graph", pattern)
    assert files
    assert other.files("Transform", "transform_graph", pattern) == files
