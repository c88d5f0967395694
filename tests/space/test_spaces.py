"""The published networks lie in the spaces around them."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.imports import Untrusted
from bneck.space import presets, spaces
from bneck.space.architecture import Part
from bneck.space.blocks import Block, FusedBottleneck, InvertedResidual, UniversalBottleneck
from bneck.space.layers import Layer
from bneck.space.mobilenet_v4 import V4_CONV_SMALL


def test_mnasnet_a1_is_a_point_of_its_space() -> None:
    values: dict = {}
    for s, (kernel, _, ratio, out, repeats, se) in enumerate(presets.MNASNET_A1, start=1):
        choices = {"kernel": kernel, "ratio": ratio, "se": se, "activation": "relu"}
        values |= {f"s{s}.width": out, f"s{s}.depth": repeats}
        values |= {f"s{s}.{name}": value for name, value in choices.items()}
    arch = spaces.build("mnasnet").decode(values)
    published = presets.build("mnasnet_a1")
    assert arch.layers() == published.layers()


def block_choices_of(preset: str, space_name: str) -> None:
    """Kernels, SE and activations of V3 are choices; its expansions are NetAdapt's work."""
    space, published = spaces.build(space_name), presets.build(preset)
    values: dict = {}
    for part, block in published.block_parts():
        assert isinstance(block, InvertedResidual)
        path, channels = part.path, part.in_channels
        stage = path.split(".")[0]
        ratios = space.choices[f"{path}.ratio"]
        nearest = min(ratios, key=lambda ratio: abs(ratio * channels - block.expansion))
        values |= {
            f"{stage}.width": block.out,
            f"{stage}.depth": len(published.stages[int(stage[1:]) - 1]),
            f"{path}.kernel": block.kernel,
            f"{path}.ratio": nearest,
            f"{path}.se": block.se != "none",
            f"{path}.activation": block.activation,
        }
        if f"{path}.kind" in space.choices:
            values[f"{path}.kind"] = "bneck"
    found = space.decode(values)
    widths_aside = [
        tuple(
            replace(block, expansion=1)
            for stage in arch.stages
            for block in stage
            if isinstance(block, InvertedResidual)
        )
        for arch in (found, published)
    ]
    assert widths_aside[0] == widths_aside[1]
    assert (found.stem, found.head, found.norm) == (published.stem, published.head, published.norm)


def test_block_choices_of_v3_small_lie_in_its_space() -> None:
    block_choices_of("mobilenet_v3_small", "v3-small")


def test_block_choices_of_v3_large_lie_in_its_space() -> None:
    block_choices_of("mobilenet_v3_large", "v3-large")


def test_block_choices_of_v3_small_lie_in_cpu_small() -> None:
    block_choices_of("mobilenet_v3_small", "cpu-small")


@pytest.mark.parametrize("name", ["v3-small", "v3-small-plain", "v3-large"])
def test_the_blocks_of_a_stage_are_chosen_one_by_one(name: str) -> None:
    space = spaces.build(name)
    chosen = [(3, 2, False, "relu"), (5, 3, True, "hswish"), (7, 6, False, "hswish")]
    values: dict = {choice: allowed[0] for choice, allowed in space.choices.items()}
    values |= {"s2.width": 24, "s3.width": 40, "s3.depth": 3}
    for b, own in enumerate(chosen, start=1):
        words = (f"s3.b{b}.{word}" for word in ("kernel", "ratio", "se", "activation"))
        values |= dict(zip(words, own, strict=True))
    assert space.decode(values).stages[2] == tuple(
        InvertedResidual(
            kernel, ratio * channels, 40, stride, "expansion" if se else "none", activation
        )
        for (kernel, ratio, se, activation), channels, stride in zip(
            chosen, (24, 40, 40), (2, 1, 1), strict=True
        )
    )


