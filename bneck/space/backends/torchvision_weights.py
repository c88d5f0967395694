"""torchvision's own state dicts for our modules, and ours for torchvision's.

torchvision registers its layers in the order they run, as the lowering lists them; so the two are
laid over each other one by one, and every shape is checked.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bneck.errors import UsageError
from bneck.files import naming
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.torch_model import empty_state
from bneck.space.backends.weights import State
from bneck.space.layers import Conv, Pool, leaves

_CONV = ("weight",)
_BIASED = ("weight", "bias")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_CLASSIFIER = "classifier"


def load(path: Path, arch: Architecture) -> State:
    """Read a torchvision weight file (``weights_only``, or safetensors) as the state of ``arch``.

    Raises:
        UsageError: no such file, not a state dict, or the first tensor that does not fit.
    """
    state = read(path)
    with naming(path):
        return from_torchvision(state, arch)


def classes(state: State) -> int | None:
    """Return the number of classes of a network, whose last tensor is the classifier's bias."""
    last = next(reversed(state.values()), None)
    return len(last) if last is not None and last.ndim == 1 and len(last) > 1 else None


def are_in(state: Mapping[str, Tensor]) -> bool:
    """Return whether tensors have torchvision's names."""
    return any(name.startswith(f"{_CLASSIFIER}.") for name in state)


def read(path: Path) -> State:
    """Read the tensors of a file as they are: a state dict (``weights_only``), or safetensors.

    Raises:
        UsageError: no such file, or not tensors by name.
    """
    if path.suffix == ".safetensors":
        return _as_registered(weights.read(path))
    try:
        with warnings.catch_warnings(action="ignore"):  # that another pickle protocol may fail
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except (PermissionError, IsADirectoryError) as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except Exception:  # the unpickler raises whatever it meets, and torch advises unsafe loading
        raise UsageError(
            f"{path} is not a plain state dict: it is damaged, or holds more than tensors; "
            "torch.save(network.state_dict(), FILE) writes one"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"{path} is not a state dict of tensors")
    return dict(state)


def _as_registered(state: State) -> State:
    """The tensors in the order in which torchvision registers them, which safetensors lose."""

    def place(name: str) -> tuple[bool, list[tuple[int, str]], int]:
        module, _, part = name.rpartition(".")
        numbers = [(int(word), "") if word.isdigit() else (-1, word) for word in module.split(".")]
        return module.startswith(_CLASSIFIER), numbers, _NORM.index(part) if part in _NORM else -1

    return {name: state[name] for name in sorted(state, key=place)}


def from_torchvision(state: Mapping[str, Tensor], arch: Architecture) -> State:
    """torchvision's tensors under our names.

    Raises:
        UsageError: the first tensor that does not fit ``arch``.
    """
    return {ours: state[theirs] for ours, theirs in _pairs(arch, state)}


def to_torchvision(
    state: Mapping[str, Tensor], arch: Architecture, template: Mapping[str, Tensor]
) -> State:
    """Our tensors under torchvision's names.

    Args:
        state: our tensors by name.
        arch: the network that they are of.
        template: torchvision's state dict of the same network, which lists its names.
    """
    return {theirs: state[ours] for ours, theirs in _pairs(arch, template)}


def _pairs(arch: Architecture, theirs: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    wanted, names = empty_state(arch), iter(theirs)
    for ours in _our_names(arch):
        name = next(names, None)
        if name is None:
            raise UsageError(f"missing tensor {ours}")
        have, want = list(theirs[name].shape), list(wanted[ours].shape)
        if have != want or name.rsplit(".")[-1] != ours.rsplit(".")[-1]:
            raise UsageError(f"{name} has shape {have}, where {ours} needs {want}")
        yield ours, name
    if (left := next(names, None)) is not None:
        raise UsageError(f"unexpected tensor {left}")


def _our_names(arch: Architecture) -> Iterator[str]:
    """Our state names in torchvision's order: convolution, then its batch norm."""
    for leaf in leaves(arch.layers()):
        if isinstance(leaf, Pool):
            continue
        if isinstance(leaf, Conv):
            yield from (f"{leaf.path}.conv.{part}" for part in (_BIASED if leaf.bias else _CONV))
            if not leaf.bias:
                yield from (f"{leaf.path}.norm.{part}" for part in _NORM)
        else:
            yield from (f"{leaf.path}.linear.{part}" for part in _BIASED)
