"""What the READMEs have one type is there: commands, files, images, versions."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines import cli
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.kubeflow import backfill
from babelrank.pipelines.kubeflow.compile import REPORT
from babelrank.pipelines.kubeflow.config import KubernetesConfig
from babelrank.pipelines.notify import VARIABLE
from tests.kubeflow.manifests.objects import pods, walk
from tests.kubeflow.manifests.test_configurations import configurations
from tests.kubeflow.manifests.tools import HERE, K8S, PROJECT, Document, Tools, kustomize, targets

READMES = (PROJECT / "README.md", K8S / "README.md", K8S / "flink" / "README.md")
END = {"|", "||", "&", "&&", ";", ">", ">>", "<", ")"}
"""Where a command ends for the shell."""


def text(readme: Path) -> str:
    return readme.read_text("utf-8")


def shown(readme: Path) -> list[list[str]]:
    """The arguments of each `babelrank` command in a README: in blocks, and between backquotes."""
    block = r"^```\n(.*?)^```$"
    blocks = re.findall(block, text(readme), re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```$", "", text(readme), flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", rest)]
    # Not where babelrank is the name of a namespace, a user or a database.
    found = (re.search(r"(?:^|[\s/])(?<!-n )(?<!-U )babelrank ([a-z].*)", one) for one in lines)
    return [words(one[1]) for one in found if one is not None]


def words(line: str) -> list[str]:
    """The words of a shell's first command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if word in END:
            break
        found.append(word)
    return found


def accepted(arguments: list[str]) -> bool:
    """Whether there is such a command; of one that is only mentioned, its name counts."""
    try:
        given = cli._parser().parse_args(
            arguments if len(arguments) > 1 else [*arguments, "--help"]
        )
    except SystemExit as end:
        return end.code == 0
    # What `runs` refuses by itself.
    return arguments[0] != "runs" or (given.pipeline is None) == (given.config is None)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_commands_are_there(readme: Path) -> None:
    commands = shown(readme)
    assert commands
    assert [one for one in commands if not accepted(one)] == []


def test_commands_are_found() -> None:
    names = {arguments[0] for arguments in shown(K8S / "README.md")}
    wanted = {"backfill", "clean", "compile", "retrain", "rollback", "runs", "schedule", "submit"}
    assert names == wanted | {"versions"}


@pytest.mark.parametrize(
    "line",
    [
        "compil",
        "backfill ranking --config x",
        "runs --everything",
        "runs ranking",
        "runs --config x",
    ],
)
def test_wrong_commands_are_found(line: str) -> None:
    assert not accepted(words(line))


def backfills(readme: Path) -> list[tuple[str, str]]:
    """First and last span of the backfills of the ranking pipeline."""
    given = [cli._parser().parse_args(one) for one in shown(readme) if one[0] == "backfill"]
    assert given
    assert {one.pipeline for one in given} == {"ranking"}
    return [(one.first_span, one.last_span) for one in given]


def test_backfill_fits_the_configurations(built: dict[str, list[Document]]) -> None:
    for documents in built.values():
        config = configurations(documents)["ranking.yaml"]
        for first, last in backfills(K8S / "README.md"):
            assert backfill.spans(config, first, last)
        with pytest.raises(ConfigError, match="has no days"):
            backfill.spans(config, "2026-01-01", "2026-01-10")


def test_backfill_fits_the_example() -> None:
    readme = PROJECT / "README.md"
    block = r"^```yaml\n# clicks\.yaml(.*?)^```$"
    parts = re.findall(block, text(readme), re.MULTILINE | re.DOTALL)
    assert len(parts) == 2
    data = {key: value for part in parts for key, value in yaml.safe_load("#" + part).items()}
    config = from_dict(RankingConfig, data)
    for first, last in backfills(readme):
        assert backfill.spans(config, first, last)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_files_are_there(readme: Path) -> None:
    named = set(re.findall(r"\bk8s/[\w./-]+\w", text(readme)))
    assert named
    assert [name for name in sorted(named) if not (PROJECT / name).exists()] == []


def test_images_are_those_that_pods_ask_for(built: dict[str, list[Document]]) -> None:
    asked = set()
    for documents in built.values():
        asked |= {one.get("image", "") for pod in pods(documents) for one in pod.containers}
        for config in configurations(documents).values():
            steps = config.kubernetes.steps.values()
            asked |= {config.kubernetes.image, *(step.image for step in steps if step.image)}
    ours = {name for name in asked if name.startswith("babelrank")}
    assert len(ours) == 4
    made, saved = set(), set()
    for path in (K8S / "README.md", K8S / "Dockerfile", K8S / "serving" / "Dockerfile"):
        made |= set(re.findall(r"podman build \S+ \S+ -t (\S+)", text(path)))
        saved |= set(re.findall(r"podman save (\S+)", text(path)))
    # How containerd completes a name without a registry.
    assert made == {f"docker.io/library/{name}" for name in ours}
    assert saved <= made


