"""What a target means in milliseconds, and those that a run has found out."""

import math
import os
import re
from collections.abc import Callable, Sequence

from bneck import records
from bneck.errors import UsageError
from bneck.results.record import Targets
from bneck.results.run import Run
from bneck.results.run_folder import is_run
from bneck.space.presets import PRESETS

MAX_MS = 1e6
MAX_DIGITS = 6
"""Most digits of a side in px."""


def parse(text: str) -> tuple[float, str | None, int | None]:
    """Return (ms, None, None) of "2.0", (factor, network, side in px or None) of "0.8x:NET@PX".

    Raises:
        UsageError: neither form, or not above 0.
    """
    match = re.fullmatch(r"([0-9.eE+-]+)(?:x:(.+?)(?:@([0-9]+))?)?", text)
    try:
        number = float(match.group(1)) if match else math.nan
    except ValueError:
        number = math.nan
    side = match and match.group(3)
    if match is None or not 0 < number < MAX_MS or len(side or "") > MAX_DIGITS:
        raise UsageError(
            f"target must be ms above 0 and below {MAX_MS:g} like 2.0, or a factor like 0.8x:NET "
            f"or 0.8x:NET@PX, got {text!r:.80}{_without_unit(text)}"
        )
    preset, _, px = (match.group(2) or "").rpartition("@")
    if preset in PRESETS:
        raise UsageError(
            f"target {text!r:.80}: @ is followed by a side in px, as @64, not by {px!r:.80}"
        )
    network = match.group(2) and os.path.expanduser(match.group(2))  # which no shell does behind x:
    return number, network, None if side is None else int(side)


def _without_unit(text: str) -> str:
    """The end of a message about a target with its unit, as 2ms: what to give; else ""."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?ms", text)
    if match is None or not 0 < float(match.group(1)) < MAX_MS:
        return ""
    return f"; did you mean {match.group(1)}?"


def resolve(text: str, measured_ms: Callable[[str, int | None], float]) -> float:
    """Return a target in ms: "2.0" is itself, "0.8x:NET" a factor of NET's measured latency.

    "0.8x:NET@64" is one of NET's at 64 px, whatever side the run's own images have.

    Raises:
        UsageError: neither form, or not above 0.
    """
    number, network, side_px = parse(text)
    return number if network is None else number * measured_ms(network, side_px)


def kept_targets(run: Run) -> tuple[float, ...]:
    """Return the targets in ms that the run has found out so far."""
    targets = records.read_if_written(run.target, Targets)
    return targets.all_ms if targets else ()


def runs_of_other_targets(run: Run) -> list[Run]:
    """Return the derivations for the targets after the run's own: runs inside it, to look at.

    Those that have not begun are left out.
    """
    folders = (run.run_of_target(ms) for ms in kept_targets(run)[1:])
    return [Run.read(folder) for folder in folders if is_run(folder)]


def keep_targets(run: Run, targets_ms: Sequence[float]) -> None:
    """Write down the targets of a run; the first is the run's own."""
    records.write(run.target, Targets(targets_ms[0], tuple(targets_ms)))
