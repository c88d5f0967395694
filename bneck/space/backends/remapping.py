"""Weights from any other network: what fits is inherited, the rest changes nothing at first.

This is what once-trained weights need to serve every candidate of a search (Fang et al. 2020, "Fast
Neural Network Adaptation", parameter remapping).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from bneck.space.architecture import Architecture, Part, block_path
from bneck.space.backends import torch_model
from bneck.space.backends.inheritance import lay_over, squared_norms
from bneck.space.backends.weights import State
from bneck.space.cost import cost
from bneck.space.layers import NORMS, Conv, Layer, Residual, Scale, leaves
from bneck.space.traits import changed, has_residual

_CLASSIFIER = "head.classifier"
_OPEN = 2.0
"""Bias of a new gate: it begins open by 5/6 (hsigmoid) or 0.88 (sigmoid), and not flat."""


@dataclass(frozen=True, slots=True)
class Remapped:
    """The weights that a network begins with, and where they come from.

    Attributes:
        state: all of the network's tensors.
        paths: the layers with weights of the source, in the order they run.
        share: of the network's parameters that are the source's, from 0 to 1.
    """

    state: State
    paths: tuple[str, ...]
    share: float


def remap(
    source: Architecture,
    state: Mapping[str, Tensor],
    target: Architecture,
    *,
    seed: int,
    importance: Mapping[str, Tensor] | None = None,
    same_classes: bool = True,
) -> Remapped:
    """Return weights for any network: what fits is the source's, the rest changes nothing at first.

    Beyond ``inherit``: a block past a stage's depth takes the weights of the stage's last block; if
    it adds its input, its last batch norm begins at zero, so that it passes its input on. So does a
    block of which the source has nothing. A squeeze-excite that the source lacks begins at a factor
    of one, a depthwise convolution before an expansion as the identity. A classifier for another
    number of classes is fresh. Batch norms are rescaled where the epsilons differ.

    Args:
        source: the network that the weights are of.
        state: its tensors by name.
        target: the network that they are for.
        seed: of the fresh weights.
        importance: as in ``inherit``.
        same_classes: whether both networks have the same classes; else the classifier is fresh.

    Returns:
        The weights; of the source at least the stem is in them, which every network has.
    """
    deep = _deepened(source, _with_epsilon(state, source, target), target, seed)
    ranked = squared_norms(deep.arch, deep.state) | dict(importance or {})
    but = "" if same_classes and source.classes == target.classes else _CLASSIFIER
    fresh, copied = lay_over(deep.arch, deep.state, target, seed, ranked, but=but)
    for part in target.parts():
        inherits = any(leaf.path in copied for leaf in leaves(part.layers))
        if has_residual(part) and (part.path in deep.added or not inherits):
            _pass_input_on(part, fresh)
        else:
            _begin_neutral(part.layers, fresh, copied)
    own = {path: count for path, count in copied.items() if count and path not in deep.drawn}
    return Remapped(fresh, tuple(own), sum(own.values()) / cost(target).params)


def _with_epsilon(
    state: Mapping[str, Tensor], source: Architecture, target: Architecture
) -> Mapping[str, Tensor]:
    """The same function with the target's epsilon in every batch norm."""
    was, now = NORMS[source.norm], NORMS[target.norm]
    if was == now:
        return state
    scaled = dict(state)
    for name, variance in state.items():
        if name.endswith(".norm.running_var"):
            weight = name.replace("running_var", "weight")
            scaled[weight] = state[weight] * torch.sqrt((variance + now) / (variance + was))
    return scaled


@dataclass(frozen=True, slots=True)
class _Deepened:
    """A source with its stages as deep as a target's.

    Attributes:
        arch: the network.
        state: its tensors by name.
        added: paths of the blocks that the source lacks.
        drawn: paths of their layers that have random weights.
    """

    arch: Architecture
    state: Mapping[str, Tensor]
    added: Collection[str] = ()
    drawn: Collection[str] = ()


def _deepened(
    source: Architecture, state: Mapping[str, Tensor], target: Architecture, seed: int
) -> _Deepened:
    """The source with its stages as deep as the target's.

    An added block has the tensors of its stage's last block where their shapes agree.
    """
    stages, nearest = [], {}
    for s, stage in enumerate(source.stages, start=1):
        wanted = len(target.stages[s - 1]) if s <= len(target.stages) else 0
        last = changed(stage[-1], stride=1) or stage[-1]
        stages.append(stage + (last,) * (wanted - len(stage)))
        for b in range(len(stage) + 1, wanted + 1):
            nearest[f"s{s}.b{b}"] = f"s{s}.b{len(stage)}"
    if not nearest:
        return _Deepened(source, state)
    deep = replace(source, stages=tuple(stages))
    given = torch_model.build(deep, seed=seed).state_dict() | dict(state)
    drawn = set()
    for name, tensor in given.items():
        path = block_path(name)
        if path in nearest:
            like = state.get(nearest[path] + name.removeprefix(path))
            if like is not None and like.shape == tensor.shape:
                given[name] = like
            elif tensor.dim() > 1:
                drawn.add(name.rsplit(".", 2)[0])
    return _Deepened(deep, given, nearest.keys(), drawn)


def _pass_input_on(part: Part, state: State) -> None:
    """Let each residual of a block compute zero by its last layer, so that it returns its input."""
    for residual in part.layers:
        last = [leaf for leaf in leaves((residual,)) if isinstance(leaf, Conv)][-1]
        weight, bias = _outermost(last)
        state[weight].zero_()
        state[bias].zero_()


def _outermost(layer: Conv) -> tuple[str, str]:
    """Names of the weight and bias that are applied last: those of the batch norm, if any."""
    kind = "conv" if layer.norm == "none" else "norm"
    return f"{layer.path}.{kind}.weight", f"{layer.path}.{kind}.bias"


def _begin_neutral(layers: tuple[Layer, ...], state: State, copied: Mapping[str, int]) -> None:
    """Let squeeze-excites and depthwise convolutions without inherited weights change nothing."""
    for layer, following in zip(layers, (*layers[1:], None), strict=False):
        if isinstance(layer, Residual):
            _begin_neutral(layer.body, state, copied)
        elif isinstance(layer, Scale):
            inner = [*leaves(layer.body)]
            gate = inner[-1]
            if (
                isinstance(gate, Conv)
                and isinstance(following, Conv)
                and following.path in copied
                and not any(leaf.path in copied for leaf in inner)
            ):
                weight, bias = _outermost(gate)
                state[weight].zero_()
                state[bias].fill_(_OPEN)
                opened = torch_model.ACTIVATIONS[gate.activation]()(torch.tensor(_OPEN))
                state[f"{following.path}.conv.weight"] /= opened
        elif (
            isinstance(layer, Conv)
            and layer.depthwise
            and (layer.stride, layer.activation) == (1, "none")
            and layer.path not in copied
            and isinstance(following, Conv)
            and following.path in copied
        ):
            _be_identity(layer, state)


def _be_identity(layer: Conv, state: State) -> None:
    """A depthwise convolution, and its batch norm if there is one, that return their input."""
    weight = state[f"{layer.path}.conv.weight"].zero_()
    weight[:, :, layer.kernel // 2, layer.kernel // 2] = 1.0
    if layer.norm != "none":
        state[f"{layer.path}.norm.weight"].fill_(sqrt(1 + NORMS[layer.norm]))
