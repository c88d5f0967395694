"""``table:FILE``: a published table of latencies; nothing can be measured on it."""

from collections.abc import Iterable, Iterator

from bneck.errors import UsageError
from bneck.files import path_of
from bneck.latency.devices import Device, Graph
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.published_table import PREFIX, PublishedTable, read_table
from bneck.latency.timing import Effort, Timing


class TableDevice(Device):
    """The device that someone else measured; runtime and threads are the table's own.

    A table does not say what batches it was measured with: ``batch_size`` does.
    """

    published: PublishedTable

    def __init__(self, name: str, *, runtime: str, threads: int, batch_size: int) -> None:
        if not name:
            raise UsageError(f"name the file of the table: {PREFIX}FILE")
        self.word = f"{PREFIX}{name}"
        self.published = read_table(path_of(name))
        self.batch_size = batch_size

    def check_kept(self, kept: PublishedTable) -> None:
        """Raise UsageError where the file has changed since a run kept a copy of it."""
        if kept.entries != self.published.entries:
            raise UsageError(f"{self.word} has changed since this run began: use another --out")

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.word, 1, "table", "1", 1, self.batch_size)

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        raise UsageError(f"{self.word} is a table: its latencies can be predicted, not measured")
