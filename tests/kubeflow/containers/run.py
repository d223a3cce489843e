"""Runs a compiled ranking pipeline in containers, by Kubeflow's own local runner, on two days.

Belongs to an environment of its own (kfp.lock): imports nothing of ours. scripts/test-containers
starts it, with DOCKER_HOST set. Arguments: the pipeline's YAML, the folder that is mounted as
`kubernetes.root`, and the path under which containers see it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import docker
from kfp import components, local

ROWS = 600


def write_day(root: Path, day: int) -> None:
    """Clicks of one day: every third user clicks much."""
    drawn = random.Random(day)
    lines = ["ts,user,item,price,clicked"]
    for second in range(ROWS):
        user, item = drawn.randrange(20), drawn.randrange(10)
        clicked = int(drawn.random() < (0.8 if user % 3 == 0 else 0.2))
        stamp = 1_600_000_000 + 86_400 * day + second
        lines.append(f"{stamp},u{user},i{item},{drawn.random():.3f},{clicked}")
    path = root / "clicks" / f"day={day}" / "clicks.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def runner(root: Path, inside: str) -> local.DockerRunner:
    """Containers as a strict cluster would start them: read-only, without rights and network."""
    return local.DockerRunner(
        read_only=True,
        tmpfs={"/tmp": "mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
        mem_limit="6g",
        mounts=[docker.types.Mount(inside, str(root), type="bind")],
    )


def ask_no_terminal() -> None:
    """Keeps docker's client from asking, when it has a log, whether that is a terminal's.

    Podman gives a log with its first line. A step that says a line at its end is gone by then, and
    its container with it.
    """
    docker.api.client.APIClient._check_is_tty = lambda client, container: False


def _is_page(path: Path) -> bool:
    return path.is_file() and b"</html>" in path.read_bytes()


def main(package: Path, root: Path, inside: str) -> None:
    """Two runs, each with a new day; each has to end in a pushed version and a report.

    That is looked up in the folder: the runner takes a container that failed for one that did not
    when it is removed before the runner asks for its exit code.
    """
    ask_no_terminal()
    pipeline = components.load_component_from_file(str(package))
    artifacts = root / "kubeflow"
    artifacts.mkdir()
    artifacts.chmod(0o777)  # the image's user writes there, too
    local.init(runner(root, inside), pipeline_root=str(artifacts), raise_on_error=True)
    out = root / "clicks-in-containers"
    for day in (1, 2):
        write_day(root, day)
        began = time.monotonic()
        pipeline()
        result = json.loads((out / "run.json").read_text(encoding="utf-8"))
        versions = sorted(path.name for path in (out / "serving").iterdir() if path.name.isdigit())
        found = (result["status"], result["spans"], len(versions))
        print(f"day {day}: {found}, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        if found != ("pushed", [day], day):
            raise SystemExit(f"day {day}: got {found}; takes ('pushed', [{day}], {day})")
        shown = [path for path in artifacts.rglob("*") if _is_page(path)]
        if len(shown) != day:
            raise SystemExit(f"day {day}: Kubeflow got {len(shown)} reports; takes {day}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
