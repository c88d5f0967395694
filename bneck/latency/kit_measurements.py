"""What a kit's script has measured, read back: a model, and networks that were named."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bneck import records
from bneck.errors import UsageError, unknown
from bneck.files import naming, read_json
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.fitted_model import KINDS, model_from
from bneck.latency.kit_content import FINAL, FORMAT, KIT, is_final
from bneck.latency.measurements import Measurement, distinct, load_of, measurement
from bneck.latency.model import LatencyModel
from bneck.path_checks import check_file

OTHER_UNIT = 100
"""No load and no heat makes the one network that all are timed against so many times as slow."""


def read_measurements(path: Path) -> LatencyModel:
    """The model of the device that the kit was run on.

    Raises:
        UsageError: not the kit's file, one of another kit than lies beside it, or an entry that is
            missing, doubled, negative or no number.
        BneckError: too few networks.
    """
    return model_of_kit(path, *measured_by_kit(path))


def model_of_kit(path: Path, device: Fingerprint, found: Sequence[Measurement]) -> LatencyModel:
    """Return the model that is fitted to a kit's measurements, but for those of named networks.

    Args:
        path: the file that they were read from.
        device: what the kit was run on.
        found: what it measured there.

    Raises:
        UsageError: no network but named ones.
        BneckError: too few networks.
    """
    items = [item for item in found if not is_final(item.name)]
    if not items:
        raise UsageError(f"{path} holds no networks to calibrate on")
    return model_from(items, device, items[0].arch.resolution_px, busy=str(load_of(items)))


def measured_by_kit(path: Path) -> tuple[Fingerprint, list[Measurement]]:
    """The device that a kit was run on, and its measurements.

    Raises:
        UsageError: as ``read_measurements``.
    """
    check_file(path)
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or "networks" in content:
        raise UsageError(f"{path} is not a kit's measurements.json ({FORMAT})")
    with naming(path):
        device = records.from_json(Fingerprint, content.get("device"))
        items = _items(content.get("items"))
    kit = path.with_name(KIT)
    beside = read_json(kit) if kit.exists() else content
    if not isinstance(beside, dict) or beside.get("kit") != content.get("kit"):
        raise UsageError(f"{path} was measured with another kit than {kit.parent} holds")
    return device, items


def _items(content: Any) -> list[Measurement]:
    if not isinstance(content, list) or not content:
        raise UsageError("there are no measurements")
    found: list[Measurement] = []
    kinds = (*KINDS, FINAL)
    for number, entry in enumerate(content):
        with naming(f"measurement {number}"):
            found.append(measurement(entry))
            if not found[-1].name.startswith(kinds):
                raise unknown("kind of measurement", found[-1].name, kinds)
    if len({item.arch.resolution_px for item in found}) != 1:
        raise UsageError("the measurements are of several input sides")
    if len(classes := sorted({item.arch.classes for item in found})) != 1:
        counts = " and ".join(map(str, classes))
        raise UsageError(f"the measurements are of several class counts: {counts}")
    usual_ms = median(item.timing.reference_ms for item in found)
    for number, item in enumerate(found):
        took_ms = item.timing.reference_ms
        if not 1 / OTHER_UNIT < took_ms / usual_ms < OTHER_UNIT:
            raise UsageError(
                f"measurement {number}: the reference took {took_ms:.3g} ms, and {usual_ms:.3g} ms "
                "in others: is it in another unit?"
            )
    return distinct(found)
