"""Follows a TFJob to its end: made or found again, watched, its chief's log shown, deleted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO, TypeVar

from babelrank.components.errors import RESUME, BabelRankError, Interrupted
from babelrank.components.training.interruption import StopRequest
from babelrank.components.training.tf_job import FINGERPRINT, FOLDER
from babelrank.components.training.tf_job_cluster import (
    Cluster,
    Existing,
    Pod,
    Unreachable,
    this_pod,
)
from babelrank.components.training.tf_job_log import PodLog

T = TypeVar("T")
_OFTEN = 2.0  # seconds between two looks
_PATIENCE = 900.0  # seconds without an answer from the cluster
_TOLD_AFTER = 20.0  # seconds of waiting for an earlier one
_AT_THE_END = 20.0  # the same for what is only tidying up
_REST_OF_LOG = 20.0  # seconds


class Follower:
    """What happens to one TFJob.

    Args:
        cluster: Where it is, or will be.
        manifest: The TFJob.
        stop: Whether somebody wants it to end.
        out: Where its chief's log and messages go; None: to stderr.
    """

    def __init__(
        self,
        cluster: Cluster,
        manifest: Mapping[str, Any],
        stop: StopRequest,
        out: TextIO | None = None,
    ) -> None:
        self._cluster, self._manifest, self._stop = cluster, manifest, stop
        self._out = out or sys.stderr
        self._name: str = manifest["metadata"]["name"]
        self._shown = f"TFJob {cluster.namespace}/{self._name}"
        self._there = False
        self._logs: dict[str, PodLog] = {}
        self._states: dict[str, str] = {}
        # How the newest pod of a name that has ended did so.
        self._ends: dict[str, str] = {}
        self._codes: dict[str, int] = {}
        self._chief, self._starts = "", 0
        self._progress: Any = None

    def start(self, complete: Callable[[], bool], prepare: Callable[[], None]) -> None:
        """Makes the TFJob, or finds it where an earlier try has left it.

        Args:
            complete: Tells of a TFJob that has succeeded whether its model is there.
            prepare: Called before a new one is made, when no pod of an older one is left.

        Raises:
            Interrupted: Somebody wants it to end.
            BabelRankError: The cluster does not take it, or does not answer, or what is left of an
                earlier one does not end.
        """
        began, told = time.monotonic(), False
        while not self._patiently(lambda: self._started(complete, prepare)):
            if time.monotonic() - began > _PATIENCE:
                raise BabelRankError(
                    f"{self._shown}: the one of an earlier try, or its pods, do not end "
                    f"({', '.join(self._pods()) or 'no pod is left'}). On a lost machine they do "
                    f"only by `kubectl delete pod --force`; then run the step again."
                )
            if not told and time.monotonic() - began > _TOLD_AFTER:
                told = True
                self._say(f"waiting for the pods of an earlier try: {', '.join(self._pods())}")
            self._wait()

    def follow(self, restarts: int, progress: Callable[[], Any]) -> None:
        """Returns when the TFJob has succeeded.

        Args:
            restarts: How often the chief may be started again without progress.
            progress: Gives another value when the training has come further.

        Raises:
            Interrupted: Somebody wants it to end.
            BabelRankError: It has failed, or is gone, or the cluster does not answer.
        """
        while True:
            job = self._patiently(lambda: self._cluster.job(self._name))
            pods = self._patiently(lambda: self._cluster.pods(self._name))
            self._look_at(pods)
            self._count_starts(pods, progress)
            if job is None:
                raise BabelRankError(
                    f"{self._shown} is gone: somebody has deleted it. Run the step again; the "
                    f"training goes on from its last checkpoint."
                )
            if _condition(job, "Succeeded") is not None:
                self._close_logs(pods)
                return
            if (why := _condition(job, "Failed")) is not None:
                raise self._failure(f"has failed: {why or 'no reason given.'}", pods)
            if self._starts > restarts + 1:
                raise self._failure(
                    f"was started again {restarts} times without a new checkpoint, as often as "
                    f"kubernetes.steps.Worker.retries allows.",
                    pods,
                )
            self._wait()

    def delete(self) -> None:
        """Deletes the TFJob, so that no pod of it is left; says so when it cannot."""
        if not self._there:
            return
        try:
            self._patiently(lambda: self._cluster.delete(self._name), last=True)
        except BabelRankError as error:
            self._say(f"{error} It is left behind: kubectl delete tfjob {self._name}")

    def _pods(self) -> list[str]:
        """Names of the pods that are there."""
        return [pod.name for pod in self._patiently(lambda: self._cluster.pods(self._name))]

    def _started(self, complete: Callable[[], bool], prepare: Callable[[], None]) -> bool:
        found = self._cluster.job(self._name)
        if found is None:
            if self._cluster.pods(self._name):
                return False  # those of one that was deleted; they write where ours would
            prepare()
            self._delete_strays()
            return self._create()
        self._there = True
        if "deletionTimestamp" in found["metadata"]:
            return False
        if not self._fits(found, complete):
            self._say(f"{self._shown} is there from an earlier try and of no use; deleting it")
            self._cluster.delete(self._name)
            return False
        if owner := this_pod():
            self._cluster.own(self._name, owner)
        self._say(f"{self._shown} is there from an earlier try; following it")
        return True

    def _delete_strays(self) -> None:
        """Deletes TFJobs of other trainings in the folder: their runs were ended by force."""
        for name in self._cluster.jobs(f"{FOLDER}={self._manifest['metadata']['labels'][FOLDER]}"):
            self._say(f"TFJob {self._cluster.namespace}/{name} is left from another run; deleting")
            self._cluster.delete(name)

    def _create(self) -> bool:
        try:
            self._cluster.create(self._manifest)
        except Existing:
            return False
        except Unreachable:
            self._there = True  # perhaps
            raise
        self._there = True
        self._say(f"{self._shown} was made")
        return True

    def _fits(self, found: Mapping[str, Any], complete: Callable[[], bool]) -> bool:
        """Whether a TFJob does what ours would, and still can."""
        ours, theirs = self._manifest["metadata"], found["metadata"]
        same = theirs.get("annotations", {}).get(FINGERPRINT) == ours["annotations"][FINGERPRINT]
        lost = _condition(found, "Succeeded") is not None and not complete()
        return same and not lost and _condition(found, "Failed") is None

    def _look_at(self, pods: list[Pod]) -> None:
        for pod in pods:
            if pod.exit_code is not None:
                self._ends[pod.name] = pod.state
                self._codes[pod.name] = pod.exit_code
            if pod.name not in self._logs:
                out = self._out if pod.chief else None
                self._logs[pod.name] = PodLog(self._cluster, pod.name, out)
                self._logs[pod.name].start()
            state = f"{pod.uid} {pod.state}"
            if self._states.get(pod.name) != state:
                self._states[pod.name] = state
                self._say(f"{pod.name}: {pod.state}")

    def _count_starts(self, pods: list[Pod], progress: Callable[[], Any]) -> None:
        for pod in pods:
            if pod.chief and pod.uid != self._chief:
                now = progress()
                self._starts = self._starts + 1 if now == self._progress else 1
                self._chief, self._progress = pod.uid, now

    def _failure(self, what: str, pods: list[Pod]) -> BabelRankError:
        """What to say of a TFJob that has failed: with the last lines of the pod that did."""
        self._close_logs(pods)
        name = self._culprit(pods)
        if name is None:
            return BabelRankError(f"{self._shown} {what}")
        log = self._logs[name]
        lines = log.last() or [log.problem or "(its log is empty)"]
        ended = self._ends.get(name, "ended")
        return BabelRankError(
            f"{self._shown} {what}\n{name} {ended}. Its last lines:\n"
            + "".join(f"    {line}\n" for line in lines)
        )

    def _culprit(self, pods: list[Pod]) -> str | None:
        """The pod that failed for good, or that nobody stopped, or that ended first of all."""
        failed = [pod.name for pod in pods if pod.exit_code and pod.exit_code < 128]
        ended = [name for name, log in self._logs.items() if log.ended is not None]
        struck = [name for name in ended if self._codes.get(name, RESUME) != RESUME]
        among = failed or struck or ended
        return min(among, key=lambda name: self._logs[name].ended or "", default=None)

    def _close_logs(self, pods: list[Pod]) -> None:
        """Ends the logs, those of pods that have ended with their last line."""
        for log in self._logs.values():
            log.close()
        deadline = time.monotonic() + _REST_OF_LOG
        for pod in pods:
            if pod.exit_code is not None:
                self._logs[pod.name].join(max(0.0, deadline - time.monotonic()))

    def _wait(self) -> None:
        self._check_stop()
        time.sleep(_OFTEN)

    def _check_stop(self) -> None:
        if self._stop.asked:
            raise Interrupted(
                f"training stopped by {self._stop.asked}, and with it {self._shown}; the same call "
                f"goes on from the last checkpoint."
            )

    def _patiently(self, ask: Callable[[], T], last: bool = False) -> T:
        """What the cluster answers, asked again while it does not.

        Args:
            ask: Asks it.
            last: Whether this is the last question, which nobody can interrupt.
        """
        patience = _AT_THE_END if last else _PATIENCE
        began, told = time.monotonic(), False
        while True:
            try:
                return ask()
            except Unreachable as error:
                if time.monotonic() - began > patience:
                    raise BabelRankError(
                        f"{self._shown}: the cluster has not answered for {patience:g} s ({error})."
                    ) from error
                if not told:
                    self._say(f"the cluster does not answer ({error}); asking on")
                    told = True
            if not last:
                self._check_stop()
            time.sleep(_OFTEN)

    def _say(self, text: str) -> None:
        self._out.write(f"training: {text}\n")
        self._out.flush()


def _condition(job: Mapping[str, Any], kind: str) -> str | None:
    """The message of a condition of a TFJob that holds; None: it does not hold."""
    for one in job.get("status", {}).get("conditions", ()):
        if one["type"] == kind and one["status"] == "True":
            return str(one.get("message", ""))
    return None