def test_versions_are_those_of_the_models() -> None:
    (version,) = re.findall(r"^kserve==(\d+\.\d+)", text(HERE / "models.lock"), re.MULTILINE)
    assert f"KServe ({version})" in text(K8S / "README.md")


def test_every_kustomization_is_named() -> None:
    folders = [folder for folder in targets() if folder.parent != K8S]
    assert len(folders) > 12
    assert [one.name for one in folders if f"{one.name}/" not in text(K8S / "README.md")] == []


def test_the_webhook_is_configured_as_shown() -> None:
    block = r"^```yaml\n(kubernetes:.*?)^```$"
    (shown_,) = re.findall(block, text(K8S / "README.md"), re.MULTILINE | re.DOTALL)
    config = from_dict(KubernetesConfig, yaml.safe_load(shown_)["kubernetes"], "kubernetes")
    assert config.step(REPORT).secret_env == {VARIABLE: "babelrank-webhook/url"}


def test_archives_are_made_again_and_stay_out_of_git() -> None:
    lines = text(K8S / "README.md").splitlines()
    saved = [
        (i, name) for i, line in enumerate(lines) for name in re.findall(r"-o (\S+\.tar)", line)
    ]
    assert len(saved) == 3
    for i, name in saved:
        assert lines[i - 1].endswith(f"&& rm -f {name} &&")
        assert Path(name).match("babelrank*.tar")
    assert "/babelrank*.tar" in text(PROJECT / ".gitignore").splitlines()


def test_every_image_of_ours_is_named_where_a_registry_is_said() -> None:
    """The README lists the places: `images`, kubernetes.image, and the Trainer's image."""
    found = {
        str(path.relative_to(K8S))
        for path in K8S.rglob("*.yaml")
        if re.search(r"image: babelrank:|\{name: babelrank,", text(path))
    }
    overlays = {f"overlays/{name}" for name in ("gpu", "local", "tpu-gke")}
    pipelines = {f"{one}/{name}.yaml" for one in overlays for name in ("ranking", "translation")}
    pipelines |= {"base/pipelines/ranking.yaml", "base/pipelines/translation.yaml"}
    images = {f"{one}/kustomization.yaml" for one in (*overlays, "overlays/cronjob", "flink")}
    assert found == pipelines | images
    for path in (K8S / "base" / "pipelines", *(K8S / one for one in overlays)):
        steps = yaml.safe_load(text(path / "ranking.yaml"))["kubernetes"]["steps"]
        own = path.name in ("gpu", "tpu-gke")
        assert [name for name, step in steps.items() if "image" in step] == ["Trainer"] * own


@pytest.mark.parametrize("name", ["cronjob", "gpu"])
def test_patches_that_are_comments_fit(name: str, tmp_path: Path, tools: Tools) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    file = tmp_path / "k8s" / "overlays" / name / "kustomization.yaml"
    before, patches, after = text(file).partition("# patches:\n")
    file.write_text(before + re.sub("^# ", "", patches + after, flags=re.MULTILINE), "utf-8")
    documents = {f"{one['kind']}/{one['metadata']['name']}": one for one in kustomize(file.parent)}
    claim = documents["PersistentVolumeClaim/babelrank-artifacts"]
    assert claim["spec"]["storageClassName"] == "my-shared-storage"
    assert documents["ServiceAccount/babelrank"]["imagePullSecrets"] == [{"name": "my-registry"}]
    assert "docker-registry my-registry" in text(K8S / "README.md")


@pytest.mark.parametrize("name", ["cronjob", "cronjob-local", "gpu", "local", "tpu-gke"])
def test_one_pipeline_can_be_left_out(name: str, tmp_path: Path, tools: Tools) -> None:
    block = r"^```yaml\n(patches:.*?)^```$"
    (patch,) = re.findall(block, text(K8S / "README.md"), re.MULTILINE | re.DOTALL)
    shutil.copytree(K8S, tmp_path / "k8s")
    file = tmp_path / "k8s" / "overlays" / name / "kustomization.yaml"
    content = yaml.safe_load(text(file))
    content["patches"] = [*content.get("patches", []), *yaml.safe_load(patch)["patches"]]
    file.write_text(yaml.safe_dump(content), "utf-8")
    left = kustomize(file.parent)
    pipelines = [one["metadata"].get("labels", {}).get("babelrank/pipeline") for one in left]
    assert set(pipelines) == {None, "ranking"}
    whole = kustomize(K8S / "overlays" / name)
    assert pipelines.count("ranking") == (len(whole) - len(left)) > 0


@pytest.mark.parametrize("name", ["overlays/gpu", "overlays/local", "overlays/tpu-gke", "flink"])
def test_namespace_is_said_once(name: str, tmp_path: Path, tools: Tools) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    file = tmp_path / "k8s" / name / "kustomization.yaml"
    content = yaml.safe_load(text(file))
    file.write_text(yaml.safe_dump({**content, "namespace": "profile"}), "utf-8")
    values = {
        value
        for document in kustomize(file.parent)
        for path, value in walk(document)
        if path[-1:] == ("namespace",)
    }
    assert values == {"profile"}
