"""What two networks differ in, block by block."""

from dataclasses import replace

from bneck.results.differences import differences
from bneck.space import presets


def test_heads_differ_in_their_activations_too() -> None:
    one = presets.build("mobilenet_v3_small", resolution_px=32)
    for word, shown in (("relu6", "RE6"), ("sigmoid", "sigmoid"), ("none", "none")):
        other = replace(one, head=replace(one.head, activation=word))
        found = [(d.path, d.trait, d.values) for d in differences([one, other])]
        assert found == [
            (f"head.{name}", "activation", ("HS", shown)) for name in ("conv", "hidden")
        ]


def test_differences_name_blocks_that_are_missing() -> None:
    small = presets.build("mobilenet_v3_small", resolution_px=32)
    large = presets.build("mobilenet_v3_large", resolution_px=32)
    found = {(d.path, d.trait): d.values for d in differences([small, large])}
    assert found["s1.b1", "SE"] == ("yes", "no")
    assert found["s6.b3", "block"] == ("–", "k5 960→160 SE HS")
    assert found["s2.b1", "expansion"] == ("72", "64")
    assert found["head.hidden", "width"] == ("1024", "1280")
    assert ("stem", "out") not in found
    assert differences([small, small]) == ()
    order = list(dict.fromkeys(path for path, _ in found))
    assert order[-2:] == ["head.conv", "head.hidden"]
    assert order[:-2] == sorted(order[:-2])
