"""Following a TFJob: success, failure, restarts, lost connections, a second try."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import BabelRankError, DeviceError, Interrupted
from babelrank.components.training import tf_job, tf_job_follower, tf_job_log
from babelrank.components.training.interruption import StopRequest
from babelrank.components.training.tf_job_cluster import POD, UID, Cluster
from babelrank.components.training.tf_job_follower import Follower
from tests.components.training.tf_operator import NAMESPACE, Pod, TrainingOperator, condition

Run = Callable[[Pod], int]
Start = Callable[[Run], TrainingOperator]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tf_job_follower, tf_job_log):
        monkeypatch.setattr(module, "_OFTEN", 0.02)
    for name in (POD, UID):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def operate() -> Iterator[Start]:
    started = []

    def start(run: Run) -> TrainingOperator:
        started.append(TrainingOperator(run).__enter__())
        return started[-1]

    yield start
    for operator in started:
        operator.__exit__()


class Try:
    """One try of the executor's pod to get a training done."""

    def __init__(
        self,
        operator: TrainingOperator,
        folder: Path,
        job: str = "{}",
        name: str = "clicks",
        trainings: str = "/out/training",
    ) -> None:
        (folder / "job.json").write_text(job)
        pod = tf_job.WorkerPod(spec={"containers": [{"image": "i"}]})
        manifest = tf_job.manifest(
            name, "clicks", tf_job.replicas(2, 0), pod, folder / "job.json", trainings
        )
        self.stop, self.out = StopRequest(), io.StringIO()
        self.prepared = 0
        cluster = Cluster(operator.client(), NAMESPACE)
        self.follower = Follower(cluster, manifest, self.stop, self.out)

    def run(self, restarts: int = 2, progress: Callable[[], Any] = lambda: None) -> str:
        """All of it; what was written."""
        try:
            self.start()
            self.follow(restarts, progress)
        finally:
            self.follower.delete()
        return self.out.getvalue()

    def start(self, complete: bool = True) -> None:
        self.follower.start(lambda: complete, self.prepare)

    def follow(self, restarts: int = 2, progress: Callable[[], Any] = lambda: None) -> None:
        self.follower.follow(restarts, progress)

    def prepare(self) -> None:
        self.prepared += 1


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def trains(pod: Pod) -> int:
    """Three steps."""
    for step in range(3):
        pod.write(f"{pod.kind} {pod.index}: step {step}")
        if pod.terminated.wait(0.05):
            return 143
    return 0


def waits(pod: Pod) -> int:
    """Until SIGTERM."""
    pod.write("step 1")
    pod.terminated.wait(30)
    return 143


def test_success_shows_the_chiefs_log_and_leaves_nothing(operate: Start, tmp_path: Path) -> None:
    operator = operate(trains)
    text = Try(operator, tmp_path).run()
    lines = [line for line in text.splitlines() if "step" in line]
    assert lines == [f"worker 0: step {step}" for step in range(3)]
    assert "training: TFJob research/clicks was made" in text
    wait_for(lambda: not operator.jobs and not operator.pods)


def test_failure_has_the_last_lines_of_the_pod_that_failed(operate: Start, tmp_path: Path) -> None:
    def run(pod: Pod) -> int:
        if pod.index == 0:
            return waits(pod)
        for number in range(100):
            pod.write(f"line {number}")
        pod.write("ConfigError: bad")
        return 2

    operator = operate(run)
    expected = r"TFJob research/clicks has failed: job is failing because \"Worker\" replica"
    with pytest.raises(BabelRankError, match=expected) as raised:
        Try(operator, tmp_path).run()
    head, *lines = str(raised.value).split("\n")[1:]
    assert head == "clicks-worker-1 ended with exit code 2 (Error). Its last lines:"
    assert lines == [*(f"    line {n}" for n in range(71, 100)), "    ConfigError: bad", ""]
    wait_for(lambda: not operator.jobs and not operator.pods)


