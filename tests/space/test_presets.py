"""The published networks against the papers' counts, torchvision, timm and fvcore."""

from functools import partial

import pytest
import torch
import torchvision
from fvcore.nn import FlopCountAnalysis

from bneck.errors import UsageError
from bneck.space import presets
from bneck.space.backends import torch_model
from bneck.space.cost import cost

# Papers and reference implementations, 1000 classes at 224 px.
PARAMETERS = {
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "mnasnet_b1": 4_383_312,
    "mnasnet_a1": 3_887_038,
    "mnasnet_small": 2_030_264,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_large_075": 3_993_528,
    "mobilenet_v3_large_reduced": 2_569_352,
    "mobilenet_v3_large_minimal": 3_924_288,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_small_075": 2_041_872,
    "mobilenet_v3_small_reduced": 1_099_672,
    "mobilenet_v3_small_minimal": 2_044_736,
    "mobilenet_v4_conv_small": 3_774_024,
}
TORCHVISION = {
    "mobilenet_v2": lambda width: torchvision.models.mobilenet_v2(width_mult=width),
    "mobilenet_v3_large": lambda width: torchvision.models.mobilenet_v3_large(width_mult=width),
    "mobilenet_v3_small": lambda width: torchvision.models.mobilenet_v3_small(width_mult=width),
    "mnasnet_b1": lambda width: torchvision.models.MNASNet(width),
    "mobilenet_v3_small_reduced": lambda width: torchvision.models.mobilenet_v3_small(
        width_mult=width, reduced_tail=True
    ),
    "mobilenet_v3_large_reduced": lambda width: torchvision.models.mobilenet_v3_large(
        width_mult=width, reduced_tail=True
    ),
}


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def macs(module: torch.nn.Module, side: int) -> int:
    """fvcore's count of convolutions and linear layers; one multiply-add is one."""
    analysis = FlopCountAnalysis(module.eval(), torch.zeros(1, 3, side, side))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_operator = analysis.by_operator()
    return by_operator["conv"] + by_operator["linear"]


def test_every_preset_has_a_published_count() -> None:
    assert set(PARAMETERS) == set(presets.PRESETS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_parameters(name: str) -> None:
    arch = presets.build(name)
    assert cost(arch).params == PARAMETERS[name]
    with torch.device("meta"):
        assert parameters(torch_model.Network(arch)) == PARAMETERS[name]


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.4])
def test_width_multiplier_counts_as_torchvision(name: str, width: float) -> None:
    with torch.device("meta"):
        expected = parameters(TORCHVISION[name](width))
    assert cost(presets.build(name, width=width)).params == expected


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "mnasnet_b1"])
@pytest.mark.parametrize("side", [224, 160])
def test_multiply_adds_of_torchvision_by_fvcore(name: str, side: int) -> None:
    expected = macs(TORCHVISION[name](1.0), side)
    assert cost(presets.build(name, resolution_px=side)).macs == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("name", PARAMETERS)
def test_multiply_adds_of_our_module_by_fvcore(name: str) -> None:
    arch = presets.build(name, resolution_px=96)
    expected = macs(torch_model.Network(arch), 96)
    assert cost(arch).macs == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mobilenet_v1", 569),
        ("mobilenet_v2", 300),
        ("mobilenet_v3_large", 216.6),
        ("mobilenet_v3_small", 56.5),
        ("mobilenet_v3_large_075", 155),
        ("mnasnet_a1", 312),  # MnasNet, table 1; MobileNetV3's table 3 says 315
    ],
)
def test_published_multiply_adds(name: str, millions: float) -> None:
    assert cost(presets.build(name)).macs / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(
    ("name", "width", "millions", "off"),
    [("mobilenet_v2", 0.35, 59.2, 0.1), ("mobilenet_v3_small_075", 1.0, 44, 0.7)],
)
def test_published_multiply_adds_of_narrow_networks(
    name: str, width: float, millions: float, off: float
) -> None:
    """MobileNetV3, table 3."""
    macs = cost(presets.build(name, width=width)).macs / 1e6
    assert macs == pytest.approx(millions, abs=off)


