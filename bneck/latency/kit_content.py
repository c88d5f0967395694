"""What a kit says of itself in ``kit.json``, and the names of what it measures."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bneck.errors import UsageError
from bneck.files import read_json
from bneck.latency.runtimes.weights import Array, norm_free
from bneck.path_checks import check_file
from bneck.space import codec
from bneck.space.architecture import Architecture

KIT, MEASURED = "kit.json", "measurements.json"
FORMAT = "bneck-measurements-1"
FINAL = "final"
"""First word in the names of networks that are measured, and not fitted to."""
TIMES = 5
"""How often such a network is measured; it is prepared again each time, as on this machine."""
_IN_WORDS = {
    "runtime": "--runtime {}",
    "batch_size": "--batch-size {}",
    "resolution_px": "{} px",
    "classes": "{} classes",
}
"""Words for what a kit is made for."""


def final_name(arch: Architecture, weights: Mapping[str, Array] | None) -> str:
    """Return what the names of a final network's measurements begin with: its weights tell too.

    Args:
        arch: the network.
        weights: arrays by the torch module's state names; None stands for random ones.
    """
    digest = hashlib.sha256(json.dumps(codec.to_json(arch), sort_keys=True).encode())
    if weights is not None:
        for _, array in sorted(norm_free(arch.layers(), weights)[1].items()):
            digest.update(array.tobytes())
    return f"{FINAL} {digest.hexdigest()[:12]}"


def kit_that_takes(
    arch: Architecture, folder: Path, *, runtime: str, batch_size: int, any_classes: bool = False
) -> dict[str, Any]:
    """Return what the kit of a folder says of itself, if a network can be added to it.

    Args:
        arch: the network.
        folder: the kit.
        runtime: what is to run the network.
        batch_size: images that one run takes.
        any_classes: pass over the number of classes, for a network that is only predicted.

    Raises:
        UsageError: a kit of another runtime, batch size, side or number of classes, or none.
    """
    kit, found = read_kit(folder)
    about = {"runtime": runtime, "batch_size": batch_size}
    classes = found["classes"] if any_classes else arch.classes
    about |= {"resolution_px": arch.resolution_px, "classes": classes}
    if differing := [name for name in about if found[name] != about[name]]:
        has, asked = (
            " and ".join(_IN_WORDS[name].format(one[name]) for name in differing)
            for one in (found, about)
        )
        raise UsageError(f"the kit in {folder} is for {has}, the network for {asked}")
    return kit


def check_made_for(
    folder: Path, *, runtime: str, batch_size: int, resolution_px: int | None
) -> None:
    """Refuse a folder whose kit is for other options, if it holds one.

    Args:
        folder: the kit's, or where one will be written.
        runtime: what is to run the networks.
        batch_size: images that one run takes.
        resolution_px: the networks' input side; None where it is not known yet.

    Raises:
        UsageError: names the option.
    """
    if not (folder / KIT).exists():
        return
    _, found = read_kit(folder)
    asked = {"runtime": runtime, "batch_size": batch_size, "resolution_px": resolution_px}
    for name, value in asked.items():
        if value not in (None, found[name]):
            option = name.removesuffix("_px").replace("_", "-")
            raise UsageError(
                f"the kit in {folder} is for --{option} {found[name]}, not {value}: give that, or "
                "another folder"
            )


def read_kit(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the kit of a folder says of itself, and what its networks are for.

    Raises:
        UsageError: the folder has no kit, or a damaged one.
    """
    file = folder / KIT
    check_file(file)  # reading a pipe may never end
    kit = read_json(file)
    try:
        networks = {item["file"]: item["arch"] for item in kit["networks"]}
        first = codec.from_json(next(iter(networks.values()), None))
        found = {"runtime": kit["runtime"], "batch_size": kit.get("batch_size", 1)}
        json.dumps(kit, allow_nan=False)  # it is written again where a network is added
    except (KeyError, TypeError, AttributeError, ValueError, UsageError):
        raise UsageError(f"{file} is not what `bneck latency kit` writes") from None
    return kit, found | {"resolution_px": first.resolution_px, "classes": first.classes}


def kit_that_calibrates(folder: Path) -> dict[str, Any]:
    """Return what the kit of a folder says of itself, if it measures more than was added to it.

    Raises:
        UsageError: it only measures such networks, or the folder has no kit, or a damaged one.
    """
    kit, _ = read_kit(folder)
    if all(is_final(item.get("name")) for item in kit["networks"]):
        raise UsageError(
            f"the kit in {folder} measures a run's network and calibrates nothing: name another "
            "folder"
        )
    return kit


def is_final(name: object) -> bool:
    """Whether a measurement of this name is not fitted to: of a network that was added to a kit."""
    return str(name).startswith(FINAL)