def test_a_restart_goes_on_and_its_log_too(operate: Start, tmp_path: Path) -> None:
    """The clock of the new pod's machine is behind."""

    def run(pod: Pod) -> int:
        stamp = f"2024-01-01T00:00:0{5 - pod.number}.000000000Z"
        pod.write(f"{pod.kind} {pod.index}, pod {pod.number}", stamp)
        time.sleep(0.2)
        return 143 if pod.number < 2 else 0

    text = Try(operate(run), tmp_path).run(restarts=2)
    written = [line for line in text.splitlines() if line.startswith("worker")]
    assert written == [f"worker 0, pod {number}" for number in range(3)]


def test_restarts_without_end_are_a_failure(operate: Start, tmp_path: Path) -> None:
    def run(pod: Pod) -> int:
        time.sleep(0.1 * (1 - pod.index))
        pod.write(f"{pod.kind} {pod.index}: out of memory" if pod.index else "lost a worker")
        time.sleep(0.1)
        return 137 if pod.index else 143

    operator = operate(run)
    with pytest.raises(BabelRankError, match="again 1 times without a new checkpoint") as raised:
        Try(operator, tmp_path).run(restarts=1)
    assert "\nclicks-worker-1 ended with exit code 137 (Error). Its" in str(raised.value)
    assert "    worker 1: out of memory" in str(raised.value)
    wait_for(lambda: not operator.jobs)


def test_restarts_with_progress_in_between_are_none(operate: Start, tmp_path: Path) -> None:
    steps = []

    def run(pod: Pod) -> int:
        steps.append(pod.number)
        time.sleep(0.1)
        return 143 if pod.number < 3 else 0

    operator = operate(run)
    Try(operator, tmp_path).run(restarts=0, progress=lambda: max(steps))
    assert [pod.exit_code for pod in operator.made if pod.index == 0] == [143, 143, 143, 0]


def test_a_cluster_that_does_not_answer_is_waited_for(operate: Start, tmp_path: Path) -> None:
    def run(pod: Pod) -> int:
        if pod.index == 0:
            operator.down.set()
            time.sleep(0.5)
            pod.write("meanwhile")
            operator.down.clear()
            time.sleep(0.2)
        return 0

    operator = operate(run)
    text = Try(operator, tmp_path).run()
    assert "the cluster does not answer (503 Service Unavailable); asking on" in text
    assert text.splitlines().count("meanwhile") == 1


