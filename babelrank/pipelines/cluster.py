"""The commands that talk to Kubeflow Pipelines: `submit`, `schedule`, `backfill` and `runs`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.errors import ConfigError
from babelrank.pipelines import cluster_options, options
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.kubeflow.names import pipeline_name
from babelrank.pipelines.running import FAILED, PUSHED, REFUSED

if TYPE_CHECKING:
    from babelrank.pipelines.kubeflow.client import Client
    from babelrank.pipelines.kubeflow.package import Package
    from babelrank.pipelines.kubeflow.records import Run, Wanted

CODES = {"pushed": PUSHED, "blessed": PUSHED, "succeeded": PUSHED, "refused": REFUSED}
"""Exit codes by what a run came to; FAILED: all else."""

EXIT_CODES = """exit codes:
  0  done
  1  something failed
  2  wrong usage or configuration
  3  the model was refused, where that can be told: where kubernetes.root is mounted here too
  143  stopped by Ctrl-C or SIGTERM; what runs on Kubeflow Pipelines goes on"""

SUBMIT = """Uploads the pipeline, as a version that is named by its content, unless it is there,
and starts a run. The experiment is named after the pipeline, unless --experiment says otherwise."""

SCHEDULE = """Makes the recurring run of a pipeline, or replaces it when something has changed; one
at the most is switched on. It does what `babelrank retrain` does. When: schedule.cron, in UTC
(in the time zone of Kubeflow's CRON_SCHEDULE_TIMEZONE, if that is set). Each run gets the time
for which it was scheduled, which takes Kubeflow Pipelines 2.16 or newer."""

BACKFILL = """One run for each span, as `babelrank retrain` would have made it, in order and one at
a time. Spans whose run succeeded are left out, so the same command goes on where it was stopped.
It ends at the first run that fails; a model that the gate refuses is no failure."""


def add(commands: Any) -> None:
    """Adds the four commands to the parser."""
    submit = _command(commands, "submit", "run a pipeline on Kubeflow Pipelines", SUBMIT)
    cluster_options.add_run(submit)
    options.add_span(submit, "newest")
    submit.add_argument(
        "--retrain", action="store_true", help="as `babelrank retrain`, and as scheduled runs are"
    )
    submit.add_argument("--wait", action="store_true", help="follow the run to its end")
    submit.add_argument(
        "--package", type=Path, metavar="FILE", help="what `babelrank compile` wrote, as it is"
    )
    submit.set_defaults(run=_submit)
    schedule = _command(commands, "schedule", "retrain on Kubeflow Pipelines by a cron", SCHEDULE)
    options.add_configuration(schedule)
    schedule.add_argument("--cron", metavar="CRON", help="in place of schedule.cron")
    cluster_options.add_place(schedule)
    what = schedule.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="only say what there is")
    what.add_argument("--disable", action="store_true", help="switch it off, until the next time")
    what.add_argument("--delete", action="store_true", help="remove it; its runs stay")
    cluster_options.add_connection(schedule)
    schedule.set_defaults(run=_schedule)
    backfill = _command(commands, "backfill", "one run on Kubeflow Pipelines per span", BACKFILL)
    cluster_options.add_run(backfill)
    for option, help_ in (("from", "first"), ("to", "last")):
        backfill.add_argument(
            f"--{option}",
            required=True,
            metavar="SPAN",
            dest=f"{help_}_span",
            help=f"{help_} span: its number, or a day such as 2026-01-31",
        )
    backfill.set_defaults(run=_backfill)
    runs = _command(commands, "runs", "list the runs on Kubeflow Pipelines")
    cluster_options.add_list(runs)
    runs.set_defaults(run=_runs)


def _command(commands: Any, name: str, help_: str, about: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=about,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _submit(given: argparse.Namespace) -> int:
    config = options.configuration(given)
    name, parameters = pipeline_name(config.name), cluster_options.parameters(given)
    if given.package is not None and (given.retrain or given.set or given.data):
        raise ConfigError(
            "--package: is run as it is; takes no --retrain, --set and --data, which "
            "`babelrank compile` takes."
        )
    client = cluster_options.client(given)
    package = cluster_options.package(given, config, given.retrain)
    package.check(name, parameters, str(given.package or name))
    run = client.start(_wanted(client, package, given, config, parameters))
    _say(f"Run {run.identity}  {client.connection.run_link(run.identity)}")
    return _ending(config, _followed(client, run, package)) if given.wait else PUSHED


def _schedule(given: argparse.Namespace) -> int:
    if given.cron is not None:
        given.set = [*given.set, f"schedule.cron={json.dumps(given.cron)}"]
    config = options.configuration(given)
    name = pipeline_name(config.name)
    from babelrank.pipelines.kubeflow import recurring

    cron = recurring.six_fields(config.schedule.cron)
    client = cluster_options.client(given)
    if given.disable:
        recurring.disable(client, name, _say)
    elif given.delete:
        recurring.delete(client, name, _say)
    elif given.status:
        for line in recurring.lines(client, name):
            _say(line)
    else:
        parameters = {**cluster_options.PARAMETERS, "scheduled": recurring.SCHEDULED}
        package = cluster_options.package(given, config, retrain=True)
        package.check(name, parameters, name)
        wanted = _wanted(client, package, given, config, parameters)
        recurring.keep(client, wanted, cron, config.schedule.catch_up, _say)
        _say(f"Cron with the seconds first: {cron}. Next: {recurring.following(cron)}.")
    return PUSHED


def _backfill(given: argparse.Namespace) -> int:
    config = options.configuration(given)
    from babelrank.pipelines.kubeflow import backfill

    numbers = backfill.spans(config, given.first_span, given.last_span)
    name, parameters = pipeline_name(config.name), cluster_options.parameters(given)
    client = cluster_options.client(given)
    package = cluster_options.package(given, config, retrain=True)
    package.check(name, parameters, name)
    wanted = _wanted(client, package, given, config, parameters)
    failed = backfill.backfill(
        client,
        wanted,
        numbers,
        force=given.force,
        follow=lambda run: _followed(client, run, package),
        say=_say,
    )
    if failed is None:
        return PUSHED
    _say(
        f"Stopped at span {failed}. Mend what its run complains of, and the same command goes on "
        f"from there; or leave it out with --from {failed + 1} or spans.exclude."
    )
    return FAILED


def _runs(given: argparse.Namespace) -> int:
    if (given.pipeline is None) != (given.config is None):
        raise ConfigError("--config: takes the pipeline too, and the other way round.")
    experiment = given.experiment
    if given.config is not None and experiment is None:
        experiment = pipeline_name(options.configuration(given).name)
    client = cluster_options.client(given)
    from babelrank.pipelines.kubeflow import listing

    identity = None if experiment is None else client.find_experiment(experiment)
    nothing = experiment is not None and identity is None
    found = [] if nothing else listing.newest(client, identity, given.limit)
    text = listing.as_json(found, client) if given.json else listing.as_table(found, client)
    sys.stdout.write(text)
    return PUSHED


def _wanted(
    client: Client,
    package: Package,
    given: argparse.Namespace,
    config: PipelineConfig,
    parameters: dict[str, Any],
) -> Wanted:
    """What runs, under the name of the pipeline."""
    from babelrank.pipelines.kubeflow import submission

    return submission.wanted(
        client,
        package,
        experiment=given.experiment or package.name,
        parameters=parameters,
        service_account=given.service_account or config.kubernetes.service_account,
        say=_say,
    )


def _followed(client: Client, run: Run, package: Package) -> Run:
    """A run at its end."""
    from babelrank.pipelines.kubeflow import submission

    options.interrupt_on_sigterm()
    try:
        return submission.follow(client, run, package.titles, _say)
    except KeyboardInterrupt:
        link = client.connection.run_link(run.identity)
        _say(f"No longer waiting. The run goes on: {link}")
        raise


def _ending(config: PipelineConfig, run: Run) -> int:
    """Says what a run came to, and gives the exit code."""
    from babelrank.pipelines.kubeflow import submission

    status = submission.status(config, run)
    _say(f"Run {run.identity} {status}{f': {run.error}' if run.error else ''}.")
    if status == "succeeded":
        _say("What the gate said of the model stands in the report, the output of Report.")
    return CODES.get(status, FAILED)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
