from pathlib import Path

import pytest

from bneck.commands.derive import next_steps
from bneck.derivation.plan import Plan


@pytest.mark.parametrize(
    ("runtime", "export"),
    [
        ("onnxruntime", []),
        ("onnxruntime-int8", ["FILE.onnx --to onnx-int8"]),
        ("litert", ["FILE.tflite --to tflite"]),
        ("litert-int8", ["FILE.tflite --to tflite-int8"]),
    ],
)
def test_what_the_targets_runtime_reads_is_named(runtime: str, export: list[str]) -> None:
    """A run writes ``model.onnx``, whatever its latency is of."""
    first, *others = next_steps(Plan(runtime=runtime), Path("my run"), measured=True)
    assert first == "to use it: bneck predict 'my run' IMAGE..."
    assert others == [f"for {runtime}: bneck export 'my run' {words}" for words in export]
