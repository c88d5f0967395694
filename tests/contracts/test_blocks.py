"""What every block owes the rest of bneck: each word of BLOCKS is held to it."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields

import numpy as np
import pytest

from bneck.proxies.surrogate import features
from bneck.results.similarity import profiles
from bneck.results.table import rows
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends import inheritance, torch_model, weights
from bneck.space.blocks import BLOCKS, Block, PlainConv
from bneck.space.channels import channel_groups
from bneck.space.cost import cost
from bneck.space.edits import narrow, narrowables
from bneck.space.heads import ConvPoolLinear
from bneck.space.layers import (
    Conv,
    Layer,
    Linear,
    Pool,
    Residual,
    input_shape,
    leaves,
    output_shape,
)
from bneck.space.moves import MOVES
from bneck.space.traits import changed
from tests.contracts.backends_agree import check_backends_agree

KERNEL, EXPANSION, WIDTH = 5, 48, 24
USUAL = {"expansion": EXPANSION, "out": WIDTH}


VARIANTS: tuple[tuple[str, dict[str, int | str]], ...] = (
    *((word, {}) for word in BLOCKS),
    ("inverted_residual", {"se": "expansion"}),
    ("inverted_residual", {"se": "input", "gate": "sigmoid"}),
    ("universal_bottleneck", {"start": 0}),
    ("universal_bottleneck", {"middle": 0}),
)
"""Words, and fields that differ from the defaults."""


def made(word: str, given: dict[str, int | str], **more: int | str) -> Block:
    """A block from its required fields: widths by their usual names, any other one is a kernel."""
    kind = BLOCKS[word]
    required = [field.name for field in fields(kind) if field.default is MISSING]  # type: ignore[arg-type]
    return kind(**{name: USUAL.get(name, KERNEL) for name in required} | given | more)


@pytest.fixture(params=VARIANTS, ids=lambda pair: "-".join(map(str, (pair[0], *pair[1].values()))))
def make(request: pytest.FixtureRequest) -> Callable[..., Block]:
    word, given = request.param
    return lambda **more: made(word, given, **more)


@pytest.fixture
def arch(make: Callable[..., Block]) -> Architecture:
    """Three such blocks: two that change the shapes, one that keeps them."""
    wide = changed(make(out=40), expansion=80) or make(out=40)
    stages = ((make(stride=2), make()), (wide,))
    return Architecture(PlainConv(3, 16), stages, ConvPoolLinear(64), classes=10, resolution_px=16)


def flat(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    for layer in layers:
        yield layer
        if not isinstance(layer, Conv | Pool | Linear):
            yield from flat(layer.body)


@pytest.mark.parametrize("in_channels", [16, WIDTH])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("px", [9, 16])
def test_every_layer_reads_what_the_one_before_writes(
    make: Callable[..., Block], in_channels: int, stride: int, px: int
) -> None:
    layers = make(stride=stride).lower("s3.b2", in_channels, px, "bn")

    def follow(layers: tuple[Layer, ...], shape: tuple[int, int, int]) -> tuple[int, int, int]:
        for layer in layers:
            assert input_shape(layer) == shape
            if not isinstance(layer, Conv | Pool | Linear):
                inner = follow(layer.body, shape)
                assert inner == (shape if isinstance(layer, Residual) else (shape[0], 1, 1))
            shape = output_shape(layer)
        return shape

    out_px = -(-px // stride)
    assert follow(layers, (in_channels, px, px)) == (WIDTH, out_px, out_px)
    paths = [layer.path for layer in flat(layers)]
    assert len({*paths}) == len(paths)
    assert all(path == "s3.b2" or path.startswith("s3.b2.") for path in paths)


def test_json_gives_it_back(arch: Architecture) -> None:
    assert codec.from_json(codec.to_json(arch)) == arch


def test_parameters_are_torchs_and_outputs_onnx_runtimes(arch: Architecture) -> None:
    check_backends_agree(arch)


def test_netadapt_can_narrow_every_width(arch: Architecture) -> None:
    """But the stem's, those inside squeeze-excites, and the classes."""

    def widths(arch: Architecture) -> dict[str, int]:
        ends = channel_groups(arch.layers())
        return {
            ends[leaf.path].writes: output_shape(leaf)[0]
            for leaf in leaves(arch.layers())
            if not isinstance(leaf, Pool) and ".se." not in leaf.path
        }

    before = widths(arch)
    narrowed: set[str] = set()
    for item in narrowables(arch):
        after = widths(narrow(arch, item.what, item.width - 8))
        assert after.keys() == before.keys()
        narrowed |= {group for group in after if after[group] < before[group]}
    assert before.keys() - narrowed == {"stem.conv", "head.classifier"}


def test_narrowed_weights_fit(arch: Architecture) -> None:
    state = torch_model.build(arch, seed=1).state_dict()
    for item in narrowables(arch):
        narrower = narrow(arch, item.what, item.width - 8)
        inherited = inheritance.inherit(arch, state, narrower, seed=2)
        fitted = weights.fitted(inherited, narrower, item.what)
        shapes = {name: one.shape for name, one in torch_model.empty_state(narrower).items()}
        assert {name: one.shape for name, one in fitted.items()} == shapes


def test_every_move_gives_networks_or_nothing(arch: Architecture) -> None:
    variants = [named for move in MOVES for named in move(arch)]
    assert variants
    for name, variant in variants:
        assert name
        assert variant != arch
        assert cost(variant).params > 0
        assert codec.from_json(codec.to_json(variant)) == variant


def test_one_activation_is_used_throughout(make: Callable[..., Block]) -> None:
    block = changed(make(), activation="relu6")
    if block is None:
        return
    words = {
        layer.activation
        for layer in leaves(block.lower("s1.b1", 16, 8, "bn"))
        if ".se." not in layer.path and not isinstance(layer, Pool)
    }
    assert words - {"none"} == {"relu6"}


def test_tables_features_and_profiles_take_it(arch: Architecture) -> None:
    shown = {row.path: row for row in rows(arch)}
    convs = [
        leaf
        for leaf in leaves(arch.layers())
        if isinstance(leaf, Conv) and leaf.path.startswith("s1.b1.") and leaf.kernel > 1
    ]
    gated = any(".se." in leaf.path for leaf in leaves(arch.layers()))
    assert [row.se for row in rows(arch) if row.path.startswith("s1")] == [gated] * 2
    assert shown["s1.b1"].kernel == tuple(conv.kernel for conv in convs)
    assert (shown["s1.b1"].px, shown["s1.b1"].channels, shown["s1.b1"].out) == (16, 16, WIDTH)
    assert shown["s1.b2"].px == 8
    columns = features.groups([arch], features.Shape.of([arch]))
    assert all(np.isfinite(values).all() for values in columns.values())
    assert profiles(arch)


def test_a_block_without_a_word_is_named() -> None:
    class Own(PlainConv):
        pass

    arch = Architecture(PlainConv(3, 16), ((Own(3, 16),),), ConvPoolLinear(64))
    with pytest.raises(codec.UsageError, match="Own has no word among the blocks: conv, "):
        codec.to_json(arch)
