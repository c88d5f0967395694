"""ONNX Runtime sessions, opened in one way by whoever runs a graph."""

from pathlib import Path

import onnxruntime as ort


def open_session(
    model: bytes | Path, *, threads: int | None = None, waits_passively: bool = False
) -> ort.InferenceSession:
    """Open a session on the CPU.

    Denormal numbers count as zero: a few of them in the weights make convolutions tens of times
    slower. ONNX Runtime takes that from the first session of a process only, so all are opened
    here.

    Args:
        model: a serialised model, or a file whose weights may lie beside it.
        threads: of one operator; None leaves it to ONNX Runtime.
        waits_passively: whether its threads leave their cores to others between two runs.

    Raises:
        Exception: whatever ONNX Runtime raises for a model that it cannot run.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    if waits_passively:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    source = str(model) if isinstance(model, Path) else model
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
