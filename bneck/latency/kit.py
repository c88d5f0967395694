"""A kit: a folder that calibrates another device, networks and one script to be copied there."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bneck.errors import UsageError
from bneck.files import read_json, write_json, write_whole
from bneck.latency.calibration.networks import calibration_network, side_and_classes
from bneck.latency.devices import Graph
from bneck.latency.devices.remote import file_of, script
from bneck.latency.kit_content import (
    FORMAT,
    KIT,
    MEASURED,
    TIMES,
    final_name,
    is_final,
    read_kit,
)
from bneck.latency.measure import reference
from bneck.latency.runtimes import Runtime, open_portable
from bneck.latency.runtimes.weights import Array
from bneck.locks import locked
from bneck.path_checks import check_no_link
from bneck.progress import Progress, silent
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

SCRIPT, FILES = "measure.py", "networks"
"""What a kit holds beside KIT, which is written last."""
NETWORKS = 300
REPEATED_AFTER = 20
"""Networks after which a held-out one is timed again: under another load, against another
reference, and yet before a slow board has run out of minutes."""


def write_kit(
    spaces: Sequence[Space],
    folder: Path,
    *,
    runtime: str = "onnxruntime",
    batch_size: int = 1,
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Write the kit for ``spaces``, all of one input side and class count.

    Networks that were added to this very kit stay in it.

    Args:
        spaces: what the networks are drawn from.
        folder: where to write it.
        runtime: one of PORTABLE, which the device has.
        batch_size: images that one run takes.
        seed: of the networks that are drawn.
        progress: told about every network.

    Raises:
        UsageError: spaces of several sides or class counts, a folder of something else, one with
            measurements of another kit, or with one that a network was added to, or at which
            another process is at work.
    """
    _check_folder(folder, SCRIPT, FILES, MEASURED)
    opened = open_portable(runtime, batch_size=batch_size)
    named = [calibration_network(spaces, number, seed) for number in range(NETWORKS)]
    side_and_classes([arch for _, arch in named])
    networks: list[dict[str, Any]] = [
        {"name": name, "file": f"{number:03}.z", "arch": codec.to_json(arch)}
        for number, (name, arch) in enumerate(named)
    ]
    kit: dict[str, Any] = {"format": FORMAT, "runtime": runtime, "batch_size": batch_size}
    kit["networks"] = list(_with_repeats(networks))
    word = _digest(kit)
    with locked(folder / KIT, wait=False):
        _check_measured_with(word, folder / MEASURED)
        added = _added(folder, word)
        if not added:  # which nothing but the kit knows
            (folder / KIT).unlink(missing_ok=True)  # until all of its networks are there
        for number, (_, arch) in enumerate(named):
            progress("writing the kit", number, NETWORKS)
            _write_network(folder, networks[number]["file"], Graph(arch.layers()), opened)
        _write_script_and_reference(folder, named[0][1], opened)
        write_json(folder / KIT, {"kit": word, **kit, "networks": added + kit["networks"]})
    progress("writing the kit", NETWORKS, NETWORKS)


def add_to_kit(
    folder: Path,
    arch: Architecture,
    weights: Mapping[str, Array] | None,
    *,
    runtime: str,
    batch_size: int = 1,
) -> None:
    """Let a kit measure one network with its own weights; without a kit, write one for it alone.

    Another process that is at work on the kit is waited for.

    Args:
        folder: the kit, or where to write it.
        arch: the network.
        weights: arrays by the torch module's state names; None takes random ones.
        runtime: one of PORTABLE, which the device has.
        batch_size: images that one run takes.

    Raises:
        UsageError: a kit of another runtime, batch size, side or number of classes, or another
            folder.
    """
    file = folder / KIT
    _check_folder(folder, SCRIPT, FILES)  # measurements would be of another kit
    opened = open_portable(runtime, batch_size=batch_size)
    settings = {"runtime": runtime, "batch_size": batch_size}
    with locked(file):
        found = read_kit(folder)
        if found is None:
            _write_script_and_reference(folder, arch, opened)
            about = {**settings, "resolution_px": arch.resolution_px, "classes": arch.classes}
            kit: dict[str, Any] = {"kit": _digest(about), "format": FORMAT, **settings}
            kit["networks"] = []
        else:
            found.check_takes(arch, runtime=runtime, batch_size=batch_size)
            kit = found.content
        name = final_name(arch, weights)
        place = f"{name.replace(' ', '-')}.z"
        if any(item["file"] == place for item in kit["networks"]):
            return
        _write_network(folder, place, Graph(arch.layers(), weights), opened)
        written = codec.to_json(arch)
        turns = [f"{name}, {turn}" for turn in range(1, TIMES + 1)]
        added = [{"name": turn, "file": place, "arch": written} for turn in turns]
        kit["networks"] = added + kit["networks"]  # before what an earlier visit had no minutes for
        write_json(file, kit)


def _added(folder: Path, word: str) -> list[dict[str, Any]]:
    """What was added to the kit of that word, if it is the one that the folder holds."""
    kit = read_kit(folder)
    if kit is None:
        return []
    added = [item for item in kit.content["networks"] if is_final(item.get("name"))]
    if added and kit.content.get("kit") != word:
        raise UsageError(
            f"{folder} is another kit, which a network was added to: name another folder"
        )
    return added


def _check_folder(folder: Path, *may_hold: str) -> None:
    """A kit's folder is new or empty, or holds a kit, or one whose writing was interrupted."""
    check_no_link(folder / FILES, of="a kit")
    if not folder.exists() or (folder / KIT).exists():
        return
    others = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
    networks = {file.suffix for file in (folder / FILES).glob("[!.]*")}
    if others - {*may_hold} or networks - {".z"}:
        raise UsageError(f"{folder} is not empty and holds no kit")


def _check_measured_with(word: str, file: Path) -> None:
    """What another kit measured would be refused beside the one of that word."""
    if not file.exists():
        return
    content = read_json(file)
    if not isinstance(content, dict) or content.get("kit") != word:
        raise UsageError(
            f"{file} was measured with another kit: move it away, or name another folder"
        )


def _write_script_and_reference(folder: Path, arch: Architecture, runtime: Runtime) -> None:
    """Write what times the networks, and what networks like ``arch`` are timed against."""
    write_whole(folder / SCRIPT, script())
    _write_network(folder, "reference.z", reference(arch.resolution_px, arch.classes), runtime)


def _write_network(folder: Path, name: str, graph: Graph, runtime: Runtime) -> None:
    """Write a network compressed: random weights repeat, so that the kit stays small."""
    content = zlib.compress(file_of(graph, runtime), 1)
    write_whole(folder / FILES / name, content)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _with_repeats(networks: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The networks, each held-out one a second time after REPEATED_AFTER others."""
    for before, item in zip_longest([None] * REPEATED_AFTER + list(networks), networks):
        if item:
            yield item
        if before and before["name"].startswith("held-out"):
            yield {**before, "name": before["name"].replace("held-out", "repeat")}
