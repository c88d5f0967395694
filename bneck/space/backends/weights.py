"""Weights by path, in files and as bytes.

A state is what ``Network.state_dict()`` gives: tensors named by the layers' paths.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as deserialised
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model

State = dict[str, Tensor]


def save(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state as safetensors, whole or not at all."""
    write_whole(path, to_bytes(state))


def to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """Return the content of a safetensors file of the state."""
    return serialised({name: tensor.detach().contiguous() for name, tensor in state.items()})


def from_bytes(data: bytes, arch: Architecture) -> State:
    """Read what ``to_bytes`` returned.

    Raises:
        UsageError: not such bytes, or the first tensor that does not fit ``arch``.
    """
    return fitted(tensors(data), arch, "these weights")


def tensors(data: bytes) -> State:
    """Read what ``to_bytes`` returned, whichever network it is of.

    Raises:
        UsageError: not such bytes.
    """
    try:
        return deserialised(data)
    except (SafetensorError, KeyError) as error:  # also a type that torch has not
        raise UsageError(f"not a safetensors file: {error}") from None


def load(path: Path, arch: Architecture) -> State:
    """Read the weights of ``arch``.

    Raises:
        UsageError: no safetensors file, or its first tensor that does not fit ``arch``.
    """
    return fitted(read(path), arch, str(path))


def arrays(state: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """Return the tensors as the arrays by which runtimes and devices take a network's weights."""
    return {name: tensor.detach().numpy() for name, tensor in state.items()}


def classes(state: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes of a network; None without a classifier."""
    bias = state.get("head.classifier.linear.bias")
    return None if bias is None else len(bias)


def read(path: Path) -> State:
    """Read the tensors of a safetensors file as they are.

    Raises:
        UsageError: no such file, or no safetensors file.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a safetensors file: {error}") from None


def check_finite(state: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise UsageError with ``source`` and the first tensor that has NaN or infinities, if any."""
    for name, tensor in state.items():
        if not (finite := tensor.isfinite()).all():
            number = tensor[~finite][0].item()
            raise UsageError(f"{source}: {name} has {number}, not finite numbers")


def fitted(state: Mapping[str, Tensor], arch: Architecture, source: str) -> State:
    """Return the tensors as ``arch`` needs them: half, bfloat16 and double become float32.

    Args:
        state: tensors by name.
        arch: the network that they are for.
        source: where they come from, which the errors begin with.

    Raises:
        UsageError: the first tensor that is missing, does not fit, is not of floating point where
            it must, or is too many.
    """
    wanted = torch_model.empty_state(arch)
    for name, tensor in wanted.items():
        if name not in state:
            raise UsageError(f"{source}: missing tensor {name}")
        if state[name].shape != tensor.shape:
            have, want = list(state[name].shape), list(tensor.shape)
            raise UsageError(f"{source}: {name} has shape {have}, the network needs {want}")
        if state[name].is_floating_point() != tensor.is_floating_point():
            kinds = [str(one.dtype).removeprefix("torch.") for one in (state[name], tensor)]
            raise UsageError(f"{source}: {name} is {kinds[0]}, the network needs {kinds[1]}")
    for name in state:
        if name not in wanted:
            raise UsageError(f"{source}: unexpected tensor {name}")
    return {name: state[name].to(tensor.dtype) for name, tensor in wanted.items()}
