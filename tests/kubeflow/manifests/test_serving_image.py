"""What the server's Dockerfile promises, where it is not the same file as the other one."""

from __future__ import annotations

import re

from tests.kubeflow.manifests.test_image import given, hashed, pins, stages
from tests.kubeflow.manifests.tools import K8S, PROJECT

FILE = "serving/Dockerfile"
LOCK = PROJECT / "requirements-serve.lock"


def test_runs_the_server_as_a_user_with_a_number() -> None:
    final = stages(FILE)[-1]
    assert given(final, "USER") == ["10001:10001"]
    assert given(final, "ENTRYPOINT") == ['["tini", "--", "babelrank", "serve"]']
    assert "TF_USE_LEGACY_KERAS=1" in " ".join(given(final, "ENV"))


def test_has_no_build_tools_in_the_end() -> None:
    base, *_, runtime, final = stages(FILE)
    installed = " ".join(given(base, "RUN") + given(final, "RUN"))
    assert given(runtime, "RUN") == ["python3 -m pip uninstall --yes setuptools wheel"]
    assert "--from=runtime /opt/babelrank /opt/babelrank" in given(final, "COPY")
    assert not re.search(r"g\+\+|gcc|make|-dev|pip|venv", installed)


def test_only_what_is_needed_is_sent_to_the_builder() -> None:
    lines = (K8S / f"{FILE}.dockerignore").read_text("utf-8").splitlines()
    copied = {
        word
        for stage in stages(FILE)
        for rest in given(stage, "COPY")
        if not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    assert "*" in lines
    assert copied == {line[1:] for line in lines if line.startswith("!")}


def test_every_pin_has_a_hash_and_no_host() -> None:
    text = LOCK.read_text("utf-8")
    assert hashed(text) == len(re.findall(r"^[a-z0-9.-]+==", text, re.MULTILINE)) > 50
    assert "://" not in text


def test_serves_with_the_tensorflow_of_the_image_that_trains() -> None:
    """A SavedModel may hold operations that an older TensorFlow does not know."""
    trains = pins((K8S / "requirements.lock").read_text("utf-8"))
    serves = pins(LOCK.read_text("utf-8"))
    for name in ("tensorflow", "tensorflow-text"):
        assert serves[name] == trains[name]
    assert "tfx" not in serves
