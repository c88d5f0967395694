"""Which channels are one group, whatever a block is made of."""

from bneck.space.channels import channel_groups, keeps_channels
from bneck.space.layers import Pool, Residual, Scale, depthwise, pointwise

FILTER = depthwise("filter", 24, 3, 1, 8, "relu", "bn")
INNER = pointwise("inner", 24, 24, 8, "none", "bn")
OUTER = pointwise("outer", 24, 24, 8, "relu", "bn")


def test_what_keeps_the_channels_that_it_reads() -> None:
    assert keeps_channels(())
    assert keeps_channels((FILTER,))
    assert keeps_channels((Residual("add", (INNER,)),))
    assert keeps_channels((FILTER, Residual("add", (INNER,)), FILTER))
    assert not keeps_channels((INNER,))
    assert not keeps_channels((OUTER, Residual("add", (INNER,))))
    assert not keeps_channels((Residual("add", (INNER,)), OUTER))


def test_a_gate_of_one_filter_a_channel_writes_no_channels() -> None:
    """As in ECA-Net (Wang et al. 2020): what it rescales is still written by the convolution."""
    gate = Scale("gate", (Pool("pool", 24, 8), depthwise("own", 24, 1, 1, 1, "sigmoid", "none")))
    ends = channel_groups((OUTER, gate, INNER))
    assert [ends[path].rescales for path in ("outer", "own", "inner")] == [False, True, False]
    assert {ends["own"].reads, ends["own"].writes, ends["inner"].reads} == {ends["outer"].writes}
    assert keeps_channels((gate,))
