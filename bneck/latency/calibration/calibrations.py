"""Calibrations kept in the cache folder, so that a device is calibrated once for many runs."""

import hashlib
import json
import time
from pathlib import Path

from bneck.errors import BneckError
from bneck.files import cache_folder, is_written
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.model import LatencyModel, load
from bneck.space.choices import Space

DAY_S = 24 * 3600


def kept(device: Fingerprint, space: Space) -> Path:
    """Return the file of a calibration in the cache folder, whether it is there or not.

    It is another one where a space of this name has other choices, makes one depend on another in
    another way, or builds other networks.

    Args:
        device: the device and the runtime on it.
        space: whose networks were timed.
    """
    networks = [space.decode(space.sample(0, lean)) for lean in (0.0, 1.0)]
    layers = [repr(arch.layers()) for arch in networks]  # which tell input side and classes too
    values = [list(part.items()) for part in (space.choices, space.parents)]
    made_of = [device.as_dict(), space.name, *values, layers]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    return cache_folder() / "calibrations" / f"{digest}.json"


def reusable(path: Path, device: Fingerprint) -> LatencyModel | None:
    """Return the model in a file of the cache; None where none can be read, or a doubtful one."""
    try:
        if not is_written(path):
            return None
        model = load(path)
    except BneckError:  # damaged, or another user's
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
