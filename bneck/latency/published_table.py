"""``table:FILE``: a published look-up table of block latencies, used as a device.

Its blocks have the names of ``block_names``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bneck import records
from bneck.errors import NotCalibrated, UsageError
from bneck.files import csv_rows, read_text, write_json
from bneck.latency.block_names import block_names
from bneck.latency.checks import MOST
from bneck.quantities import Latency
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

PREFIX = "table:"
HEADER = ["block", "ms"]
FORMAT = "bneck-table-1"
NOTHING_NEW = 3000
"""Random networks without a new block after which all blocks of a space are taken as seen."""


@dataclass(frozen=True)
class PublishedTable:
    """Latency of a network as the sum of its blocks' entries.

    Entries are (ms, standard deviation in ms, 0 where the table has none) by block name.
    """

    name: str
    entries: dict[str, tuple[float, float]]

    channel_grid = 1
    """A table does not say how the runtime pads channels."""

    def predict(self, arch: Architecture) -> Latency:
        """Latency of ``arch``.

        Raises:
            NotCalibrated: the first block that the table lacks.
        """
        found = list(self._found(arch).values())
        return Latency(sum(ms for ms, _ in found), sum(std**2 for _, std in found) ** 0.5)

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        """ms by block path; the head's parts by layer path."""
        return {path: ms for path, (ms, _) in self._found(arch).items()}

    def check_space(self, space: Space) -> None:
        """Raise UsageError where networks of a space have blocks that the table lacks."""
        names: dict[str, str] = {}
        last_new = 0
        for seed in count():
            for path, block in block_names(space.decode(space.sample(seed)).layers()):
                if block not in names:
                    names[block], last_new = path, seed
            if seed - last_new >= NOTHING_NEW:
                break
        lacking = [block for block in names if block not in self.entries]
        if lacking:
            raise UsageError(
                f"{self.name} lacks {len(lacking)} of the {len(names)} blocks that networks of "
                f"space {space.name} have, such as {names[lacking[0]]}: {lacking[0]}"
            )

    def save(self, path: Path) -> None:
        """Write the table as JSON, so that a run holds all that it was predicted by."""
        write_json(path, {"format": FORMAT, **records.to_json(self)})

    def _found(self, arch: Architecture) -> dict[str, tuple[float, float]]:
        found = {}
        for path, block in block_names(arch.layers()):
            if block not in self.entries:
                raise NotCalibrated(f"{path}: {self.name} has no block {block}")
            found[path] = self.entries[block]
        return found


def read_table(path: Path) -> PublishedTable:
    """Read our CSV (``block,ms`` and optionally ``std_ms``) or once-for-all's YAML, by file name.

    Raises:
        UsageError: unreadable, or an entry that is missing, doubled, out of range or no number.
    """
    text = read_text(path)
    parse = _once_for_all if path.suffix in (".yaml", ".yml") else _csv
    entries: dict[str, tuple[float, float]] = {}
    for line, block, ms, std in parse(text, path):
        where = f"{path}, line {line}"
        if block in entries:
            raise UsageError(f"{where}: {block} is listed twice")
        entries[block] = _number(ms, f"{where}: ms"), _number(std, f"{where}: std_ms")
        if entries[block][0] == 0:
            raise UsageError(f"{where}: {block} must take more than 0 ms")
    if not entries:
        raise UsageError(f"{path} holds no blocks")
    return PublishedTable(f"{PREFIX}{path}", entries)


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= MOST:
        raise UsageError(f"{what} must be a number from 0 to {MOST:g}, got {text!r:.60}")
    return value


Entry = tuple[int, str, str, str]
"""Line number, block, ms, std_ms."""


def _csv(text: str, path: Path) -> Iterator[Entry]:
    rows = csv_rows(text.splitlines(), path)
    _, header = next(rows, (0, []))
    if header not in (HEADER, [*HEADER, "std_ms"]):
        raise UsageError(f"{path} must begin with the line 'block,ms' or 'block,ms,std_ms'")
    for line, row in rows:
        if len(row) != len(header):
            raise UsageError(f"{path}, line {line}: {len(header)} fields expected")
        yield line, row[0], row[1], row[2] if len(row) == 3 else "0"


def _once_for_all(text: str, path: Path) -> Iterator[Entry]:
    """Blocks at the margin, their ``mean`` and ``std`` in ms indented below them."""
    block, line, values = "", 0, {"std": "0"}
    for number, content in enumerate([*text.splitlines(), "end:"], start=1):
        name, colon, value = content.strip().rpartition(":")
        if not content.strip():
            continue
        if content[0] == " " and block and colon:
            values[name] = value.strip()
            continue
        if block:
            if "mean" not in values:
                raise UsageError(f"{path}, line {line}: {block} has no mean")
            yield line, block, values["mean"], values["std"]
        if content[0] == " " or not colon or value:
            raise UsageError(f"{path}, line {number}: expected a block's name and a colon")
        block, line, values = name, number, {"std": "0"}
