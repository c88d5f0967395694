"""Similarity in closed form: the published network itself, and random ones at its latency."""

import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree

import pytest

from bneck import records
from bneck.cli import run
from bneck.derivation.similarity import as_fast, similarity_to
from bneck.errors import BneckError
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.results import static_figures
from bneck.results.run import Run
from bneck.results.similarity import DEPTH, Similarity, Trait, as_text, profiles, similarity
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.benchmark_spaces import macro_values
from bneck.space.cost import cost
from tests.closed_form import MacsDevice
from tests.command_line import json_of

V3 = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)
SPACE = spaces.build("v3-small", resolution_px=32, classes=10)


def macs(arch: Architecture) -> float:
    return cost(arch).macs / 1e6


def test_a_model_of_another_side_is_named_without_an_option_that_is_not_there(
    digits_latency: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"--latency={digits_latency}"
    assert run(["likeness", "mobilenet_v3_small", "--space=v3-small", model]) == 2
    assert capsys.readouterr().err == (
        f"bneck: {digits_latency} was calibrated at 16 px, and mobilenet_v3_small is of 224 px: "
        "give a model of that side\n"
    )


def test_v3_smalls_profile_is_its_table() -> None:
    """Table 2 by output stride: 5x5 and h-swish from 1/16 on, SE first, then not, then again."""
    found = profiles(V3)
    assert found["kernels of 5 and more"] == {4: 0, 8: 0, 16: 1, 32: 1}
    assert found["squeeze-excite"] == {4: 1, 8: 0, 16: 1, 32: 1}
    assert found["h-swish"] == {4: 0, 8: 0, 16: 1, 32: 1}
    assert found[DEPTH] == {4: 1, 8: 2, 16: 5, 32: 3}


def test_random_networks_are_as_fast_and_the_published_one_stands_out() -> None:
    others = as_fast(SPACE, macs, macs(V3), count=40, seed=0)
    assert len({macs(other) for other in others}) > 30
    assert all(macs(other) == pytest.approx(macs(V3), rel=0.031) for other in others)
    found = similarity(V3, V3, "V3-Small", others, macs(V3))
    assert found.distance == 0
    assert found.percentile == 100
    assert all(trait.percentile >= 95 for trait in found.traits)
    average = [similarity(one, V3, "V3-Small", others, 1.0).percentile for one in others]
    assert sum(average) / len(average) == pytest.approx(50, abs=0.01)


def test_a_network_is_judged_beside_random_ones_of_its_own_latency() -> None:
    """Not of the published one's, which may be twice as slow."""
    arch = min((SPACE.decode(SPACE.sample(seed)) for seed in range(9)), key=macs)
    assert macs(arch) < 0.95 * macs(V3)
    found = similarity_to(arch, MacsDevice(), SPACE, to="mobilenet_v3_small", count=8, seed=3)
    others = as_fast(SPACE, macs, macs(arch), count=8, seed=3)
    assert found == similarity(arch, V3, "mobilenet_v3_small", others, macs(arch))


def test_all_traits_together_are_the_mean_of_each_over_its_mean_among_random_networks() -> None:
    others = as_fast(SPACE, macs, macs(V3), count=15, seed=2)
    one, goal = others[0], profiles(V3)
    shares = []
    for trait in goal:

        def away(arch: Architecture, trait: str = trait) -> float:
            mine = profiles(arch)[trait]
            return fmean(abs(mine[at] - goal[trait][at]) for at in mine.keys() & goal[trait].keys())

        if len({away(other) for other in others}) > 1:
            shares.append(away(one) / fmean(map(away, others)))
    assert similarity(one, V3, "V3", others, 1.0).distance == pytest.approx(fmean(shares))


def test_the_opposite_placement_is_unlike() -> None:
    """5x5, SE and h-swish early instead of late."""
    upside_down = replace(
        V3,
        stages=tuple(
            tuple(
                replace(
                    block,
                    kernel=5 if early else 3,
                    se="expansion" if s == 1 else "none",
                    activation="hswish" if early else "relu",
                )
                for block in stage
            )
            for s, stage in enumerate(V3.stages)
            for early in [s < 2]
        ),
    )
    others = as_fast(SPACE, macs, macs(V3), count=40, seed=1)
    found = {t.name: t.percentile for t in similarity(upside_down, V3, "V3", others, 1.0).traits}
    assert all(found[name] <= 2 for name in list(found)[:3])
    assert found["width (log2)"] >= 95


def test_networks_without_a_block_at_a_side_are_left_out_there() -> None:
    """Of NAS-Bench-Macro's only those with blocks in the last two stages meet V3's strides."""
    space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)

    def network(code: str) -> Architecture:
        return space.decode(macro_values(code))

    others = [network(code) for code in ("11100100", "11000100", "11100000", "11200200")]
    apart = network("11000000")  # blocks at an output stride of 2 alone: nothing to compare
    found = similarity(network("11100100"), V3, "V3-Small", [*others, apart], 1.0)
    width = next(trait for trait in found.traits if trait.name == "width (log2)")
    assert width.strides == (4, 8)
    assert width.random_mean == (7, 8)  # 128 and 256 channels in every block there
    assert found.networks == 4
    blocks = found.traits[-1]
    assert blocks.random_mean == (0.75, 0.75)
    with pytest.raises(BneckError, match="no random network has a block at an output stride of"):
        similarity(network("11100100"), V3, "V3-Small", [apart], 1.0)


