"""Which kernels are wider than any that a calibration has timed."""

from bneck.latency.calibration.calibrated_range import calibrated_range, extrapolated
from bneck.space.layers import pointwise

TIMED = (
    pointwise("a", 64, 32, 14, "relu", "bn"),
    pointwise("b", 16, 128, 14, "none", "bn"),
)


def test_a_kernel_extrapolates_by_what_it_reads_as_by_what_it_writes() -> None:
    seen = calibrated_range([TIMED[:1], TIMED[1:]])
    assert seen == {"pointwise on 14 px": [64, 128]}
    assert extrapolated(seen, (pointwise("as wide", 64, 128, 14, "hswish", "bn"),)) == []
    others = (
        pointwise("reads more", 65, 8, 14, "none", "bn"),
        pointwise("writes more", 8, 129, 14, "none", "bn"),
        pointwise("other side", 8, 8, 7, "none", "bn"),
    )
    assert extrapolated(seen, others) == ["reads more", "writes more", "other side"]
