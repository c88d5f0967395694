"""What every space owes those who search it: each word of SPACES is held to it."""

import random
import re
from itertools import islice
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.space import codec, spaces
from bneck.space.choices import Space
from bneck.space.cost import cost
from bneck.space.edits import narrowables
from tests.contracts.backends_agree import check_backends_agree

SAMPLES = range(40)


@pytest.fixture(params=spaces.SPACES)
def space(request: pytest.FixtureRequest) -> Space:
    return spaces.build(request.param, resolution_px=32, classes=7)


def test_networks_are_as_asked_for_and_written_as_json(space: Space) -> None:
    for seed in SAMPLES:
        arch = space.decode(space.sample(seed))
        assert (arch.resolution_px, arch.classes) == (32, 7)
        assert codec.from_json(codec.to_json(arch)) == arch
        assert narrowables(arch)


def test_the_same_values_give_the_same_network(space: Space) -> None:
    for seed in SAMPLES:
        assert space.sample(seed) == space.sample(seed)
        assert space.decode(space.sample(seed)) == space.decode(dict(space.sample(seed)))
    assert len({codec.key(space.decode(space.sample(seed))) for seed in SAMPLES}) > 0.9 * len(
        SAMPLES
    )


def test_every_value_of_every_choice_can_be_built(space: Space) -> None:
    draw = random.Random(0)
    missing = {(name, value) for name, allowed in space.choices.items() for value in allowed}
    for name, allowed in space.choices.items():
        for value in allowed:
            for seed in range(500):  # until the choice is live
                values = space.sample(draw.getrandbits(32) + seed)
                if name in values:
                    break
            changed = space.changed(values, name, value)
            assert space.check(changed) == changed
            assert space.decode(changed)
            missing.discard((name, value))
    assert not missing


def test_neighbours_and_mutations_stay_inside(space: Space) -> None:
    values = space.sample(3)
    for other in islice(space.neighbours(values), 200):
        assert space.check(other) == other != values
    for seed in range(20):
        mutated = space.mutate(values, seed)
        assert space.check(mutated) == mutated != values


def test_parameters_are_torchs_and_outputs_onnx_runtimes(space: Space) -> None:
    check_backends_agree(space.decode(space.sample(0)))


@pytest.mark.parametrize("side", [9, 33])
def test_so_they_are_on_maps_of_odd_sides_and_on_maps_smaller_than_a_kernel(
    space: Space, side: int
) -> None:
    check_backends_agree(space.decode(space.sample(1)).at(resolution_px=side))


def test_what_leans_is_more_expensive(space: Space) -> None:
    """Spaces list values from the cheapest on."""
    plain, leaning = (
        sum(cost(space.decode(space.sample(seed, lean))).macs for seed in SAMPLES)
        for lean in (0.0, 0.9)
    )
    assert leaning > plain


OWN = """
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.choices import Space
from bneck.space.heads import PoolLinear


def two(name, resolution_px, classes):
    def build(values):
        block = InvertedResidual(values["kernel"], 32, 24, 2)
        return Architecture(PlainConv(3, 16, 2), ((block,),), PoolLinear(), classes, resolution_px)

    return Space(name, {"kernel": (3, 5)}, build)


def nothing(name, resolution_px, classes):
    return None


def fixed(name, resolution_px, classes):
    return two(name, 32, 10)


def broken(name, resolution_px, classes):
    return {}[name]


def built_of_nothing(name, resolution_px, classes):
    return Space(name, {"kernel": (3, 5)}, lambda values: values["width"])


def values_alone(name, resolution_px, classes):
    return Space(name, {"kernel": (3, 5)}, dict)
"""

WRONG = {
    "nothing": "space '{}' must return a Space, got a NoneType",
    "fixed": "space '{}' must build networks for the 16 px and 5 classes that it is given, and "
    "built one for 32 px and 10",
    "broken": "space '{0}' raises KeyError: '{0}'",
    "built_of_nothing": "space {} cannot build a network: KeyError: 'width'",
    "values_alone": "space '{}' must build an Architecture, got a dict",
}
"""Function of the module -> what is said of it."""


def test_a_space_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_space.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="unknown space 'own_space:two'"):
        spaces.build("own_space:two")  # a name in a file is not imported
    spaces.load_own("own_space:two")
    space = spaces.build("own_space:two", resolution_px=16, classes=5)
    assert (space.name, space.size) == ("own_space:two", 2)
    assert space.decode({"kernel": 5}).classes == 5
    for wrong, said in WRONG.items():
        spaces.load_own(word := f"own_space:{wrong}")
        with pytest.raises(UsageError, match=re.escape(said.format(word))):
            spaces.build(word, resolution_px=16, classes=5)
    spaces.check("own_space:fixed")  # which may suit the images
    with pytest.raises(UsageError, match="must return a Space"):
        spaces.check("own_space:nothing")
    with pytest.raises(UsageError, match=r"cannot load space 'own_space:three': .* no attribute"):
        spaces.load_own("own_space:three")
    with pytest.raises(UsageError, match=r"cannot load space 'no_such_module:two': No module"):
        spaces.load_own("no_such_module:two")
