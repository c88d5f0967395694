"""Published tables of latencies, against sums worked out by hand."""

import json
from pathlib import Path

import pytest

from bneck.errors import NotCalibrated, UsageError
from bneck.latency.block_names import block_names
from bneck.latency.devices import open_device
from bneck.latency.predictor import load_kept, open_predictor
from bneck.latency.published_table import FORMAT, PublishedTable, read_table
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.heads import ConvPoolLinearLinear


def test_a_table_in_the_home_folder_is_found_behind_the_colon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "phone.csv").write_text("block,ms\nstem,0.5\n")
    (entry,) = read_table(tmp_path / "phone.csv").entries.values()
    for table in (open_predictor("table:~/phone.csv"), open_device("table:~/phone.csv").published):
        assert isinstance(table, PublishedTable)
        assert table.entries == {"stem": entry}


def once_for_all() -> Architecture:
    """Its smallest network at width 1.2: per stage one or two blocks, kernel 3."""

    def stage(
        out: int, ratio: int, before: int, se: str, act: str, stride: int
    ) -> tuple[InvertedResidual, ...]:
        return (
            InvertedResidual(3, ratio * before, out, stride, se, act),
            InvertedResidual(3, ratio * out, out, 1, se, act),
        )

    stages = (
        (InvertedResidual(3, 24, 24),),
        stage(32, 6, 24, "none", "relu", 2),
        stage(48, 6, 32, "expansion", "relu", 2),
        stage(96, 6, 48, "none", "hswish", 2),
        stage(136, 6, 96, "expansion", "hswish", 1),
        stage(192, 6, 136, "expansion", "hswish", 2),
    )
    return Architecture(PlainConv(3, 24, 2, "hswish"), stages, ConvPoolLinearLinear(1152, 1536))


def test_a_real_phones_table_sums_up(shared_data: Path) -> None:
    path = shared_data / "note10_224_lookup_table.yaml"
    table = open_predictor(f"table:{path}")
    arch = once_for_all()
    parts = table.breakdown(arch)
    assert parts["stem.conv"] == 0.994418
    assert parts["head.conv"] == 0.694356
    assert parts["s1.b1"] == pytest.approx(1.772802)
    assert table.predict(arch).ms == pytest.approx(sum(parts.values()))
    assert len(parts) == 1 + 11 + 4
    with pytest.raises(NotCalibrated, match=r"stem.conv: table:.* Conv-input:224x224x3-output:112"):
        table.predict(presets.build("mobilenet_v3_large"))


def test_our_own_csv(tmp_path: Path) -> None:
    arch = presets.build("mobilenet_v3_small")
    names = list(dict.fromkeys(name for _, name in block_names(arch.layers())))
    path = tmp_path / "phone.csv"
    path.write_text("block,ms\n" + "".join(f"{name},0.5\n" for name in names))
    table = read_table(path)
    blocks = len(list(block_names(arch.layers())))
    assert table.predict(arch).ms == pytest.approx(0.5 * blocks)
    assert table.predict(arch).std_ms == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must begin with the line"),
        ("block,ms\n", "holds no blocks"),
        ("block,ms\na,1\na,2\n", "line 3: a is listed twice"),
        ("block,ms\na,-1\n", "line 2: ms must be a number from 0 to 1e.09, got '-1'"),
        ("block,ms\na,nan\n", "got 'nan'"),
        ("block,ms\na,1e300\n", r"line 2: ms must be a number from 0 to 1e\+09, got '1e300'"),
        ("block,ms,std_ms\na,1,1e300\n", "line 2: std_ms must be a number from 0 to"),
        ("block,ms\na,fast\n", "got 'fast'"),
        ("block,ms\na\n", "line 2: 2 fields expected"),
        ("block,ms\na,0\n", "must take more than 0 ms"),
        (f"block,ms\n\na,1{'0' * 200_000}\n", "line 3: field larger than"),
    ],
)
def test_bad_tables_name_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_table(path)


@pytest.mark.parametrize("content", ["a:\n  count: 3\n", "a\n", "- a\n- b\n", "a: 3\n"])
def test_bad_yaml(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match="line 1"):
        read_table(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([0.0, 0.0], "ms of a must be above 0, got 0.0"),
        ([-1.0, 0.0], "ms of a must be above 0, got -1.0"),
        ([1e300, 0.0], "ms of a must be a number from 0 to 1e+09, got 1e+300"),
        ([1.0, 1e300], "std_ms of a must be a number from 0 to 1e+09, got 1e+300"),
        ([1.0, -0.1], "std_ms of a must not be negative, got -0.1"),
    ],
)
def test_the_copy_that_a_run_keeps_is_held_to_the_same(
    tmp_path: Path, entry: list[float], message: str
) -> None:
    path = tmp_path / "latency.json"
    content = {"format": FORMAT, "name": "table:x", "entries": {"a": entry}}
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        load_kept(path)
    assert str(caught.value) == f"{path}: {message}"


def test_deviations_of_blocks_add_up_as_those_of_independent_times(tmp_path: Path) -> None:
    arch = presets.build("mobilenet_v3_small")
    names = [name for _, name in block_names(arch.layers())]
    path = tmp_path / "phone.csv"
    path.write_text("block,ms,std_ms\n" + "".join(f"{n},0.5,0.1\n" for n in dict.fromkeys(names)))
    assert read_table(path).predict(arch).std_ms == pytest.approx(0.1 * len(names) ** 0.5)
    path = tmp_path / "phone.yaml"
    path.write_text("".join(f"{n}:\n  mean: 0.5\n  std: 0.1\n" for n in dict.fromkeys(names)))
    assert read_table(path).predict(arch).std_ms == pytest.approx(0.1 * len(names) ** 0.5)
