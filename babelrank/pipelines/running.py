"""A run in the foreground: with a display, its verdict in words, and an exit code."""

from __future__ import annotations

import sys
from pathlib import Path

from babelrank.components.errors import RESUME, ConfigError
from babelrank.pipelines import options
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.schedule import Plan

PUSHED, FAILED, USAGE, REFUSED = 0, 1, 2, 3

EXIT_CODES = """exit codes:
  0  done; for run and retrain: the model was pushed, or passed the gate with push.enabled: false
  1  something failed
  2  wrong usage or configuration
  3  the model was refused: by the gate, by the serving check, or because it was rolled back
  143  stopped by Ctrl-C or SIGTERM: the same command goes on from there"""


def run(
    config: PipelineConfig,
    out: Path,
    optimum: dict[str, float] | None = None,
    plan: Plan | None = None,
) -> int:
    """Runs a pipeline with a display; returns the exit code.

    Args:
        config: The configuration.
        out: Output folder.
        optimum: The best metrics that any model could reach, where they are known.
        plan: What the run is to read, where that was planned.
    """
    from babelrank.components.evaluation.report import verdict_lines
    from babelrank.pipelines.display import Display, quiet

    options.interrupt_on_sigterm()
    log = out / "log.txt"
    with quiet(log) as stream:
        display = Display(stream)
        with display.waiting("Loading TensorFlow and TFX"):
            from babelrank.pipelines.history import REPORT
            from babelrank.pipelines.run import graph_function, run_pipeline

            graph_function(config)
        summary, error = run_pipeline(config, out, display.step, optimum, plan)
    lines = ["", *verdict_lines(summary), f"  report: {out / REPORT}"]
    if error is not None:
        lines.append(f"  log: {log}")
    if isinstance(error, KeyboardInterrupt):
        lines.append("Interrupted. The same command goes on from here.")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    if isinstance(error, ConfigError):
        return USAGE
    codes = {"pushed": PUSHED, "blessed": PUSHED, "refused": REFUSED, "interrupted": RESUME}
    return codes.get(summary.status, FAILED)
