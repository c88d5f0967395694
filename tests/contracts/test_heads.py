"""What every head owes the rest of bneck: each word of HEADS is held to it."""

from dataclasses import MISSING, fields

import pytest

from bneck.results.table import rows
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.cost import cost
from bneck.space.edits import narrow, narrowables
from bneck.space.heads import HEADS
from bneck.space.layers import Pool, leaves, output_shape
from bneck.space.moves import MOVES
from tests.contracts.backends_agree import check_backends_agree


@pytest.fixture(params=HEADS)
def arch(request: pytest.FixtureRequest) -> Architecture:
    kind = HEADS[request.param]
    required = [field.name for field in fields(kind) if field.default is MISSING]  # type: ignore[arg-type]
    head = kind(**dict.fromkeys(required, 48))
    stages = ((InvertedResidual(3, 48, 24, 2),), (InvertedResidual(3, 72, 40, 1),))
    return Architecture(PlainConv(3, 16, 2), stages, head, classes=7, resolution_px=16)


def test_it_ends_in_the_classes_under_its_own_path(arch: Architecture) -> None:
    *_, head = arch.parts()
    assert (head.path, head.block, head.in_channels, head.in_px) == ("head", None, 40, 4)
    assert output_shape(head.layers[-1]) == (7, 1, 1)
    assert all(layer.path.startswith("head.") for layer in head.layers)


def test_json_gives_it_back(arch: Architecture) -> None:
    assert codec.from_json(codec.to_json(arch)) == arch


def test_parameters_are_torchs_and_outputs_onnx_runtimes(arch: Architecture) -> None:
    check_backends_agree(arch)


def test_netadapt_can_narrow_its_layers(arch: Architecture) -> None:
    wide = {
        leaf.path
        for leaf in leaves(arch.layers())
        if leaf.path.startswith("head.") and not isinstance(leaf, Pool)
    }
    items = {item.what: item for item in narrowables(arch) if item.what.startswith("head.")}
    assert items.keys() == wide - {"head.classifier"}
    for what, item in items.items():
        narrower = {leaf.path: leaf for leaf in leaves(narrow(arch, what, 40).layers())}
        assert item.width == 48
        assert output_shape(narrower[what])[0] == 40


def test_moves_and_tables_take_it(arch: Architecture) -> None:
    for move in MOVES:
        for _, variant in move(arch):
            assert variant != arch
            assert cost(variant).params > 0
    assert rows(arch)[-1].out == 7
