"""Which networks a step tries: widths on the grid, hand-made steps, and what widens for nothing."""

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from bneck.latency.predictor import Predictor
from bneck.netadapt.proposals import ProposalGenerator
from bneck.quantities import Latency
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost, leaf_macs
from bneck.space.edits import narrowables
from bneck.space.heads import ConvPoolLinear, ConvPoolLinearLinear
from bneck.space.layers import Conv, Linear, Residual, leaves
from bneck.space.moves import rebuilt_last_stages

V3 = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)


@dataclass
class Blocked:
    """A million multiply-adds a millisecond, channels rounded up to blocks."""

    block: int = 16

    def predict(self, arch: Architecture) -> Latency:
        total = 0.0
        for leaf in leaves(arch.layers()):
            macs = leaf_macs(leaf)
            if isinstance(leaf, Conv) and not leaf.depthwise and leaf.path != "stem.conv":
                rounded = self.up(leaf.in_channels) * self.up(leaf.out_channels)
                macs = macs * rounded // (leaf.in_channels * leaf.out_channels)
            elif isinstance(leaf, Conv | Linear) and leaf.path != "stem.conv":
                wide = leaf.out_channels if isinstance(leaf, Conv) else leaf.out_features
                macs = macs * self.up(wide) // wide
            total += macs / 1e6
        return Latency(total, 0.0)

    def up(self, channels: int) -> int:
        return -(-channels // self.block) * self.block

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        raise NotImplementedError


def test_narrowing_lands_on_the_grid_and_keeps_most() -> None:
    proposer = ProposalGenerator(Blocked(), grid=16)
    now_ms = Blocked().predict(V3).ms
    found = {p.move.split()[0]: p for p in proposer.proposals(V3, 0.001)}
    widths = {item.what: item.width for item in narrowables(V3)}
    assert set(found) >= {what for what, width in widths.items() if width > 48}
    for what in set(found) & set(widths):
        proposal = found[what]
        new = int(proposal.move.rpartition("->")[2])
        assert new % 16 == 0 or new == 8
        assert proposal.saved_ms >= 0.001
        assert proposal.latency_ms == pytest.approx(now_ms - proposal.saved_ms)
        if what in ("s3.b2.expand", "s4.b1.expand"):
            assert new == (widths[what] - 1) // 16 * 16
    assert found["s4.b1.expand"].move == "s4.b1.expand 120->112"


@dataclass
class Counted(Blocked):
    """The same without blocks: any width less saves something."""

    def predict(self, arch: Architecture) -> Latency:
        return Latency(cost(arch).macs / 1e6, 0.0)


def test_any_width_is_the_widest_that_just_saves_enough() -> None:
    """At 2 x 2 px a channel of s4.b1 takes 4 x (40 + 25 + 48) multiply-adds, and 64 in its SE."""
    for needed_ms, width in ((1e-9, 119), (0.004, 112)):
        found = ProposalGenerator(Counted(), grid=1).proposals(V3, needed_ms)
        move = next(one for one in found if one.move.startswith("s4.b1.expand"))
        assert move.move == f"s4.b1.expand 120->{width}"
        assert move in ProposalGenerator(Counted(), grid=1).proposals(V3, move.saved_ms)


def test_below_one_block_multiples_of_8_are_proposed() -> None:
    """A bottleneck of 16 has no multiple of 16 below it, one of 24 has."""
    moves = {one.move for one in ProposalGenerator(Counted(), grid=16).proposals(V3, 1e-9)}
    assert {"s1.bottleneck 16->8", "s2.bottleneck 24->16"} <= moves


def test_the_fastest_network_has_the_hand_made_steps_behind_it() -> None:
    """By multiply-adds a stem of fewer filters is faster, and 8 are the fewest."""
    assert V3.stem.out == 16
    assert ProposalGenerator(Counted(), grid=16).fastest(V3).stem.out == 8


def test_v3_smalls_widths_off_the_grid_widen_for_nothing() -> None:
    """72, 88 and 120 pay for 80, 96 and 128; bottlenecks of 24 and 40 for 32 and 48."""
    model = Blocked()
    name, wider = ProposalGenerator(model, grid=16).widened(V3)
    assert "s2.b1.expand 72->80" in name
    assert "s2.b2.expand 88->96" in name
    assert model.predict(wider).ms <= model.predict(V3).ms
    assert cost(wider).params > cost(V3).params
    grown = {item.what: item.width for item in narrowables(wider)}
    for item in narrowables(V3):
        assert grown[item.what] >= item.width
    assert ProposalGenerator(model, grid=16).widened(wider) is None


def test_a_width_may_grow_by_two_blocks_at_once() -> None:
    """On a device whose blocks are twice those that the calibration found: 72 pays for 96."""
    name, _ = ProposalGenerator(Blocked(32), grid=16).widened(V3)
    assert "s2.b1.expand 72->96" in name
    assert "s2.b2.expand 88->96" in name


def test_the_fastest_network_is_known_before_any_training(model: Predictor) -> None:
    fastest_ms = ProposalGenerator(model).fastest_ms(V3)
    assert 0 < fastest_ms < 0.4 * model.predict(V3).ms
    narrowest = V3
    for _ in range(100):
        found = ProposalGenerator(model).proposals(narrowest, 1e-9)
        if not found:
            break
        narrowest = min(found, key=lambda proposal: proposal.latency_ms).arch
    assert fastest_ms <= model.predict(narrowest).ms * 1.2


def test_v3s_hand_made_steps_are_proposed_where_they_are_not_taken_yet(model: Predictor) -> None:
    """From MnasNet-A1: the last block goes and its expansion moves behind the pool (figure 5)."""
    arch = presets.build("mnasnet_a1", resolution_px=64, classes=10)
    found = {
        p.move: p for p in ProposalGenerator(model).proposals(arch, 0.01 * model.predict(arch).ms)
    }
    rebuilt = found["last stage rebuilt, without s7"].arch
    assert arch.head == ConvPoolLinear(1280)
    assert rebuilt.head == ConvPoolLinearLinear(960, 1280, "hswish")
    assert len(rebuilt.stages) == 6
    halved = found["stem 32->16 hswish"].arch
    assert (halved.stem.out, halved.stem.activation) == (16, "hswish")
    (first,) = halved.stages[0]
    assert (first.expansion, first.out) == (16, 16)  # as V3-Large begins: it adds its input now
    assert isinstance(halved.layers()[1], Residual)
    published = presets.build("mobilenet_v3_large", resolution_px=64, classes=10)
    moves = [p.move for p in ProposalGenerator(model).proposals(published, 0.0)]
    assert not any(move.startswith("last stage") for move in moves)


def test_late_hswish_is_proposed_where_the_device_says_that_it_saves() -> None:
    @dataclass
    class SlowHswish:
        """A microsecond for each number that goes through h-swish, and one for the network."""

        def predict(self, arch: Architecture) -> Latency:
            parts = [leaf for leaf in leaves(arch.layers()) if isinstance(leaf, Conv)]
            slow = [leaf for leaf in parts if leaf.activation == "hswish"]
            return Latency(1 + sum(leaf.out_channels * leaf.out_px**2 for leaf in slow) / 1e6, 0.0)

    everywhere = replace(
        V3,
        stages=tuple(
            tuple(replace(block, activation="hswish") for block in stage) for stage in V3.stages
        ),
    )
    model = SlowHswish()
    found = ProposalGenerator(model).proposals(everywhere, 0.001)
    (late,) = (p for p in found if "h-swish from" in p.move)
    kept = [b.activation for stage in late.arch.stages for b in stage]
    first = kept.index("hswish")
    assert set(kept[:first]) == {"relu"}
    assert set(kept[first:]) == {"hswish"}
    earlier = [p for p in found if p.move < late.move and "h-swish from" in p.move]
    assert not earlier  # the least change that saves enough


def test_the_plain_space_is_where_the_hand_made_steps_can_be_found() -> None:
    space = spaces.build("v3-small-plain", resolution_px=32, classes=10)
    values = space.sample(0) | {"stem.width": 32, "stem.activation": "relu", "head.form": "late"}
    arch = space.decode(values)
    assert (arch.stem.out, arch.stem.activation) == (32, "relu")
    assert isinstance(arch.head, ConvPoolLinear)
    assert arch.head == ConvPoolLinear(1024, "hswish")
    twin = spaces.build("v3-small", resolution_px=32, classes=10)
    rebuilt = values | {"stem.width": 16, "stem.activation": "hswish", "head.form": "rebuilt"}
    blocks = {name: value for name, value in rebuilt.items() if name in twin.choices}
    assert space.decode(rebuilt) == twin.decode(blocks)


def test_a_last_stage_too_wide_to_be_rebuilt_stays(model: Predictor) -> None:
    """Six times its width would be more channels than a layer may have."""
    arch = presets.build("mnasnet_a1", resolution_px=32, classes=10)
    wide = replace(arch.stages[-1][0], out=3000)
    arch = replace(arch, stages=(*arch.stages[:-1], (wide,)))
    names = [name for name, _ in rebuilt_last_stages(arch)]
    assert names == ["last stage rebuilt, without s7"]
    assert ProposalGenerator(model).fastest_ms(arch) < model.predict(arch).ms


def test_each_move_keeps_most_first() -> None:
    arch = presets.build("mnasnet_small", resolution_px=64, classes=10)
    widths = [
        int(move.rpartition("->")[2])
        for move, _ in ProposalGenerator(Blocked(), 16)._narrowed(arch, narrowables(arch)[-1])
    ]
    assert all(a > b for a, b in pairwise(widths))
