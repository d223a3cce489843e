"""Which files parallel text is read from: the data's, and those of explicit splits."""

from __future__ import annotations

from babelrank.components.ingest.spans import Inputs
from babelrank.components.translation.config import DataConfig, SplitsConfig


def inputs(data: DataConfig, splits: SplitsConfig) -> list[Inputs]:
    """The files of the data, and those of explicit splits."""
    if data.format == "moses":
        keys = ("data.source.path", "data.target.path")
        main = Inputs(path=data.source.path or "", beside=data.target.path or "", keys=keys)
    else:
        main = Inputs(path=data.path or "")
    found = [main]
    for name, files in (("eval", splits.explicit.eval), ("test", splits.explicit.test)):
        key = f"splits.explicit.{name}"
        if files is not None and files.path is not None:
            found.append(Inputs(path=files.path, split=name, keys=(key,)))
        elif files is not None:
            found.append(
                Inputs(
                    path=files.source or "",
                    beside=files.target or "",
                    split=name,
                    keys=(f"{key}.source", f"{key}.target"),
                )
            )
    return found