def test_a_cluster_that_never_answers_again(
    operate: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PATIENCE", "_AT_THE_END"):
        monkeypatch.setattr(tf_job_follower, name, 0.2)
    operator = operate(waits)
    one = Try(operator, tmp_path)
    one.start()
    operator.down.set()
    with pytest.raises(BabelRankError, match=r"has not answered for 0\.2 s \(503"):
        one.follow()


def test_an_earlier_one_that_does_not_end(
    operate: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pods of a lost machine stay until somebody removes them."""
    monkeypatch.setattr(tf_job_follower, "_TOLD_AFTER", 0.0)
    back = threading.Event()

    def lost(_: Pod) -> int:
        back.wait(30)
        return 143

    operator = operate(lost)
    Try(operator, tmp_path).start()
    wait_for(lambda: len(operator.pods) == 2)
    operator.jobs["clicks"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    monkeypatch.setattr(tf_job_follower, "_PATIENCE", 3.0)
    second = Try(operator, tmp_path)
    with pytest.raises(BabelRankError, match=r"do not end \(clicks-worker-0, .*delete pod --force"):
        second.start()
    back.set()
    assert second.out.getvalue().count("waiting for the pods of an earlier try: clicks-wor") == 1


def test_a_log_that_breaks_off_goes_on(operate: Start, tmp_path: Path) -> None:
    """Four lines have the same time each, and an answer begins with a whole second."""

    def run(pod: Pod) -> int:
        for number in range(40):
            pod.write(f"line {number}", f"2024-01-01T00:00:{number // 4:02d}.{number // 8:09d}Z")
        time.sleep(0.5)
        return 0

    operator = operate(run)
    operator.cut = 7
    text = Try(operator, tmp_path).run()
    written = [line for line in text.splitlines() if line.startswith("line")]
    assert written == [f"line {number}" for number in range(40)]


def test_a_second_try_follows_the_running_job_and_owns_it(
    operate: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def run(pod: Pod) -> int:
        pod.write("begun")
        go_on.wait(20)
        return 0

    operator = operate(run)
    Try(operator, tmp_path).start()
    monkeypatch.setenv(POD, "trainer-2")
    monkeypatch.setenv(UID, "u2")
    second = Try(operator, tmp_path)
    second.start()
    assert second.prepared == 0
    (owner,) = operator.jobs["clicks"]["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Pod", "name": "trainer-2", "uid": "u2"}
    go_on.set()
    second.follow(0)
    assert operator.created == ["clicks"]
    assert "is there from an earlier try; following it\n" in second.out.getvalue()
    assert "begun\n" in second.out.getvalue()


@pytest.mark.parametrize(
    ("kind", "job", "complete", "made"),
    [
        ("Succeeded", "{}", True, 1),
        ("Succeeded", "{}", False, 2),
        ("Failed", "{}", True, 2),
        ("Running", "{}", True, 1),
        ("Running", '{"run_fn": "another"}', True, 2),
    ],
)
def test_what_of_an_earlier_try_is_of_use(
    kind: str, job: str, complete: bool, made: int, operate: Start, tmp_path: Path
) -> None:
    operator = operate(waits)
    Try(operator, tmp_path).start()
    wait_for(lambda: len(operator.pods) == 2)
    condition(operator.jobs["clicks"], kind, "said the test.")
    second = Try(operator, tmp_path, job)
    second.start(complete)
    assert len(operator.created) == made
    assert second.prepared == made - 1
    if made == 2:  # none of the first are left beside those of the second
        wait_for(lambda: len(operator.made) == 4)
        assert all(pod.exit_code == 143 for pod in operator.made[:2])


def test_a_training_that_an_ended_run_has_left_is_deleted(operate: Start, tmp_path: Path) -> None:
    """Only where no other can be: a folder has one run at a time."""
    operator = operate(waits)
    Try(operator, tmp_path, name="stray").start()
    Try(operator, tmp_path, name="of-others", trainings="/elsewhere/training").start()
    one = Try(operator, tmp_path)
    one.start()
    wait_for(lambda: set(operator.jobs) == {"of-others", "clicks"})
    assert "TFJob research/stray is left from another run; deleting\n" in one.out.getvalue()


def test_sigterm_ends_the_pods(operate: Start, tmp_path: Path) -> None:
    operator = operate(waits)
    one = Try(operator, tmp_path)

    def stop() -> None:
        wait_for(lambda: len(operator.pods) == 2)
        one.stop.asked = "SIGTERM"

    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted, match="stopped by SIGTERM.* goes on from the last checkpoint"):
        one.run()
    wait_for(lambda: not operator.jobs and not operator.pods)
    assert [pod.exit_code for pod in operator.made] == [143, 143]


def test_a_job_that_somebody_deletes(operate: Start, tmp_path: Path) -> None:
    operator = operate(waits)
    one = Try(operator, tmp_path)
    one.start()
    wait_for(lambda: len(operator.pods) == 2)
    Cluster(operator.client(), NAMESPACE).delete("clicks")
    with pytest.raises(BabelRankError, match="is gone: somebody has deleted it"):
        one.follow()


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (404, DeviceError, r"Install Kubeflow's training operator, version 1"),
        (403, BabelRankError, r"answered 403 .*\n.*needs the rights to get, list, create"),
        (422, BabelRankError, "answered 422"),
    ],
)
def test_a_cluster_that_refuses(
    status: int, kind: Any, message: str, operate: Start, tmp_path: Path
) -> None:
    operator = operate(waits)
    operator.refused = status
    one = Try(operator, tmp_path)
    with pytest.raises(kind, match=message):
        one.run()
    assert one.out.getvalue() == ""  # nothing is left behind
