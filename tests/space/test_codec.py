"""Architectures as JSON: equal on the way back, and strict about everything else."""

import importlib
import json
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.executors import open_executor
from bneck.space import codec, presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.blocks import BLOCKS, PlainConv
from bneck.space.heads import HEADS

pytestmark = pytest.mark.usefixtures("forks_have_torch")

OWN = """from bneck.space.blocks import PlainConv
from bneck.space.heads import PoolLinear

class OwnConv(PlainConv):
    pass

class OwnHead(PoolLinear):
    pass
"""


@pytest.mark.parametrize("name", presets.PRESETS)
def test_round_trip_is_equal(name: str) -> None:
    arch = presets.build(name, width=0.75, resolution_px=96, classes=10)
    again = codec.from_json(json.loads(json.dumps(codec.to_json(arch))))
    assert again == arch
    assert hash(again) == hash(arch)
    assert codec.key(again) == codec.key(arch)


def test_keys_differ_with_content() -> None:
    space = spaces.build("v3-small")
    keys = {codec.key(space.decode(space.sample(seed))) for seed in range(50)}
    assert len(keys) == 50


def test_keys_are_those_that_earlier_versions_wrote() -> None:
    """A run finds its scores, checkpoints and fine-tuned weights by them."""
    assert codec.key(presets.build("mobilenet_v3_small")) == "96fa021ad5ddd6bc"


def change(*path: object, to: object) -> dict:
    value = codec.to_json(presets.build("mobilenet_v3_small"))
    place = value
    for part in path[:-1]:
        place = place[part]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "architecture must be a JSON object"),
        ({"layers": 3}, "unknown key in architecture"),
        (change("format", to="other/9"), "format must be 'bneck.architecture/1', got 'other/9'"),
        (change("head", to=...), "lacks the key 'head'"),
        (change("classes", to=True), "classes must be .* got True"),
        (change("resolution_px", to=10**9), "resolution must be .* 8 to 2048, got 1000000000"),
        (change("norm", to="none"), "unknown norm 'none'; known: bn, bn_v3"),
        (change("stages", to=7), "stages must be a JSON list"),
        (change("stages", to=[]), "number of blocks must be"),
        (change("stages", 1, 0, "block", to="sse0.25"), "unknown block 'sse0.25'"),
        (change("stages", 1, 0, "sse", to=1), "unknown key in s2.b1: 'sse'"),
        (change("stages", 1, 0, "kernel", to=4), "s2.b1: kernel must be odd, got 4"),
        (change("stages", 1, 0, "kernel", to="3"), "s2.b1.kernel must be a whole number"),
        (change("stages", 1, 0, "expansion", to=1e30), "s2.b1.expansion must be"),
        (change("stages", 1, 0, "se", to=True), "s2.b1.se must be text"),
        (change("stages", 1, 0, "stride", to=3), "s2.b1: stride must be"),
        (change("stages", 1, 0, "activation", to="swish"), "s2.b1: unknown activation 'swish'"),
        (
            change("stages", 1, 0, "out", to=32),
            r"stage s2 must have one output width, got \[32, 24",
        ),
        (change("stem", "block", to="identity"), "stem"),
        (change("head", "head", to=["x"]), "unknown head"),
    ],
)
def test_foreign_json_is_one_line(value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        codec.from_json(value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        change("format", to="x" * 10**6),
        change("norm", to="x" * 10**6),
        change("norm", to=["x"] * 10**6),
        change("y" * 10**6, to=1),
        change("stem", "block", to="x" * 10**6),
        change("stages", 1, 0, "activation", to="x" * 10**6),
        change("stages", 1, 0, "y" * 10**6, to=1),
        change("head", "head", to=["x"] * 10**6),
        change("classes", to=10**4000),
    ],
)
def test_an_error_is_short_whatever_the_file_holds(value: object) -> None:
    with pytest.raises(UsageError) as error:
        codec.from_json(value)
    assert len(str(error.value)) < 500


def test_a_million_blocks_are_refused_before_they_are_built() -> None:
    stage = [{"block": "none of ours"}] * 1000
    with pytest.raises(UsageError, match=r"number of blocks must be .* 500, got 1000000"):
        codec.from_json(change("stages", to=[stage] * 1000))


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    file.write_text('{"a": ')
    with pytest.raises(UsageError, match=r"net\.json is not valid JSON"):
        codec.load(file)
    file.write_text("{}")
    with pytest.raises(UsageError, match=r"net\.json: architecture lacks the key"):
        codec.load(file)
    with pytest.raises(UsageError, match="no such file"):
        codec.load(tmp_path / "missing.json")
    with pytest.raises(UsageError, match="is a folder, not a file"):
        codec.load(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"net\.json is not text in UTF-8: invalid start byte"):
        codec.load(file)


def test_a_network_brings_the_words_of_its_own_blocks_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker imports the block, but not the program that gave it a word."""
    (tmp_path / "own_parts_of_a_network.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = importlib.import_module("own_parts_of_a_network")
    monkeypatch.setitem(BLOCKS, "own_conv", own.OwnConv)
    monkeypatch.setitem(HEADS, "own_head", own.OwnHead)
    arch = Architecture(PlainConv(3, 16), ((own.OwnConv(3, 16),),), own.OwnHead(), 10, 32)
    executor = open_executor(2)
    try:
        assert dict(executor.map_unordered(codec.key, [arch])) == {arch: codec.key(arch)}
    finally:
        executor.close()
