"""Timed networks on disk: one JSON line each, appended as they come, so that timing can resume."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bneck import json_lines, records
from bneck.errors import UsageError
from bneck.files import is_written, naming
from bneck.latency.checks import MOST, check_above, check_not_negative
from bneck.latency.device_load import QUIET, Load
from bneck.latency.timing import Timing
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.checks import check_between


@dataclass(frozen=True, slots=True)
class Measurement:
    """One timing of one network; ``name`` says which item of which plan it was.

    ``load`` is what a kit's script saw meanwhile; elsewhere it is known of whole sessions.
    """

    name: str
    arch: Architecture
    timing: Timing
    seconds: float
    load: Load = QUIET


@dataclass(frozen=True, slots=True)
class Session:
    """How busy the device was with anything else during ``seconds`` of measuring."""

    seconds: float
    load: Load


def read(path: Path) -> tuple[dict[str, Any], list[Measurement], list[Session]]:
    """Return the header of a ``measurements.jsonl``, its measurements and its sessions, in order.

    Raises:
        UsageError: it cannot be read, or a line is damaged.
    """
    with naming(f"{path} is damaged"):
        lines = [content for _, content in json_lines.read_lines(path)]
        if not lines or not isinstance(lines[0], dict):
            raise UsageError("it has no header")
        header, *others = lines
        ends = [line for line in others if isinstance(line, dict) and "load" in line]
        items = distinct(measurement(line) for line in others if line not in ends)
        return header, items, [records.from_json(Session, line) for line in ends]


class Store:
    """The measurements of one plan in ``measurements.jsonl``.

    The first line says what was measured and where; a store of another plan is refused.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.items: dict[str, Measurement] = {}
        self.sessions: list[Session] = []
        self._session_s = 0.0
        if is_written(path):
            found, items, self.sessions = read(path)
            if found != header:
                raise UsageError(
                    f"{path} holds measurements of {_where_it_differs(found, header)}, not of "
                    f"{_where_it_differs(header, found)}: name another --out"
                )
            self.items = {item.name: item for item in items}
        else:
            records.append(path, header)

    def add(self, item: Measurement) -> None:
        """Append one measurement and keep it."""
        content = {"name": item.name, "arch": codec.to_json(item.arch), "seconds": item.seconds}
        records.append(self.path, content | asdict(item.timing))
        self.items[item.name] = item
        self._session_s += item.seconds

    def end_session(self, load: Load) -> None:
        """Note how busy the device was while it took what was added since the last session."""
        if self._session_s > 0:
            session = Session(self._session_s, load)
            records.append(self.path, session)
            self.sessions.append(session)
            self._session_s = 0.0


def _where_it_differs(header: dict[str, Any], other: dict[str, Any]) -> str:
    """What a store's first line says that another does not, in words."""

    def flat(line: dict[str, Any]) -> dict[str, Any]:
        device = line.get("device")
        return {"batch_size": 1, **line, **(device if isinstance(device, dict) else {})}

    names = {"measurements": "spaces", "resolution_px": "side in px"}
    here, there = flat(header), flat(other)
    return ", ".join(
        f"{names.get(name, name.replace('_', ' '))} {value}"
        for name, value in here.items()
        if name != "device" and there.get(name) != value
    )


def load_of(parts: Sequence[Session] | Sequence[Measurement]) -> Load:
    """Return how busy a device was in all of these, by the seconds of each."""
    seconds = sum(part.seconds for part in parts) or 1.0
    return Load(
        sum(one.seconds * one.load.other_cores for one in parts) / seconds,
        sum(one.seconds * one.load.stolen for one in parts) / seconds,
        max((one.load.slowed for one in parts), default=0.0),
    )


def distinct(items: Iterable[Measurement]) -> list[Measurement]:
    """Return the measurements as a list, unless two have one name.

    Raises:
        UsageError: two of one name (names it).
    """
    found: dict[str, Measurement] = {}
    for item in items:
        if item.name in found:
            raise UsageError(f"{item.name!r} was measured twice")
        found[item.name] = item
    return list(found.values())


def measurement(content: Any) -> Measurement:
    """Read one measurement as ``Store`` and the kit write it.

    Raises:
        UsageError: a missing, foreign, negative or non-finite entry.
    """
    if not isinstance(content, dict):
        raise UsageError(f"a measurement must be an object, got {content!r:.40}")
    own = {"name", "arch", "seconds"}
    kept_apart = {*own, "load"}  # which kits of earlier versions did not note
    stated = {key: value for key, value in content.items() if key not in kept_apart}
    for key in own - content.keys():
        raise UsageError(f"the key {key!r} is missing")
    name = records.from_json(str, content["name"], "name")
    load = records.from_json(Load, content["load"]) if "load" in content else QUIET
    check_not_negative("other_cores", load.other_cores)
    check_not_negative("stolen", load.stolen)
    timing = records.from_json(Timing, stated)
    seconds = records.from_json(float, content["seconds"], "seconds")
    check_not_negative("seconds", seconds)
    for number in ("ratio", "reference_ms", "pairs"):
        check_above(number, getattr(timing, number))
    for number in ("spread", "reference_spread"):
        check_not_negative(number, getattr(timing, number))
    check_between("ratio x reference_ms", timing.ms, 1 / MOST, MOST)  # below it nothing fits
    arch = codec.from_json(content["arch"])
    return Measurement(str(name), arch, timing, seconds, load)
