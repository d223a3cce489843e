"""Tests of the Pusher: what it pushes, what it does not, and what it says about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from tfx.dsl.components.base import base_executor
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts

from babelrank.components.serving.check.component import bless
from babelrank.components.serving.check.report import CheckFinding, CheckReport
from babelrank.components.serving.manifest import Manifest, digest, verify
from babelrank.components.serving.push import Executor
from babelrank.components.serving.versions import Ledger, RolledBack, versions


class Pushing:
    """A model, its blessing, and the folder of versions."""

    def __init__(self, folder: Path) -> None:
        self.serving = folder / "serving"
        self.model = standard_artifacts.Model()
        self.model.uri = str(folder / "model")
        self.path = folder / "model" / "Format-Serving"
        self.path.mkdir(parents=True)
        (self.path / "saved_model.pb").write_text("one")
        self.blessing = standard_artifacts.ModelBlessing()
        self.blessing.set_int_custom_property("blessed", 1)
        self.gates = [self.blessing]
        self.check: list[Any] = []

    def checked(self, ok: bool, warmup: str = "") -> None:
        """Adds the blessing of a serving check."""
        check = standard_artifacts.InfraBlessing()
        check.uri = str(self.serving.parent / "check")
        folder = Path(check.uri)
        folder.mkdir()
        finding = CheckFinding(ok=ok, text="score is [nan] in row 0.")
        bless(check, CheckReport(ok=ok, findings=(finding,), command="babelrank check /m"))
        if warmup:
            (folder / "tf_serving_warmup_requests").write_text(warmup)
        self.check = [check]

    def push(self, custom: dict[str, Any] | None = None) -> Any:
        """Runs the executor; returns the artifact that it makes."""
        pushed = standard_artifacts.PushedModel()
        where = pusher_pb2.PushDestination()
        where.filesystem.base_directory = str(self.serving)
        Executor(base_executor.BaseExecutor.Context(pipeline_run_id="run-1")).Do(
            {
                "model": [self.model],
                "model_blessing": self.gates,
                "infra_blessing": self.check,
            },
            {"pushed_model": [pushed]},
            {
                "push_destination": json_format.MessageToJson(where),
                "custom_config": json.dumps(custom),
            },
        )
        return pushed


@pytest.fixture
def pushing(tmp_path: Path) -> Pushing:
    return Pushing(tmp_path)


def test_a_blessed_model_is_pushed_with_what_the_gate_measured(pushing: Pushing):
    pushing.blessing.set_string_custom_property("spans", "[3, 4]")
    pushing.blessing.set_string_custom_property("metrics", '{"auc": 0.75}')
    pushed = pushing.push({"enabled": True})
    (version,) = versions(pushing.serving)
    manifest = Manifest.of(version)
    assert manifest is not None
    assert (manifest.run_id, manifest.spans, manifest.metrics) == ("run-1", (3, 4), {"auc": 0.75})
    assert manifest.source == str(pushing.path)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(version)
    assert pushed.get_string_custom_property("digest") == manifest.digest == digest(pushing.path)
    assert pushed.get_int_custom_property("new_version") == 1
    again = pushing.push()
    assert (again.get_int_custom_property("pushed"), versions(pushing.serving)) == (1, [version])
    assert again.get_int_custom_property("new_version") == 0


def test_the_manifest_says_that_the_blessing_was_forced(pushing: Pushing):
    pushing.blessing.set_string_custom_property("forced", "a holiday")
    pushing.push()
    (version,) = versions(pushing.serving)
    manifest = Manifest.of(version)
    assert manifest is not None
    assert manifest.forced == "a holiday"


def test_what_is_not_blessed_is_not_pushed(pushing: Pushing):
    pushing.blessing.set_int_custom_property("blessed", 0)
    pushed = pushing.push({"enabled": True})
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("not_pushed") == ""
    assert not pushing.serving.exists()


def test_what_cannot_be_served_is_not_pushed(pushing: Pushing):
    pushing.checked(ok=False)
    pushed = pushing.push()
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("not_pushed") == (
        "the serving check refused it: score is [nan] in row 0. Repeat it: babelrank check /m"
    )
    pushing.blessing.set_int_custom_property("blessed", 0)  # then that is the reason
    assert pushing.push().get_string_custom_property("not_pushed") == ""
    assert not pushing.serving.exists()


def test_what_another_validator_refused_is_not_pushed(pushing: Pushing):
    """As TFX's InfraValidator does, beside no gate at all."""
    check = standard_artifacts.InfraBlessing()
    check.uri = str(pushing.serving.parent)
    check.set_int_custom_property("blessed", 0)
    check.set_string_custom_property("blessing_status", "INFRA_NOT_BLESSED")
    pushing.check, pushing.gates = [check], []
    assert pushing.push().get_string_custom_property("not_pushed") == (
        "the infra validator refused it."
    )
    assert not pushing.serving.exists()


def test_requests_for_the_warmup_go_along(pushing: Pushing):
    pushing.checked(ok=True, warmup="some requests")
    assert pushing.push().get_int_custom_property("pushed") == 1
    (version,) = versions(pushing.serving)
    extra = version / "assets.extra" / "tf_serving_warmup_requests"
    assert extra.read_text() == "some requests"
    assert verify(version).warmup != ""


def test_nothing_is_pushed_where_that_is_off(pushing: Pushing):
    pushed = pushing.push({"enabled": False})
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("not_pushed") == "push.enabled is false."
    assert not pushing.serving.exists()


def test_what_was_rolled_back_does_not_come_back(pushing: Pushing):
    pushing.serving.mkdir()
    entry = RolledBack(version="12", reason="it shouts", when="2024-01-05T10:00:00+00:00")
    Ledger(rolled_back={digest(pushing.path): entry}).save(pushing.serving)
    pushed = pushing.push()
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("not_pushed") == (
        "version 12 with this very model was rolled back at 2024-01-05T10:00:00+00:00: it shouts. "
        "`babelrank rollback --to 12` would bring it back."
    )
    assert versions(pushing.serving) == []
    (pushing.path / "saved_model.pb").write_text("two")
    assert pushing.push().get_int_custom_property("pushed") == 1
