"""Which networks a calibration times."""

import pytest

from bneck.errors import UsageError
from bneck.latency.calibration.networks import (
    FOLDS,
    calibration_network,
    narrowed,
    published,
    spaces_called,
)
from bneck.space import presets, spaces
from bneck.space.cost import cost
from bneck.space.edits import narrowables


def test_spaces_take_turns_and_of_eight_networks_one_is_held_out_and_four_are_narrowed() -> None:
    """One of the others leans to the space's expensive end, further each time."""
    both = [spaces.build("v3-small", resolution_px=32, classes=classes) for classes in (3, 4)]
    found = [calibration_network(both, number, seed=0) for number in range(64)]
    held_out = {number for turn in (4, 12, 20, 28) for number in (2 * turn, 2 * turn + 1)}
    for number, (name, arch) in enumerate(found):
        turn, place = divmod(number, 2)
        assert name == f"{'held-out' if number in held_out else 'fit'} {number}"
        assert arch.classes == (3, 4)[place]
        lean = {0: 0.2, 8: 0.4, 16: 0.6, 24: 0.8}.get(turn, 0.0)
        as_drawn = both[place].decode(both[place].sample(number, lean))
        assert (arch == as_drawn) == (turn % 2 == 0)
        if turn % 2:
            assert cost(arch).macs < cost(as_drawn).macs
    other = calibration_network(both, 0, seed=1)
    assert other[1] != found[0][1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10])
def test_each_fold_of_a_cross_validation_has_networks_of_every_space(count: int) -> None:
    """Folds take every fifth of the networks to fit, which five spaces in turns would fall in."""
    many = [spaces.build("v3-small", resolution_px=32, classes=2 + one) for one in range(count)]
    drawn = [calibration_network(many, number, seed=0) for number in range(16 * count)]
    classes = [arch.classes for name, arch in drawn if name.startswith("fit")]
    everywhere = set(range(2, 2 + count))
    assert [set(classes[fold::FOLDS]) for fold in range(FOLDS)] == [everywhere] * FOLDS
    turns = [{arch.classes for _, arch in drawn[i : i + count]} for i in range(0, 16, count)]
    assert turns == [everywhere] * len(turns)


def test_half_of_the_narrowed_networks_are_narrowed_nearly_everywhere_and_far() -> None:
    """Nine in ten of their widths, to a twentieth; of the others half, to 0.35; 5 % of widths any.

    A width drawn from 1 to 8 steps is no multiple of 8 in seven of eight cases.
    """
    arch = presets.build("mobilenet_v3_large", resolution_px=64, classes=10)
    whole = {item.what: item.width for item in narrowables(arch)}
    networks, odd, drawn = 0, 0, 0
    far: list[float] = []
    for seed in range(60):
        widths = {i.what: i.width for i in narrowables(narrowed(arch, seed))}
        less = {what: width for what, width in widths.items() if width < whole[what]}
        if len(less) > 0.7 * len(whole):
            far += [width / whole[what] for what, width in less.items()]
            networks += 1
        if not all(width % 8 == 4 for width in less.values()):
            odd += sum(width % 8 > 0 for width in less.values())
            drawn += len(less)
    assert networks == pytest.approx(30, abs=10)
    assert sum(far) / len(far) == pytest.approx((0.05 + 1) / 2, abs=0.05)
    assert odd / drawn == pytest.approx(0.05 * 7 / 8, abs=0.025)


def test_how_far_a_network_is_narrowed_does_not_depend_on_what_it_was_drawn_as() -> None:
    """Half of those that begin with each of the first stage's widths are narrowed far."""
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    far: dict[int, list[bool]] = {}
    for number in range(1, 800, 2):
        drawn = space.decode(space.sample(number))
        whole = {item.what: item.width for item in narrowables(drawn)}
        arch = calibration_network([space], number, seed=0)[1]
        less = [item.what for item in narrowables(arch) if item.width < whole[item.what]]
        far.setdefault(drawn.stages[0][0].out, []).append(len(less) > 0.7 * len(whole))
    assert set(far) == {8, 16, 24}
    for narrowed_far in far.values():
        assert sum(narrowed_far) / len(narrowed_far) == pytest.approx(0.5, abs=0.2)


def test_some_networks_are_half_a_block_off_in_every_width() -> None:
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    whole = {item.what: item.width for item in narrowables(arch)}
    between = 0
    for seed in range(200):
        widths = [i.width for i in narrowables(narrowed(arch, seed)) if i.width < whole[i.what]]
        between += all(width % 8 == 4 for width in widths)
    assert between == pytest.approx(40, abs=15)


def test_some_networks_are_slower_than_random_ones_ever_are() -> None:
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    probed = [calibration_network([space], number, seed=0)[1] for number in range(0, 320, 8)]
    random = [space.decode(space.sample(seed)) for seed in range(1000)]
    slowest = max(cost(arch).macs for arch in random)
    assert sum(cost(arch).macs > slowest for arch in probed) >= len(probed) / 5


def test_all_covers_the_presets_without_timing_them() -> None:
    names = [space.name for space in spaces_called("all", resolution_px=64, classes=10)]
    assert names == [*spaces.SPACES, "published"]
    widths = published(64, 10).choices["width"]
    assert not {50, 75, 100} & set(widths)
    assert [space.name for space in spaces_called("mnasnet,v3-large", resolution_px=64, classes=10)]
    with pytest.raises(UsageError, match="unknown space 'v4'"):
        spaces_called("v3-small,v4", resolution_px=64, classes=10)
