"""MobileNetV4-Conv-Small against timm: counts, weights, outputs; its blocks and their space."""

from collections import Counter

import numpy as np
import onnxruntime
import pytest
import timm
import torch

from bneck.errors import UsageError
from bneck.space import codec, presets, spaces
from bneck.space.backends import inheritance, onnx_model, torch_model
from bneck.space.backends.torchvision_weights import from_torchvision
from bneck.space.blocks import FusedBottleneck, UniversalBottleneck
from bneck.space.cost import cost
from bneck.space.edits import narrow, narrowables
from bneck.space.layers import Conv, Residual, leaves
from tests.space.test_presets import macs, parameters

NAME = "mobilenet_v4_conv_small"


@pytest.mark.parametrize(("timm_name", "width"), [("035", 0.35), ("050", 0.5), ("", 1.0)])
def test_width_multiplier_counts_as_timm(timm_name: str, width: float) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(f"mobilenetv4_conv_small{timm_name and '_' + timm_name}")
    assert cost(presets.build(NAME, width=width)).params == parameters(theirs)


def test_timms_weights_give_timms_outputs() -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("mobilenetv4_conv_small").eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    arch = presets.build(NAME, resolution_px=96)
    assert cost(arch).macs == pytest.approx(macs(theirs, 96), rel=0.005)
    ours = torch_model.Network(arch)
    state = from_torchvision(theirs.state_dict(), arch)
    ours.load_state_dict(state)
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected, got = theirs(x), ours.eval()(x)
    scale = float(expected.abs().max())
    assert torch.allclose(got, expected, rtol=0, atol=1e-5 * scale)
    arrays = {key: tensor.detach().numpy() for key, tensor in state.items()}
    graph = onnx_model.build(arch.layers(), arrays, batch="batch")
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (by_onnx,) = session.run(None, {onnx_model.INPUT: x.numpy()})
    assert np.abs(by_onnx - expected.numpy()).max() <= 1e-4 * scale


def test_the_four_kinds_of_the_universal_block() -> None:
    """Figure 4: which depthwise convolutions there are, and where the stride falls."""
    for start, middle, strides in ((5, 3, (1, 2)), (5, 0, (2,)), (0, 3, (2,))):
        block = UniversalBottleneck(start, middle, 48, 24, 2)
        wide = [leaf for leaf in leaves(block.lower("s1.b1", 16, 8, "bn")) if leaf.kernel > 1]
        assert tuple(leaf.stride for leaf in wide) == strides
        assert [leaf.out_channels for leaf in wide] == [16] * (start > 0) + [48] * (middle > 0)
    (ffn,) = UniversalBottleneck(0, 0, 48, 16).lower("s1.b1", 16, 8, "bn")
    assert isinstance(ffn, Residual)
    assert [leaf.kernel for leaf in ffn.body] == [1, 1]
    with pytest.raises(UsageError, match="stride 2 needs a depthwise convolution"):
        UniversalBottleneck(0, 0, 48, 16, 2)
    with pytest.raises(UsageError, match="kernel must be odd, got 4"):
        UniversalBottleneck(4, 3, 48, 16)


def test_the_fused_block_costs_its_closed_formula() -> None:
    (body,) = FusedBottleneck(3, 64, 16).lower("s1.b1", 16, 8, "bn")
    assert isinstance(body, Residual)
    expand, project = body.body
    assert isinstance(expand, Conv)
    assert (expand.groups, expand.activation, project.activation) == (1, "relu", "none")
    arch = presets.build(NAME, resolution_px=64)
    fused = FusedBottleneck(3, 64, 32, 2)
    changed = codec.from_json(
        codec.to_json(arch) | {"stages": [[{"block": "fused_bottleneck", **vars_of(fused)}]]}
    )
    side = 64 // 4
    expected = 9 * 32 * 64 * side**2 + 64 * 32 * side**2
    head_and_stem = 27 * 32 * 32**2 + 32 * 960 * side**2 + 960 * 1280 + 1280 * 1000
    assert cost(changed).macs == expected + head_and_stem


def vars_of(block: FusedBottleneck) -> dict:
    return {name: getattr(block, name) for name in block.__slots__}


def test_narrowed_networks_take_over_weights_and_still_run() -> None:
    arch = presets.build(NAME, width=0.5, resolution_px=32, classes=10)
    whats = [item.what for item in narrowables(arch)]
    assert len([what for what in whats if what.endswith(".expand")]) == 12
    state = torch_model.build(arch, seed=1).state_dict()
    for what in ("s4.b1.expand", "s4.bottleneck", "s5.bottleneck", "s2.bottleneck"):
        narrower = narrow(arch, what, 16)
        network = torch_model.Network(narrower)
        network.load_state_dict(inheritance.inherit(arch, state, narrower, seed=0))
        kept = network.get_submodule("stem.conv").conv.weight
        assert torch.equal(kept, state["stem.conv.conv.weight"])
        with torch.no_grad():
            assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_a_start_depthwise_follows_the_bottleneck_it_reads() -> None:
    """The filters that stay are the same ones in the projection and in the next block's start."""
    arch = presets.build(NAME, width=0.5, resolution_px=32, classes=10)
    state = torch_model.build(arch, seed=1).state_dict()
    narrower = narrow(arch, "s4.bottleneck", 16)
    got = inheritance.inherit(arch, state, narrower, seed=0)
    whole, part = (w["s4.b6.start.conv.weight"] for w in (state, got))
    assert part.shape == (16, 1, 3, 3)
    rows = [int((whole == row).flatten(1).all(1).nonzero()) for row in part]
    projected = state["s4.b1.project.conv.weight"][rows]
    kept = got["s4.b1.project.conv.weight"]
    assert torch.equal(projected, kept)


def test_the_space_holds_all_kinds_and_round_trips() -> None:
    space = spaces.build("cpu-small", resolution_px=32, classes=10)
    assert space.size > 1e20
    kinds: Counter[str] = Counter()
    for seed in range(30):
        values = space.sample(seed)
        arch = space.decode(values)
        assert codec.from_json(codec.to_json(arch)) == arch
        kinds.update(str(v) for name, v in values.items() if name.endswith(".kind"))
        for near in list(space.neighbours(values))[:5]:
            space.decode(near)
    assert set(kinds) == {"bneck", "extra-dw", "convnext", "fused", "ffn"}
    torch_model.build(space.decode(space.sample(0)))(torch.zeros(2, 3, 32, 32))
