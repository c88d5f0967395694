"""Calibrations kept in the cache folder, so that a device is calibrated once for many runs."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from bneck.errors import BneckError, UsageError
from bneck.files import cache_folder, is_written
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.model import LatencyModel, load

DAY_S = 24 * 3600


def kept(device: Fingerprint, spaces: Sequence[str], resolution_px: int, classes: int) -> Path:
    """Return the file of a calibration in the cache folder, whether it is there or not.

    Args:
        device: the device and the runtime on it.
        spaces: names of the spaces, in any order.
        resolution_px: the networks' input side.
        classes: the networks' class count.
    """
    made_of = [device.as_dict(), sorted(spaces), resolution_px, classes]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    return cache_folder() / "calibrations" / f"{digest}.json"


def reusable(path: Path, device: Fingerprint) -> LatencyModel | None:
    """Return the model in a file of the cache; None where there is none, or a doubtful one."""
    if not is_written(path):
        return None
    try:
        model = load(path)
    except UsageError:
        return None
    return model if model.device == device and not model.report.doubt else None


def keep(model: LatencyModel, path: Path) -> None:
    """Keep a model for later runs, unless it is doubtful or the cache cannot be written."""
    if model.report.doubt:
        return
    try:
        model.save(path)
    except BneckError:  # a full or read-only cache costs a calibration, no run
        return


def age(path: Path) -> str:
    """Return in words how long ago a calibration was made."""
    days = int((time.time() - path.stat().st_mtime) / DAY_S)
    return "today" if days < 1 else "yesterday" if days == 1 else f"{days} days ago"
