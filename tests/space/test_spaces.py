"""The published networks lie in the spaces around them."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.imports import Untrusted
from bneck.space import presets, spaces
from bneck.space.blocks import InvertedResidual


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
