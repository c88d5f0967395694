"""A run's network in the files that it is used by: bneck's own, and ONNX."""

from bneck import records
from bneck.files import is_written
from bneck.results import metadata
from bneck.results.exports import Trained, export
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.space.architecture import Architecture
from bneck.space.backends import weights


def export_network(
    run: Run, arch: Architecture, state: weights.State, figures: dict[str, str]
) -> None:
    """Write the run's network, its weights and its ONNX file, with what a user of it must know.

    Args:
        run: the run.
        arch: the network.
        state: its trained weights.
        figures: notes by name, such as accuracy and latency_ms; these replace the run's.
    """
    records.write(run.network, arch)
    weights.save(run.weights, state)
    _write_onnx(run, arch, state, figures)


def restore_export(run: Run, outcome: Outcome) -> None:
    """Write the ONNX file of a finished run again from its weights, where somebody removed it.

    Raises:
        UsageError: the weights are missing too, or do not fit.
    """
    if not is_written(run.onnx):
        state = weights.load(run.weights, outcome.arch)
        figures = metadata.measured(outcome.accuracy, outcome.measured)
        _write_onnx(run, outcome.arch, state, figures)


def _write_onnx(
    run: Run, arch: Architecture, state: weights.State, figures: dict[str, str]
) -> None:
    export(Trained(arch, state, metadata.notes(run) | figures), "onnx", run.onnx)
