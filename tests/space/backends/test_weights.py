"""Files and bytes of weights, and what does not fit."""

from pathlib import Path

import pytest
import torch

from bneck.errors import UsageError
from bneck.space import presets
from bneck.space.backends import torch_model, weights

ARCH = presets.build("mobilenet_v3_small", width=0.5, resolution_px=32, classes=10)


def test_files_round_trip_and_name_what_does_not_fit(tmp_path: Path) -> None:
    state = torch_model.build(ARCH, seed=1).state_dict()
    file = tmp_path / "w.safetensors"
    weights.save(file, state)
    again = weights.load(file, ARCH)
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    other = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)
    with pytest.raises(UsageError, match=r"stem\.conv\.conv\.weight has shape \[8, 3.* needs \[16"):
        weights.load(file, other)
    file.write_bytes(b"not a file of tensors")
    with pytest.raises(UsageError, match="is not a safetensors file"):
        weights.load(file, ARCH)
    with pytest.raises(UsageError, match="no such file"):
        weights.load(tmp_path / "none.safetensors", ARCH)


def test_bytes_round_trip_and_name_what_does_not_fit() -> None:
    state = torch_model.build(ARCH, seed=1).state_dict()
    again = weights.from_bytes(weights.to_bytes(state), ARCH)
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    with pytest.raises(UsageError, match=r"these weights: head\.classifier\..* has shape"):
        weights.from_bytes(weights.to_bytes(state), ARCH.at(classes=7))
    with pytest.raises(UsageError, match="not a safetensors file"):
        weights.from_bytes(b"torn", ARCH)
    with pytest.raises(UsageError, match="not a safetensors file"):
        weights.from_bytes(of_a_type_that_torch_has_not(), ARCH)


def of_a_type_that_torch_has_not() -> bytes:
    header = b'{"a":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[0,1]}}'
    return len(header).to_bytes(8, "little") + header + b"0"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_become_what_the_network_needs(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    state = torch_model.build(ARCH, seed=0).state_dict()
    other = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    weights.save(tmp_path / "other.safetensors", other)
    read = weights.load(tmp_path / "other.safetensors", ARCH)
    assert {name: t.dtype for name, t in read.items()} == {n: t.dtype for n, t in state.items()}
    for name, tensor in read.items():
        assert torch.equal(tensor, other[name].to(tensor.dtype))


def test_weights_that_are_whole_numbers_are_refused(tmp_path: Path) -> None:
    state = torch_model.build(ARCH, seed=0).state_dict()
    name = "stem.conv.conv.weight"
    weights.save(tmp_path / "int8.safetensors", state | {name: state[name].to(torch.int8)})
    with pytest.raises(UsageError, match=rf"{name} is int8, the network needs float32"):
        weights.load(tmp_path / "int8.safetensors", ARCH)


def test_the_class_count_is_the_classifiers() -> None:
    state = torch_model.build(ARCH, seed=0).state_dict()
    assert weights.classes(state) == 10
    assert weights.classes({"stem.conv.conv.weight": state["stem.conv.conv.weight"]}) is None
