"""The published tables' own parameters and multiply-adds, from our lowering of their networks."""

import csv
from itertools import product
from math import prod
from pathlib import Path

import pytest

from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.benchmark_spaces import macro_values
from bneck.space.cost import cost
from bneck.space.layers import Conv, Pool, leaves, output_shape


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def accel_network(row: dict[str, str]) -> Architecture:
    values: dict = {}
    for s in range(7):
        values[f"s{s + 1}.ratio"] = int(row[f"block{s}_e"])
        values[f"s{s + 1}.kernel"] = int(row[f"block{s}_k"])
        values[f"s{s + 1}.depth"] = int(row[f"block{s}_l"])
        values[f"s{s + 1}.se"] = row[f"block{s}_se"] == "True"
    return spaces.build("accel-nasbench").decode(values)


def thop_macs(arch: Architecture) -> int:
    """Multiply-adds as the `thop` tool counts them, which is how Accel-NASBench's column was made.

    Batch norm counts four an element, a global pool one a pixel and one a channel.
    """
    extra = 0
    for leaf in leaves(arch.layers()):
        if isinstance(leaf, Conv) and leaf.norm != "none":
            extra += 4 * prod(output_shape(leaf))
        elif isinstance(leaf, Pool):
            extra += leaf.channels * (leaf.in_px**2 + 1)
    return cost(arch).macs + extra


def test_every_network_of_nas_bench_macro_costs_what_its_table_says(shared_data: Path) -> None:
    space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    networks = set()
    for row in rows(shared_data / "nas_bench_macro.csv"):
        arch = space.decode(macro_values(row["arch"]))
        counted = cost(arch)
        assert (counted.params, counted.macs) == (int(row["params"]), int(row["flops"])), row
        networks.add(codec.key(arch))
    assert len(networks) == space.size == 3969


def test_every_network_of_accel_nasbench_costs_what_its_table_says(shared_data: Path) -> None:
    table = rows(shared_data / "accel_nasbench_sample.csv")
    assert len(table) == 1062
    for row in table:
        arch = accel_network(row)
        assert cost(arch).params == round(1e6 * float(row["params_m"])), row
        assert thop_macs(arch) == round(1e6 * float(row["macs_m"])), row


def test_an_identity_inside_a_stage_may_stand_anywhere_in_it() -> None:
    """So 3^8 codes name 9 x 21 x 21 networks."""
    space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    codes = ["".join(digits) for digits in product("012", repeat=8)]
    assert len({space.decode(macro_values(code)) for code in codes}) == 9 * 21 * 21
    assert space.decode(macro_values("21201022")) == space.decode(macro_values("21210022"))
    assert space.decode(macro_values("02201022")) != space.decode(macro_values("20201022"))
    assert len({tuple(values.items()) for values in space.all()}) == space.size


@pytest.mark.parametrize("code", ["2122", "212210223", "2122102x"])
def test_a_code_that_is_none_is_named(code: str) -> None:
    with pytest.raises(ValueError, match=f"8 digits 0, 1 or 2, got '{code}'"):
        macro_values(code)
