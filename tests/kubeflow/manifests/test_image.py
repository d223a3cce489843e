"""What the Dockerfile promises: order of layers, no tools in the end, a user, pinned packages."""

from __future__ import annotations

import re
import tomllib

from tests.kubeflow.manifests.tools import K8S, PROJECT

Stage = list[tuple[str, str]]
"""The instructions of a stage and what they are given."""


def stages(file: str = "Dockerfile") -> list[Stage]:
    text = (K8S / file).read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found: list[Stage] = [[]]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            if name == "FROM":
                found.append([])
            found[-1].append((name, " ".join(rest.split())))
    return found[1:]


def given(stage: Stage, name: str) -> list[str]:
    return [rest for instruction, rest in stage if instruction == name]


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))


def hashed(text: str) -> int:
    return len(re.findall(r"^[a-z0-9.-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE))


def test_runs_as_a_user_with_a_number() -> None:
    assert given(stages()[-1], "USER") == ["10001:10001"]


def test_starts_commands_under_an_init() -> None:
    final = stages()[-1]
    assert given(final, "ENTRYPOINT") == ['["tini", "--"]']
    assert given(final, "CMD") == ['["babelrank", "--help"]']


def test_uses_keras_2() -> None:
    assert "TF_USE_LEGACY_KERAS=1" in " ".join(given(stages()[-1], "ENV"))


def test_has_no_build_tools_in_the_end() -> None:
    base, *_, runtime, final = stages()
    installed = " ".join(given(base, "RUN") + given(final, "RUN"))
    assert "apt-get install" in installed
    assert given(runtime, "RUN") == ["python3 -m pip uninstall --yes setuptools wheel"]
    assert not re.search(r"g\+\+|gcc|make|-dev|pip|venv", installed)
    assert "rm -rf /var/lib/apt/lists" in installed


def test_a_change_of_the_code_installs_no_dependency() -> None:
    build, project, _, final = stages()[1:]
    for stage in (build, final):
        assert all(not rest.startswith("babelrank") for rest in given(stage, "COPY"))
    assert any("--require-hashes --no-deps -r" in rest for rest in given(build, "RUN"))
    assert any("--no-deps --no-build-isolation" in rest for rest in given(project, "RUN"))
    assert given(final, "COPY") == [
        "--from=runtime /opt/babelrank /opt/babelrank",
        "--from=project /project /opt/babelrank",
    ]


def test_has_the_projects_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"VERSION={project['version']}" in given(stages()[-1], "ARG")
    used = re.compile(r"babelrank:(\d[\d.]*)|newTag: (\d[\d.]*)")
    files = [path for path in K8S.rglob("*") if path.suffix in (".yaml", ".md", "")]
    texts = [path.read_text("utf-8") for path in files if path.is_file()]
    versions = {version for text in texts for pair in used.findall(text) for version in pair}
    assert versions - {""} == {project["version"]}


def test_locks_agree() -> None:
    project = (PROJECT / "requirements.lock").read_text("utf-8")
    image = (K8S / "requirements.lock").read_text("utf-8")
    gpu = (K8S / "requirements-gpu.lock").read_text("utf-8")
    everywhere = set(re.findall(r"^([a-z0-9.-]+==[^\s;]+)", project, re.MULTILINE))
    assert {f"{name}=={version}" for name, version in pins(image).items()} <= everywhere
    assert {"tfx", "tensorflow", "kfp"} <= pins(image).keys()
    assert not {"pytest", "mypy", "ruff", "import-linter"} & pins(image).keys()
    assert all(name.startswith("nvidia-") for name in pins(gpu))
    assert "nvidia-cudnn-cu12" in pins(gpu)
    assert hashed(image) == len(pins(image))
    assert hashed(gpu) == len(pins(gpu))


def test_only_what_is_needed_is_sent_to_the_builder() -> None:
    lines = (PROJECT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = [
        word
        for stage in stages()
        for rest in given(stage, "COPY")
        if not rest.startswith("--from")
        for word in rest.split()[:-1]
    ]
    assert set(copied) == kept
