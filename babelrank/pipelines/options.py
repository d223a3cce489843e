"""Options that commands share: which pipeline, its configuration, its output folder."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import signal
from pathlib import Path
from typing import Any, NoReturn

from babelrank.components.config import load_yaml
from babelrank.components.errors import ConfigError
from babelrank.pipelines import schedule
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.novelty import EPOCH

PIPELINES: dict[str, type[PipelineConfig]] = {
    "ranking": RankingConfig,
    "translation": TranslationConfig,
}


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Adds the pipeline, its configuration, and what overrides the keys of that."""
    parser.add_argument("pipeline", choices=PIPELINES)
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="YAML file; - reads from stdin"
    )
    parser.add_argument("--data", metavar="PATH", help="in place of data.path")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key, such as training.epochs=3; may be repeated",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """Adds the output folder."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="output folder (out/NAME); the same folder again reuses what has not changed",
    )


def add_force_bless(parser: argparse.ArgumentParser) -> None:
    """Adds what blesses a model that the gate refuses."""
    parser.add_argument(
        "--force-bless",
        metavar="REASON",
        help="bless this run's model even if the gate refuses it; the reason is kept with it",
    )


def forced(config: PipelineConfig, reason: str | None) -> PipelineConfig:
    """The configuration with the reason of `--force-bless`; None: as it is.

    Raises:
        ConfigError: The reason is empty.
    """
    if reason is None:
        return config
    if not reason.strip():
        raise ConfigError("--force-bless: got no reason; takes a sentence that says why.")
    evaluation: Any = dataclasses.replace(config.evaluation, force_bless=reason)
    return dataclasses.replace(config, evaluation=evaluation)


def add_span(parser: Any, name: str = "span") -> None:
    """Adds the newest span to read, to a parser or a group; `span` overrides `spans.span`."""
    parser.add_argument(
        "--span", dest=name, type=span, metavar="N", help="newest span to read, or its date"
    )


def span(text: str) -> int:
    """A span of an argument: a number, or the date that stands for one.

    Of data by date, `schedule.as_span` takes a number of eight digits for a date too.
    """
    if text.isdecimal():
        return int(text)
    try:
        days = (datetime.date.fromisoformat(text) - EPOCH).days
    except ValueError:
        days = -1
    if days < 0:
        raise argparse.ArgumentTypeError(
            f"got {text}; takes a number, or a date such as 2026-01-31"
        )
    return days


def configuration(options: argparse.Namespace) -> PipelineConfig:
    """The configuration that the options name, with what they override.

    Raises:
        ConfigError: It is missing or wrong.
    """
    overrides = list(options.set)
    if options.data is not None:
        overrides.append(f"data.path={_quoted(options.data)}")
    path = Path("/dev/stdin") if str(options.config) == "-" else options.config
    config = load_yaml(PIPELINES[options.pipeline], path, overrides)
    number = getattr(options, "span", None)
    return config if number is None else schedule.at_span(config, schedule.as_span(config, number))


def output(options: argparse.Namespace, config: PipelineConfig) -> Path:
    """The output folder."""
    return options.out or Path("out") / config.name


def interrupt_on_sigterm() -> None:
    """Makes SIGTERM what Ctrl-C is."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _quoted(text: str) -> str:
    """A text as YAML that cannot be taken for anything else."""
    return "'" + text.replace("'", "''") + "'"
