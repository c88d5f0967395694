"""What every export promises: a file that agrees with the network, whole or not at all."""

import stat
from pathlib import Path

import pytest
import torch

from bneck.errors import BneckError, UsageError
from bneck.results import exports
from bneck.results.exports import EXPORTS, TOLERANCE, Samples, Trained, checking, export
from bneck.space.backends import torch_model
from tests.small_networks import three_blocks

FORMATS = [
    pytest.param(word, marks=[pytest.mark.slow] if word in ("executorch", "torch-export") else [])
    for word in EXPORTS
]


@pytest.fixture(scope="module")
def trained() -> Trained:
    """Squeeze-excite, h-swish, 3x3 and 5x5, a residual; figures that formats may keep."""
    arch = three_blocks(width=0.35, resolution_px=32, classes=3)
    network = torch_model.build(arch, seed=1)
    images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    samples = Samples(*[lambda: iter([(images, torch.zeros(32, dtype=torch.int64))])] * 3)
    notes = {"classes": '["a", "b", "c"]', "mean": "[0.5, 0.5, 0.5]", "std": "[0.2, 0.2, 0.2]"}
    return Trained(arch, network.state_dict(), notes, samples)


@pytest.mark.parametrize("to", FORMATS)
def test_it_agrees_with_the_network(to: str, trained: Trained, tmp_path: Path) -> None:
    if to == "executorch":
        pytest.importorskip("executorch", reason="pip install 'bneck[executorch]'")
    file = tmp_path / f"exported{EXPORTS[to].suffixes[0]}"
    exported = export(trained, to, file)
    assert 0 <= exported.difference <= (0.5 if EXPORTS[to].in_8_bits else TOLERANCE)
    assert (exported.int8 is not None) == EXPORTS[to].in_8_bits
    assert file.stat().st_size > 0
    assert stat.S_IMODE(file.stat().st_mode) & 0o600 == 0o600
    left = {path.name for path in tmp_path.iterdir()}
    assert all(name.startswith("exported") for name in left), left


@pytest.mark.parametrize("to", FORMATS)
def test_another_suffix_is_refused_before_any_work(
    to: str, trained: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "exported.zip"
    with pytest.raises(UsageError, match=f"a file of {to} ends in"):
        export(trained, to, file)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["onnx", "pytorch", "tflite", "torchvision"])  # written by ours
def test_a_file_that_would_disagree_is_refused(
    to: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked on one image, our own module gives another answer than the file."""
    expected = checking.network

    def other(trained: Trained) -> object:
        network = expected(trained)
        with torch.no_grad():
            network.get_parameter("head.classifier.linear.bias").add_(1.0)
        return network

    monkeypatch.setattr(checking, "network", other)
    with pytest.raises(BneckError, match="differs from the network by"):
        export(trained, to, tmp_path / f"exported{EXPORTS[to].suffixes[0]}")


@pytest.mark.parametrize("to", [word for word in FORMATS if not EXPORTS[word.values[0]].in_8_bits])
def test_a_file_that_disagrees_is_not_left_behind(
    to: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of an earlier export stay as they were."""
    if to == "executorch":
        pytest.importorskip("executorch", reason="pip install 'bneck[executorch]'")
    monkeypatch.setattr(exports, "TOLERANCE", -1.0)
    monkeypatch.setattr(exports, "_is_rounding", lambda *_: False)
    file, beside = tmp_path / f"exported{EXPORTS[to].suffixes[0]}", EXPORTS[to].beside
    with pytest.raises(BneckError, match=f"{file}: the {to} export differs from the network by"):
        export(trained, to, file)
    assert not list(tmp_path.iterdir())
    earlier = [file] if beside is None else [file, file.with_suffix(beside)]
    for one in earlier:
        one.write_text("earlier")
    with pytest.raises(BneckError, match="differs from the network by"):
        export(trained, to, file)
    assert sorted(tmp_path.iterdir()) == sorted(earlier)
    assert {one.read_text() for one in earlier} == {"earlier"}