KINDS: dict[str, Block] = {
    "bneck": InvertedResidual(3, 96, 32, 2, "expansion", "hswish"),
    "extra-dw": UniversalBottleneck(5, 3, 96, 32, 2, "hswish"),
    "convnext": UniversalBottleneck(3, 0, 96, 32, 2, "hswish"),
    "fused": FusedBottleneck(3, 96, 32, 2, "hswish"),
    "ffn": UniversalBottleneck(0, 0, 128, 32, 1, "hswish"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_blocks_are_mobilenet_v4s(kind: str) -> None:
    """Its figure 4: at four times the 24 channels that the stage reads, or 32 after its first."""
    space, b = spaces.build("cpu-small"), 2 if kind == "ffn" else 1
    own = {"kind": kind, "ratio": 4, "activation": "hswish", "kernel": 3, "start": 5, "se": True}
    widths = {"s1.width": 24, "s2.width": 32}
    values = space.sample(0) | widths | {"s2.depth": 2, "s2.b1.kind": "fused"}
    values |= {f"s2.b{b}.{name}": value for name, value in own.items()}
    for name, allowed in space.choices.items():
        values.setdefault(name, allowed[0])
    assert space.decode(values).stages[1][b - 1] == KINDS[kind]


def test_blocks_of_v4_conv_small_lie_in_cpu_small() -> None:
    """Five of its six blocks of 96 channels and the first five of 128, in maps of their sides."""
    space, published = spaces.build("cpu-small"), presets.build("mobilenet_v4_conv_small")
    kinds = {(True, True): "extra-dw", (True, False): "convnext", (False, True): "bneck"}
    widths = {"s2.width": 64, "s3.width": 96, "s4.width": 96, "s5.width": 128}
    values: dict = {name: allowed[0] for name, allowed in space.choices.items()}
    values |= widths | {"s3.depth": 5, "s5.depth": 5}
    rows = {"s3": (*V4_CONV_SMALL[:4], V4_CONV_SMALL[5]), "s5": V4_CONV_SMALL[6:11]}
    for stage, blocks in rows.items():
        for b, (start, middle, ratio, _, _) in enumerate(blocks, start=1):
            own = {"kind": kinds[start > 0, middle > 0], "ratio": ratio, "activation": "relu"}
            own |= {"kernel": middle or start, "start": start or 3}
            values |= {f"{stage}.b{b}.{name}": value for name, value in own.items()}

    def lowered(part: Part) -> tuple[Layer, ...]:
        assert part.block is not None
        return part.block.lower("b", part.in_channels, part.in_px, "bn")

    ours = {part.path: lowered(part) for part, _ in space.decode(values).block_parts()}
    theirs = {part.path: lowered(part) for part, _ in published.block_parts()}
    assert [ours[f"s3.b{b}"] for b in range(1, 6)] == [theirs[f"s4.b{b}"] for b in (1, 2, 3, 4, 6)]
    assert [ours[f"s5.b{b}"] for b in range(1, 6)] == [theirs[f"s5.b{b}"] for b in range(1, 6)]


def test_a_space_of_ones_own_may_become_another_one_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module is loaded again once its file has changed; a file's word imports nothing."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(spaces, "SPACES", dict(spaces.SPACES))
    file, word = tmp_path / "a_space_that_changes.py", "a_space_that_changes:like"

    def written(other: str) -> None:
        makes = f"    return spaces.SPACES[{other!r}](name, resolution_px, classes)\n"
        begins = "from bneck.space import spaces\ndef like(name, resolution_px, classes):\n"
        file.write_text(begins + makes)

    written("v3-small")
    spaces.load_own(word)
    assert spaces.build(word).size == spaces.build("v3-small").size
    written("nas-bench-macro")
    importlib.reload(sys.modules["a_space_that_changes"])
    spaces.load_own(Untrusted(word))
    assert spaces.build(word).size == spaces.build("v3-small").size
    spaces.load_own(word)
    assert spaces.build(word).size == spaces.build("nas-bench-macro").size
    del sys.modules["a_space_that_changes"]