def test_a_latency_that_no_network_has_is_named() -> None:
    with pytest.raises(BneckError, match=r"only 0 of 20 random networks .* the nearest takes"):
        as_fast(SPACE, macs, 1e6, count=20, seed=0)


def test_in_words_each_number_stands_under_its_name() -> None:
    trait = Trait("h-swish", (4, 8), (0.1, 0.2), (0.3, 0.4), (0.5, 0.6), 0.25, 0.75, 97.0)
    found = Similarity("v3", 0.21, 200, 88.5, 0.1, (0.2, 0.3), (trait,))
    head, row, *_ = as_text(found).splitlines()
    assert re.split("  +", head) == [
        "trait", "network", "v3", "random", "distance", "of random", "percentile"
    ]  # fmt: skip
    assert re.split("  +", row) == [
        "h-swish",
        "0.1 0.2",
        "0.3 0.4",
        "0.5 0.6",
        "0.25",
        "0.75",
        "97",
    ]


def test_the_command_writes_table_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["likeness", "mobilenet_v3_small", "--space=v3-small", "--networks=10"]
    assert run([*arguments, "--latency=macs", f"--out={tmp_path}"]) == 0
    assert "than 100.0 % of 10 random networks" in capsys.readouterr().out
    content = json.loads((tmp_path / "likeness.json").read_text())
    assert [trait["name"] for trait in content["traits"]][-1] == "blocks"
    ElementTree.fromstring((tmp_path / "likeness.svg").read_text())
    assert static_figures.BLUE in (tmp_path / "likeness.svg").read_text()
    assert run(arguments) == 2
    assert "give --space and --latency" in capsys.readouterr().err


def test_the_command_draws_by_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--space=v3-small", "--latency=macs", "--networks=10", "--seed=3", "--to=mobilenet_v2")
    found = json_of(capsys, "likeness", "mobilenet_v3_small", *asked)
    space = spaces.build("v3-small", resolution_px=224, classes=1000)
    v3, macs_ms = presets.build("mobilenet_v3_small"), MacsRuntime()
    theirs = similarity_to(v3, macs_ms, space, to="mobilenet_v2", count=10, seed=3)
    assert found == records.to_json(theirs)


def test_a_run_without_a_latency_model_needs_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one of `train`, of which a file was missing that nobody had named."""
    Run.open(tmp_path / "run", {"space": "v3-small"}).close()
    records.write(tmp_path / "run" / "network.json", V3)
    assert run(["likeness", str(tmp_path / "run")]) == 2
    said = f"bneck: the run {tmp_path}/run has no latency model of its own: give --latency\n"
    assert capsys.readouterr().err == said


def test_the_likeness_of_a_run_to_another_network_leaves_its_own(tmp_path: Path) -> None:
    Run.open(tmp_path / "run", {"space": "v3-small"}).close()
    records.write(tmp_path / "run" / "network.json", V3)
    command = ["likeness", str(tmp_path / "run"), "--latency=macs", "--networks=10"]
    assert run(command) == 0
    own = (tmp_path / "run" / "likeness.json").read_bytes()
    assert run([*command, "--to=mobilenet_v2"]) == 0
    assert (tmp_path / "run" / "likeness.json").read_bytes() == own
    assert run([*command, "--to=mobilenet_v2", f"--out={tmp_path}/v2"]) == 0
    assert (
        json.loads((tmp_path / "v2" / "likeness.json").read_text())["published"] == "mobilenet_v2"
    )
