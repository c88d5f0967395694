"""Weights from a network that differs in widths and kernels, as NetAdapt's proposals do."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bneck.space.architecture import IMAGE_CHANNELS, Architecture
from bneck.space.backends import torch_model
from bneck.space.backends.weights import State
from bneck.space.channels import channel_groups, writers
from bneck.space.layers import Conv, Linear, Pool, leaves, output_shape

PARAMETERS = ("weight", "bias")
"""Last words of tensors that are trained; others are statistics."""


def inherit(
    source: Architecture,
    state: Mapping[str, Tensor],
    target: Architecture,
    *,
    seed: int,
    importance: Mapping[str, Tensor] | None = None,
) -> State:
    """Return weights for ``target``: those of ``source`` where paths agree, fresh ones elsewhere.

    Where a width shrinks, the channels of the largest importance stay (NetAdapt, section 3.3), the
    same ones in every layer that shares them. Where it grows, the new channels are drawn
    from ``seed`` and read with weights of zero at first, so that the network computes what it did
    (Chen et al. 2016, "Net2Net"). A smaller kernel is the middle of the larger one.

    Args:
        source: the network that the weights are of.
        state: its tensors by name.
        target: the network that they are for.
        seed: of the fresh weights.
        importance: for each channel group, a number per channel; None takes the filters' L2 norm.
    """
    return lay_over(source, state, target, seed, importance)[0]


def lay_over(
    source: Architecture,
    state: Mapping[str, Tensor],
    target: Architecture,
    seed: int,
    importance: Mapping[str, Tensor] | None,
    *,
    but: str = "",
) -> tuple[State, dict[str, int]]:
    """Return what ``inherit`` does, and how many parameters of each layer are the source's.

    Args:
        source, state, target, seed, importance: as for ``inherit``.
        but: path of a layer that stays fresh.
    """
    fresh = torch_model.build(target, seed=seed).state_dict()
    copied: dict[str, int] = {}
    old_leaves = {leaf.path: leaf for leaf in leaves(source.layers())}
    old_groups, new_groups = channel_groups(source.layers()), channel_groups(target.layers())
    ranked = squared_norms(source, state) if importance is None else importance
    # For each channel group of the target: the source's group it comes from, and which channels.
    kept: dict[str, tuple[str, Tensor]] = {"image": ("image", torch.arange(IMAGE_CHANNELS))}
    for leaf in leaves(target.layers()):
        old = old_leaves.get(leaf.path)
        if isinstance(leaf, Pool) or isinstance(old, Pool) or old is None or leaf.path == but:
            continue
        old_ends, new_ends = old_groups[leaf.path], new_groups[leaf.path]
        if new_ends.writes not in kept:
            rows = _largest(ranked[old_ends.writes], output_shape(leaf)[0])
            kept[new_ends.writes] = (old_ends.writes, rows)
        reads = kept.get(new_ends.reads, ("", torch.empty(0)))
        writes = kept[new_ends.writes]
        if _fits(leaf, old) and (reads[0], writes[0]) == (old_ends.reads, old_ends.writes):
            columns = reads[1]
            if isinstance(leaf, Conv) and leaf.groups > 1:
                columns = torch.arange(leaf.in_channels // leaf.groups)
            copied[leaf.path] = _copy(state, fresh, leaf.path, writes[1], columns)
    return fresh, copied


def _copy(
    state: Mapping[str, Tensor], fresh: State, path: str, rows: Tensor, columns: Tensor
) -> int:
    """Overwrite a layer of ``fresh`` by rows and columns of it in ``state``; count parameters."""
    count = 0
    for name, new in fresh.items():
        if not name.startswith(f"{path}."):
            continue
        taken = old = state[name]
        if old.dim() >= 2:
            taken = old = old[rows][:, columns]
            if old.dim() == 4:
                old = _kernel(old, new.shape[-1])
            new[: len(rows), : len(columns)] = old
            new[: len(rows), len(columns) :] = 0
        elif old.dim() == 1:
            taken = old = old[rows]
            new[: len(rows)] = old
        else:
            new.copy_(old)
        if name.endswith(PARAMETERS):
            count += min(old.numel(), taken.numel())  # zeros around a kernel are nobody's
    return count


def _kernel(weight: Tensor, kernel: int) -> Tensor:
    """Crop a kernel to its middle, or pad it by zeros; negative padding crops."""
    margin = (kernel - weight.shape[-1]) // 2
    return torch.nn.functional.pad(weight, [margin] * 4)


def squared_norms(arch: Architecture, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Per channel group, the squared L2 norm of all filters that write each channel."""
    norms: dict[str, Tensor] = {}
    for layer, group in writers(arch.layers()):
        kind = "conv" if isinstance(layer, Conv) else "linear"
        filters = state[f"{layer.path}.{kind}.weight"].flatten(1).double().square().sum(1)
        norms[group] = norms[group] + filters if group in norms else filters
    return norms


def _largest(norms: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` largest, in their old order; ties go to the earlier channel."""
    order = torch.sort(norms, descending=True, stable=True).indices
    return order[:count].sort().values


def _fits(leaf: Conv | Linear, old: Conv | Linear) -> bool:
    """Whether two layers of one path are of one kind, whatever their widths and kernels.

    Of a grouped convolution all channels must stay: another choice would mix its groups.
    """
    if not (isinstance(leaf, Conv) and isinstance(old, Conv)):
        return type(leaf) is type(old)
    if leaf.grouped or old.grouped:
        kept = old.in_channels, old.out_channels, old.groups
        if (leaf.in_channels, leaf.out_channels, leaf.groups) != kept:
            return False
    return leaf.depthwise == old.depthwise and leaf.bias == old.bias
