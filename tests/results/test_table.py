"""A network's table, row by row."""

import pytest

from bneck.results.table import in_words, rows, times
from bneck.space import presets

# arXiv 1905.02244 v5, table 2: input side and channels, operator, expansion, out, SE, NL, stride.
# Its SE on the last convolution is left out, as in the reference implementations.
V3_SMALL = """
224 3   conv2d,3  -   16   - HS 2
112 16  bneck,3   16  16   + RE 2
56  16  bneck,3   72  24   - RE 2
28  24  bneck,3   88  24   - RE 1
28  24  bneck,5   96  40   + HS 2
14  40  bneck,5   240 40   + HS 1
14  40  bneck,5   240 40   + HS 1
14  40  bneck,5   120 48   + HS 1
14  48  bneck,5   144 48   + HS 1
14  48  bneck,5   288 96   + HS 2
7   96  bneck,5   576 96   + HS 1
7   96  bneck,5   576 96   + HS 1
7   96  conv2d,1  -   576  - HS 1
7   576 pool,7    -   576  - -  1
1   576 linear    -   1024 - HS 1
1   1024 linear   -   1000 - -  1
"""


def test_v3_small_reads_like_the_paper() -> None:
    printed = [
        [
            str(row.px),
            str(row.channels),
            ",".join((row.operator, *map(str, row.kernel))),
            str(row.expansion or "-"),
            str(row.out),
            "+" if row.se else "-",
            row.activation or "-",
            str(row.stride),
        ]
        for row in rows(presets.build("mobilenet_v3_small"))
    ]
    assert printed == [line.split() for line in V3_SMALL.strip().splitlines()]


def test_residuals_stand_where_stride_is_1_and_the_widths_agree() -> None:
    table = rows(presets.build("mobilenet_v3_small"))
    assert [row.path for row in table if row.residual] == [
        "s2.b2", "s3.b2", "s3.b3", "s4.b2", "s5.b2", "s5.b3",
    ]  # fmt: skip


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_has_a_row_a_block(name: str) -> None:
    arch = presets.build(name)
    paths = [row.path for row in rows(arch)]
    blocks = [part.path for part, _ in arch.block_parts()]
    assert paths[: len(blocks) + 1] == ["stem", *blocks]
    assert rows(arch)[-1].out == 1000


def test_in_words() -> None:
    words = in_words(presets.build("mobilenet_v3_small"))
    assert words[0] == "s1  k3 16→16 SE RE /2"
    assert words[3] == "s4  k5 120→48 SE HS · k5 144→48 SE HS"
    assert in_words(presets.build("mobilenet_v1"))[0] == "s1  k3 32→64 RE"


def test_times_add_up_from_layers_and_blocks() -> None:
    table = rows(presets.build("mobilenet_v3_small"))
    breakdown = {"s2.b1.expand": 0.25, "s2.b1.se.reduce": 0.125, "s3.b1": 0.5, "head": 1.0}
    spent = times(table, breakdown)
    assert spent["s2.b1"] == 0.375
    assert spent["s3.b1"] == 0.5
    assert spent["stem"] == 0.0
    assert spent["head"] == 1.0
    assert sum(spent.values()) == sum(breakdown.values())
