"""Whatever predicts latencies: a calibrated model, a published table or multiply-adds."""

from pathlib import Path
from typing import Protocol

from bneck import records
from bneck.errors import UsageError
from bneck.files import is_written, naming, path_of, read_json
from bneck.latency.checks import check_above, check_not_negative
from bneck.latency.model import LatencyModel, load
from bneck.latency.published_table import FORMAT, PREFIX, PublishedTable, read_table
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.path_checks import check_new_file
from bneck.quantities import Latency
from bneck.space.architecture import Architecture


class Predictor(Protocol):
    """What ``LatencyModel``, ``PublishedTable`` and ``MacsRuntime`` have in common."""

    @property
    def name(self) -> str:
        """The device or table that predicts."""
        ...

    def predict(self, arch: Architecture) -> Latency:
        """Return the latency of a network; raises NotCalibrated for what was never timed."""
        ...

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        """Return ms by layer or block path, adding up to the prediction."""
        ...


def open_predictor(text: str) -> Predictor:
    """Return the model in a file that ``bneck calibrate`` wrote, ``table:FILE`` or "macs"."""
    if text == "macs":
        return MacsRuntime()
    if text.startswith(PREFIX):
        return read_table(path_of(text.removeprefix(PREFIX)))
    return load_kept(Path(text))


def load_kept(path: Path) -> LatencyModel | PublishedTable:
    """Return what a run predicts by: a latency model, or a table that ``save`` wrote.

    Raises:
        UsageError: neither of them, or damaged.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        return load(path)
    with naming(path):
        table = records.from_json(PublishedTable, content)
        for block, (ms, std_ms) in table.entries.items():
            check_above(f"ms of {block:.80}", ms)
            check_not_negative(f"std_ms of {block:.80}", std_ms)
        return table


def check_new_model(path: Path) -> None:
    """Raise an error where no file can be, or where a model would replace something else."""
    check_new_file(path)
    if is_written(path):
        try:
            load(path)
        except UsageError:
            raise UsageError(
                f"{path} is there and is no latency model: name another file"
            ) from None
