"""Weights by path: files, and what one network hands on to another.

A state is what ``Network.state_dict()`` gives: tensors named by the layers' paths.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as deserialised
from safetensors.torch import save as serialised
from torch import Tensor

from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.space.architecture import IMAGE_CHANNELS, Architecture
from bneck.space.backends import torch_model
from bneck.space.channels import channel_groups
from bneck.space.layers import Conv, Linear, Pool, leaves

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
    try:
        state = deserialised(data)
    except SafetensorError as error:
        raise UsageError(f"not a safetensors file: {error}") from None
    check(state, arch, "these weights")
    return state


def load(path: Path, arch: Architecture) -> State:
    """Read the weights of ``arch``.

    Raises:
        UsageError: no safetensors file, or its first tensor that does not fit ``arch``.
    """
    state = _read(path)
    check(state, arch, str(path))
    return state


def classes(path: Path) -> int | None:
    """How many classes the network in a safetensors file knows; None where it has no classifier.

    Raises:
        UsageError: no safetensors file.
    """
    bias = _read(path).get("head.classifier.linear.bias")
    return None if bias is None else len(bias)


def _read(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a safetensors file: {error}") from None


def check(state: Mapping[str, Tensor], arch: Architecture, source: str) -> None:
    """Raise UsageError naming the first tensor that is missing, of another shape or too many."""
    with torch.device("meta"):
        wanted = torch_model.Network(arch).state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise UsageError(f"{source} lacks the tensor {name}")
        if state[name].shape != tensor.shape:
            have, want = list(state[name].shape), list(tensor.shape)
            raise UsageError(f"{source}: {name} has shape {have}, the network needs {want}")
    for name in state:
        if name not in wanted:
            raise UsageError(f"{source} has the tensor {name}, which the network does not know")


def inherit(
    source: Architecture,
    state: Mapping[str, Tensor],
    target: Architecture,
    *,
    seed: int,
    importance: Mapping[str, Tensor] | None = None,
) -> State:
    """The weights of ``target``: those of ``source`` where paths agree, fresh ones elsewhere.

    Where a width shrinks, the channels of the largest ``importance`` stay, a number a channel for
    each channel group; None takes the filters' L2 norm (NetAdapt, section 3.3). Every layer that
    shares the channels keeps the same ones. Where it grows, the new channels are drawn from
    ``seed`` and read with weights of zero at first, so that the network computes what it did
    (Chen et al. 2016, "Net2Net"). A smaller kernel is the middle of the larger one.
    """
    fresh = torch_model.build(target, seed=seed).state_dict()
    old_leaves = {leaf.path: leaf for leaf in leaves(source.layers())}
    old_groups, new_groups = channel_groups(source.layers()), channel_groups(target.layers())
    ranked = squared_norms(source, state) if importance is None else importance
    # For each channel group of the target: the source's group it comes from, and which channels.
    kept: dict[str, tuple[str, Tensor]] = {"image": ("image", torch.arange(IMAGE_CHANNELS))}
    for leaf in leaves(target.layers()):
        old = old_leaves.get(leaf.path)
        if isinstance(leaf, Pool) or isinstance(old, Pool) or old is None:
            continue
        old_ends, new_ends = old_groups[leaf.path], new_groups[leaf.path]
        if new_ends.writes not in kept:
            rows = _largest(ranked[old_ends.writes], _width(leaf))
            kept[new_ends.writes] = (old_ends.writes, rows)
        reads = kept.get(new_ends.reads, ("", torch.empty(0)))
        writes = kept[new_ends.writes]
        same_kind = _depthwise(leaf) == _depthwise(old) and _norm(leaf) == _norm(old)
        if same_kind and (reads[0], writes[0]) == (old_ends.reads, old_ends.writes):
            columns = torch.zeros(1, dtype=torch.long) if _depthwise(leaf) else reads[1]
            _copy(state, fresh, leaf.path, writes[1], columns)
    return fresh


def _copy(
    state: Mapping[str, Tensor], fresh: State, path: str, rows: Tensor, columns: Tensor
) -> None:
    """Overwrite a layer of ``fresh`` by the given rows and columns of it in ``state``."""
    for name, new in fresh.items():
        if not name.startswith(f"{path}."):
            continue
        old = state[name]
        if old.dim() >= 2:
            old = old[rows][:, columns]
            if old.dim() == 4:
                old = _kernel(old, new.shape[-1])
            new[: len(rows), : len(columns)] = old
            new[: len(rows), len(columns) :] = 0
        elif old.dim() == 1:
            new[: len(rows)] = old[rows]
        else:
            new.copy_(old)


def _kernel(weight: Tensor, kernel: int) -> Tensor:
    """Crop a kernel to its middle, or pad it by zeros; negative padding crops."""
    margin = (kernel - weight.shape[-1]) // 2
    return torch.nn.functional.pad(weight, [margin] * 4)


def squared_norms(arch: Architecture, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Per channel group, the squared L2 norm of all filters that write each channel."""
    norms: dict[str, Tensor] = {}
    groups = channel_groups(arch.layers())
    for leaf in leaves(arch.layers()):
        if isinstance(leaf, Pool) or groups[leaf.path].rescales:
            continue
        kind = "conv" if isinstance(leaf, Conv) else "linear"
        filters = state[f"{leaf.path}.{kind}.weight"].flatten(1).double().square().sum(1)
        group = groups[leaf.path].writes
        norms[group] = norms[group] + filters if group in norms else filters
    return norms


def _largest(norms: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` largest, in their old order; ties go to the earlier channel."""
    order = torch.sort(norms, descending=True, stable=True).indices
    return order[:count].sort().values


def _width(leaf: Conv | Linear) -> int:
    return leaf.out_channels if isinstance(leaf, Conv) else leaf.out_features


def _depthwise(leaf: Conv | Linear) -> bool:
    return isinstance(leaf, Conv) and leaf.depthwise


def _norm(leaf: Conv | Linear) -> bool:
    return isinstance(leaf, Conv) and leaf.norm != "none"