def with_papers_layers(module: torch.nn.Module) -> torch.nn.Module:
    """timm's network as published: ReLU in V1, and TensorFlow's padding as everyone's."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.ReLU6):
            setattr(module, name, torch.nn.ReLU())
        elif type(child).__name__ == "Conv2dSame":
            child.forward = partial(torch.nn.Conv2d.forward, child)
            child.padding = tuple(side // 2 for side in child.kernel_size)
        else:
            with_papers_layers(child)
    return module


def weighted(module: torch.nn.Module) -> list[torch.nn.Module]:
    kinds = torch.nn.Conv2d | torch.nn.Linear | torch.nn.BatchNorm2d
    return [one for one in module.modules() if isinstance(one, kinds)]


@pytest.mark.parametrize(
    ("timm_name", "name", "width"),
    [
        ("mobilenetv1_100", "mobilenet_v1", 1.0),
        ("semnasnet_100", "mnasnet_a1", 1.0),
        ("semnasnet_075", "mnasnet_a1", 0.75),
        ("mnasnet_small", "mnasnet_small", 1.0),
        ("tf_mobilenetv3_small_075", "mobilenet_v3_small_075", 1.0),
        ("tf_mobilenetv3_large_minimal_100", "mobilenet_v3_large_minimal", 1.0),
        ("tf_mobilenetv3_small_minimal_100", "mobilenet_v3_small_minimal", 1.0),
    ],
)
def test_timms_weights_give_timms_outputs(timm_name: str, name: str, width: float) -> None:
    """At an odd side too, where strides round up."""
    import timm

    torch.manual_seed(0)
    theirs = with_papers_layers(timm.create_model(timm_name, pretrained=False)).eval()
    ours = torch_model.Network(presets.build(name, width=width, resolution_px=65)).eval()
    for one, own in zip(weighted(theirs), weighted(ours), strict=True):
        if isinstance(one, torch.nn.BatchNorm2d):
            one.running_mean.normal_(0, 0.2)
            one.running_var.uniform_(0.5, 2)
        state = own.state_dict()
        own.load_state_dict(
            {key: value.reshape(state[key].shape) for key, value in one.state_dict().items()}
        )
    for side in (64, 65):
        x = torch.randn(2, 3, side, side)
        with torch.no_grad():
            expected, got = theirs(x), ours(x)
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("timm_name", "name"),
    [
        ("mobilenetv1_100", "mobilenet_v1"),
        ("semnasnet_100", "mnasnet_a1"),
        ("mnasnet_small", "mnasnet_small"),
        ("tf_mobilenetv3_large_075", "mobilenet_v3_large_075"),
        ("tf_mobilenetv3_small_075", "mobilenet_v3_small_075"),
        ("tf_mobilenetv3_large_minimal_100", "mobilenet_v3_large_minimal"),
        ("tf_mobilenetv3_small_minimal_100", "mobilenet_v3_small_minimal"),
        ("mobilenetv4_conv_small", "mobilenet_v4_conv_small"),
    ],
)
def test_timm_counts_the_same(timm_name: str, name: str) -> None:
    import timm

    with torch.device("meta"):
        expected = parameters(timm.create_model(timm_name, pretrained=False))
    assert cost(presets.build(name)).params == expected


def layers(module: torch.nn.Module) -> list[tuple[int, int, int, int]]:
    """Kernel, stride, inputs and outputs; a linear layer is a convolution of one pixel."""
    found = []
    for one in module.modules():
        if isinstance(one, torch.nn.Conv2d):
            found.append((one.kernel_size[0], one.stride[0], one.in_channels, one.out_channels))
        elif isinstance(one, torch.nn.Linear):
            found.append((1, 1, one.in_features, one.out_features))
    return found


@pytest.mark.parametrize("size", ["large", "small"])
def test_the_papers_v3_of_three_quarters_has_its_layers(size: str) -> None:
    """Those of timm's, which takes the reference implementation's weights."""
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(f"tf_mobilenetv3_{size}_075", pretrained=False)
        ours = torch_model.Network(presets.build(f"mobilenet_v3_{size}_075"))
    assert layers(ours) == layers(theirs)


@pytest.mark.parametrize(
    ("name", "papers", "ours"),
    [("mobilenet_v3_large", 3_993_528, 3_377_576), ("mobilenet_v3_small", 2_041_872, 1_653_920)],
)
def test_the_papers_v3_of_another_width_is_larger(name: str, papers: int, ours: int) -> None:
    """As docs/reference.md says; MobileNetV3's table 3 gives 4.0 and 2.0 M."""
    assert cost(presets.build(f"{name}_075")).params == papers
    assert cost(presets.build(name, width=0.75)).params == ours


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("rho", [128, 160, 192, 224])
def test_v1_block_costs_equation_5(alpha: float, rho: int) -> None:
    """MobileNetV1, equation 5, on the block 512 -> 512 at a sixteenth of the input side."""
    arch = presets.build("mobilenet_v1", width=alpha, resolution_px=rho)
    depthwise, project = arch.layers()[1 + 2 * 7 : 1 + 2 * 8]
    side, channels = -(-rho // 16), alpha * 512
    from bneck.space.cost import leaf_macs

    expected = 9 * channels * side**2 + channels * channels * side**2
    assert leaf_macs(depthwise) + leaf_macs(project) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "mobilenet_v9"}, "unknown preset 'mobilenet_v9'; known: mobilenet_v1"),
        ({"name": "mobilenet_v1", "width": 0}, "width must be"),
        ({"name": "mobilenet_v1", "width": float("nan")}, "width must be"),
        ({"name": "mobilenet_v1", "resolution_px": 4}, "resolution must be .* 8 to 2048, got 4"),
        ({"name": "mobilenet_v1", "classes": 1}, "classes must be .* got 1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        presets.build(**arguments)
