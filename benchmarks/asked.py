"""What a benchmark was asked, kept where its results are."""

import argparse
from pathlib import Path

from bneck.results.run import Run


def begun(asked: argparse.Namespace, *free: str) -> Run:
    """Open the folder ``asked.out`` as a run, so that it answers for one set of options alone.

    Args:
        asked: the options.
        free: names of those that may be others when the benchmark is resumed.

    Raises:
        UsageError: the folder was begun with other options.
    """
    plan = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(asked).items()
        if value is not None and name not in ("out", *free)
    }
    return Run.open(asked.out, plan)
