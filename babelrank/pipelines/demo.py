"""`make demo`: the pipelines on sample data, from nothing to a verdict and a report.

The click log is simulated, so that the best reachable AUC is known and the report can say how
near the model came.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from babelrank.components.config import load_yaml
from babelrank.pipelines import cli
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.simulator import SimulatorConfig, configuration, simulate

OUT = Path("out/demo")
MALFORMED = 0.003


def main() -> int:
    """Runs the demo; returns the exit code of the worst pipeline."""
    clicks = OUT / "clicks"
    sys.stdout.write(f"Ranking: simulating three days of clicks in {clicks}\n")
    sys.stdout.flush()
    simulation = simulate(SimulatorConfig(malformed_fraction=MALFORMED), clicks)
    settings = OUT / "ranking.yaml"
    settings.write_text(yaml.safe_dump(_settings(clicks), sort_keys=False), encoding="utf-8")
    sys.stdout.write(f"Ranking: the configuration is {settings}\n")
    sys.stdout.flush()
    served = simulation.spans[-1].served  # the newest span is the test split
    optimum = {"auc": served.auc, "log_loss": served.log_loss}
    return cli.run(load_yaml(RankingConfig, settings), OUT / "ranking", optimum)


def _settings(clicks: Path) -> dict[str, object]:
    """The whole configuration; data and features come from the simulator."""
    return {
        "name": "demo-ranking",
        **configuration(clicks),
        "spans": {"window": 3},
        "training": {"epochs": 6},
        "evaluation": {"min_auc": 0.7, "max_auc_drop": 0.005, "slices": ["device"]},
    }


if __name__ == "__main__":
    code = main()
    cli.leave(code)
