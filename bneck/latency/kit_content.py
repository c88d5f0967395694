"""What a kit says of itself in ``kit.json``, and the names of what it measures."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bneck.errors import UsageError
from bneck.files import read_json
from bneck.latency.runtimes.weights import Array, norm_free
from bneck.path_checks import check_file
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.text import option_name

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


@dataclass(frozen=True, slots=True)
class Kit:
    """What the kit of a folder says of itself.

    Attributes:
        folder: the kit's.
        content: what ``kit.json`` holds.
        made_for: its runtime and batch size, and its networks' input side and class count.
    """

    folder: Path
    content: dict[str, Any]
    made_for: dict[str, Any]

    def check_takes(
        self, arch: Architecture, *, runtime: str, batch_size: int, any_classes: bool = False
    ) -> None:
        """Raise UsageError where a network cannot be added, for what the kit is made for.

        Args:
            arch: the network.
            runtime: what is to run the network.
            batch_size: images that one run takes.
            any_classes: pass over the number of classes, for a network that is only predicted.
        """
        classes = self.made_for["classes"] if any_classes else arch.classes
        about = {"runtime": runtime, "batch_size": batch_size}
        about |= {"resolution_px": arch.resolution_px, "classes": classes}
        if differing := [name for name in about if self.made_for[name] != about[name]]:
            has, asked = (
                " and ".join(_IN_WORDS[name].format(one[name]) for name in differing)
                for one in (self.made_for, about)
            )
            raise UsageError(f"the kit in {self.folder} is for {has}, the network for {asked}")

    def check_options(self, *, runtime: str, batch_size: int, resolution_px: int | None) -> None:
        """Raise UsageError, which names the option, where the kit is for other options.

        Args:
            runtime: what is to run the networks.
            batch_size: images that one run takes.
            resolution_px: the networks' input side; None where it is not known yet.
        """
        asked = {"runtime": runtime, "batch_size": batch_size, "resolution_px": resolution_px}
        for name, value in asked.items():
            if value not in (None, self.made_for[name]):
                raise UsageError(
                    f"the kit in {self.folder} is for --{option_name(name)} {self.made_for[name]}, "
                    f"not {value}: give that, or another folder"
                )

    def check_calibrates(self) -> None:
        """Raise UsageError where the kit measures nothing but networks that were added to it."""
        if all(is_final(item.get("name")) for item in self.content["networks"]):
            raise UsageError(
                f"the kit in {self.folder} measures a run's network and calibrates nothing: name "
                "another folder"
            )


def read_kit(folder: Path) -> Kit | None:
    """Return what the kit of a folder says of itself; None where there is none yet.

    Raises:
        UsageError: it is damaged.
    """
    file = folder / KIT
    if not file.exists():
        return None
    check_file(file)  # reading a pipe may never end
    kit = read_json(file)
    try:
        networks = {item["file"]: item["arch"] for item in kit["networks"]}
        first = codec.from_json(next(iter(networks.values()), None))
        found = {"runtime": kit["runtime"], "batch_size": kit.get("batch_size", 1)}
        json.dumps(kit, allow_nan=False)  # it is written again where a network is added
    except (KeyError, TypeError, AttributeError, ValueError, UsageError):
        raise UsageError(f"{file} is not what `bneck latency kit` writes") from None
    found |= {"resolution_px": first.resolution_px, "classes": first.classes}
    return Kit(folder, kit, found)


def is_final(name: object) -> bool:
    """Whether a measurement of this name is not fitted to: of a network that was added to a kit."""
    return str(name).startswith(FINAL)
