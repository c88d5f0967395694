"""Each zero-cost proxy against a closed form, or its definition written out again."""

import math
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed, UsageError
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.proxy import PROXIES, find_proxy, is_zero_cost
from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.block_stats import _entropy, block_stats
from bneck.proxies.zero_cost.passes import BATCH, MAX_PX, Passes
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import ConvUnit, build
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.heads import ConvPoolConvLinear, ConvPoolLinear, PoolLinear

SEED = 5
WORDS = [word for word in PROXIES if issubclass(find_proxy(word), ZeroCost)]
CHAIN = Architecture(  # 1x1 convolutions only, so that pixels do not mix
    PlainConv(1, 6), ((PlainConv(1, 8),), (PlainConv(1, 5, 2),)), PoolLinear(), 4, 8
)
NET = Architecture(
    PlainConv(3, 8),
    ((InvertedResidual(3, 16, 12, 2),) + (InvertedResidual(3, 24, 12, se="expansion"),) * 2,),
    ConvPoolLinear(16),
    10,
    16,
)


class Own(ZeroCost):
    """Somebody's own, whose scores are no accuracies either."""


def test_zero_cost_proxies_are_known_by_what_they_derive_from() -> None:
    assert [word for word in PROXIES if is_zero_cost(word)] == WORDS
    assert is_zero_cost(f"{__name__}:Own")
    for accuracies in ("bneck.proxies.short_training:ShortTraining", "shared-weights:none"):
        assert not is_zero_cost(accuracies)


def score(word: str, arch: Architecture, images: ImageSource | None = None) -> float:
    return float(find_proxy(word)(images)(arch, seed=SEED))


def score_of(word: str, **passes: Any) -> float:
    """The score of passes that are made up."""
    return float(find_proxy(word)(images=True).score(SimpleNamespace(**passes)))


def batch_of(images: ImageSource) -> tuple[Tensor, Tensor]:
    part = images.subset(seed=SEED, train=2 * BATCH)
    return images.normalise(part.train.pixels()[:BATCH]), part.train.labels[:BATCH]


def test_params_and_macs_are_the_published_counts() -> None:
    v3_small = presets.build("mobilenet_v3_small")
    assert score("params", v3_small) == 2_542_856
    assert score("macs", v3_small) == pytest.approx(56.5e6, rel=0.001)


def test_synflow_of_a_chain_is_its_length_times_its_output() -> None:
    """R is linear in the weights of each of the four layers, so each adds R to the sum."""
    weights = [
        w.detach().abs().flatten(1) for w in build(CHAIN, seed=SEED).parameters() if w.ndim > 1
    ]
    response = torch.ones(3)
    for weight in weights:
        response = weight @ response
    assert score("synflow", CHAIN) == pytest.approx(math.log(4 * response.sum()), rel=1e-5)


def test_synflow_counts_both_ways_of_a_residual() -> None:
    """Doubling a body's last weights adds to R what flows through that body."""
    arch = Architecture(
        PlainConv(1, 4), ((PlainConv(1, 4), InvertedResidual(1, 8, 4)),), PoolLinear(), 2, 8
    )
    stem, first, expand, depthwise, project, classifier = (
        w.detach().abs().flatten(1).double()
        for w in build(arch, seed=SEED).parameters()
        if w.ndim > 1
    )
    x = first @ (stem @ torch.ones(3, dtype=torch.float64))
    body = project @ (depthwise.flatten() * (expand @ x))
    through_all, through_body = (classifier @ (x + body)).sum(), (classifier @ body).sum()
    expected = math.log(3 * through_all + 3 * through_body)
    assert score("synflow", arch) == pytest.approx(expected, rel=1e-5)


def test_synflow_of_a_deep_network_does_not_overflow() -> None:
    deep = Architecture(PlainConv(3, 64), ((PlainConv(3, 64),) * 40,), PoolLinear(), 10, 8)
    assert score("synflow", deep) > math.log(torch.finfo(torch.float32).max)


def test_naswot_counts_rectifiers_in_the_same_state(digits: ImageSource) -> None:
    network = build(NET, seed=SEED).train()
    states: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda m, i, out: states.append((out > 0).flatten(1)))
    network(batch_of(digits)[0])
    codes = torch.cat(states, 1)
    kernel = np.array([[int((a == b).sum()) for b in codes] for a in codes], float)
    assert len(states) == 10  # stem, two in each of three blocks, two squeezes, last convolution
    assert score("naswot", NET, digits) == pytest.approx(np.linalg.slogdet(kernel)[1], abs=0.01)


def test_grad_norm_and_snip_read_the_gradient_of_the_loss(digits: ImageSource) -> None:
    network = build(NET, seed=SEED).train()
    pixels, labels = batch_of(digits)
    cross_entropy(network(pixels), labels).backward()
    weights = [p for p in network.parameters() if p.ndim > 1]
    norm = sum(float(w.grad.square().sum().sqrt()) for w in weights)  # type: ignore[union-attr]
    saliency = sum(float((w * w.grad).detach().abs().sum()) for w in weights)
    assert score("grad_norm", NET, digits) == pytest.approx(norm, rel=1e-4)
    assert score("snip", NET, digits) == pytest.approx(saliency, rel=1e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.9])
def test_jacob_cov_of_two_images(correlation: float) -> None:
    x, y = torch.tensor([1.0, -1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, -1.0])
    slopes = torch.stack([x, correlation * x + math.sqrt(1 - correlation**2) * y])
    values = [1 + correlation + 1e-5, 1 - correlation + 1e-5]
    expected = -sum(math.log(v) + 1 / v for v in values)
    labelled = SimpleNamespace(slopes=slopes[:, None])
    assert score_of("jacob_cov", labelled=labelled) == pytest.approx(expected, rel=1e-5)


def test_slopes_are_the_derivatives_of_the_logits(digits: ImageSource) -> None:
    """Batch norm mixes images, so one pixel is moved and all logits are watched."""
    passes = Passes(NET, digits, seed=SEED)
    network, (pixels, _) = build(NET, seed=SEED).double(), batch_of(digits)
    step = torch.zeros_like(pixels, dtype=torch.float64)
    step[3, 0, 7, 8] = 1e-5
    with torch.no_grad():
        up, down = (network(pixels.double() + sign * step).sum() for sign in (1, -1))
    assert float(passes.labelled.slopes[3, 0, 7, 8]) == pytest.approx(
        float(up - down) / 2e-5, rel=0.01, abs=1e-6
    )


def test_zico_of_made_up_gradients() -> None:
    """Mean over std of |g|: (1, 3) gives 2, (-1, 2) gives 3, equal ones are left out."""
    first = (torch.tensor([1.0, -1.0, 5.0]), torch.tensor([1.0]), torch.tensor([2.0]))
    second = (torch.tensor([3.0, 2.0, -5.0]), torch.tensor([3.0]), torch.tensor([2.0]))
    expected = math.log(2 + 3) + math.log(2)
    assert score_of("zico", gradients=(first, second)) == pytest.approx(expected)
    with pytest.raises(ProxyFailed, match="nan"):
        find_proxy("zico")(images=True).read(SimpleNamespace(gradients=(first, first), arch=NET))


def test_the_second_gradient_is_of_other_images(digits: ImageSource) -> None:
    one, other = Passes(NET, digits, seed=SEED).gradients
    assert all(
        a.shape == b.shape and not torch.equal(a, b) for a, b in zip(one, other, strict=True)
    )


def test_zen_is_the_papers_algorithm() -> None:
    """Standard normal weights, no residuals, log std of every batch norm, as algorithm 1 says."""
    arch = Architecture(
        PlainConv(3, 8),
        ((InvertedResidual(3, 16, 8), InvertedResidual(3, 24, 8)),),
        PoolLinear(),
        2,
        12,
    )
    network = build(arch, seed=SEED).train()
    units = [m for m in network.modules() if isinstance(m, ConvUnit)]
    for unit in units:  # drawn with variance 2 / fan-out
        fan_out = unit.conv.weight[:, 0].numel() / unit.conv.groups
        unit.conv.weight.data *= math.sqrt(fan_out / 2)
        if unit.conv.groups == 1:
            assert float(unit.conv.weight.detach().std()) == pytest.approx(1, rel=0.25)

    def features(x: Tensor) -> tuple[Tensor, float]:
        log_std = 0.0
        for unit in units:
            x = unit.conv(x)
            log_std += 0.5 * math.log(x.var((0, 2, 3)).mean())
            x = unit.activation(unit.norm(x))
        return x, log_std

    passes = Passes(arch, None, seed=SEED)
    with torch.no_grad():
        x, e = passes.noise(1), passes.noise(2)
        here, log_std = features(x)
        there, _ = features(x + 0.01 * e)
    distance = np.mean([np.linalg.norm((a - b).numpy()) for a, b in zip(here, there, strict=True)])
    assert score("zen", arch) == pytest.approx(math.log(distance) + log_std, abs=1e-3)


def test_zen_ends_before_the_pool(digits: ImageSource) -> None:
    """MobileNetV4's last convolution, which has a batch norm, lies behind it."""
    narrow, wide = (
        Architecture(
            PlainConv(3, 8),
            ((InvertedResidual(3, 16, 8),),),
            ConvPoolConvLinear(24, hidden),
            digits.info.classes,
            12,
        )
        for hidden in (16, 64)
    )
    alone = score("zen", narrow, digits)
    assert score("zen", wide, digits) == pytest.approx(alone, rel=1e-6)
    passes = Passes(narrow, digits, seed=SEED)
    score_of_images = find_proxy("naswot")(digits).read(passes)
    assert math.isfinite(score_of_images)
    assert find_proxy("zen")(digits).read(passes) == pytest.approx(alone, rel=1e-6)


def one_conv(weight: Tensor, x: Tensor) -> Any:
    """Stats of a 1x1 convolution with batch norm and no activation."""
    arch = Architecture(
        PlainConv(1, len(weight), activation="none"), ((PlainConv(1, 4),),), PoolLinear(), 2, 16
    )
    network = build(arch).train()
    network.get_parameter("stem.conv.conv.weight").data.copy_(weight[:, :, None, None])
    (stats,) = block_stats(network, [arch.layers()[:1]], x, torch.Generator().manual_seed(0))
    return stats


def test_entropy_is_of_the_principal_components() -> None:
    x = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert one_conv(torch.eye(3), x).entropy == pytest.approx(math.log(3), abs=1e-3)
    twice = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])  # two directions
    assert one_conv(twice, x).entropy == pytest.approx(math.log(2), abs=1e-3)
    once = torch.ones(5, 3)
    assert one_conv(once, x).entropy == pytest.approx(0, abs=1e-3)
    moved = x + torch.tensor([5.0, -2.0, 0.0])[:, None, None]  # a mean is no component
    assert _entropy(moved) == pytest.approx(math.log(3), abs=1e-3)


def test_gain_is_the_spectral_norm_of_the_block() -> None:
    """Batch norm divides a channel by the norm of its weights, as the input is white."""
    generator = torch.Generator().manual_seed(2)
    x, weight = (
        torch.randn(64, 3, 16, 16, generator=generator),
        torch.randn(6, 3, generator=generator),
    )
    normed = weight / weight.norm(dim=1, keepdim=True)
    expected = float(np.linalg.norm(normed.numpy(), 2))
    assert one_conv(weight, x).gain == pytest.approx(expected, rel=0.02)


def test_az_nas_scores_of_made_up_blocks() -> None:
    blocks = [SimpleNamespace(entropy=e, gain=s) for e, s in ((1, 9), (1.5, 1), (1.75, 2))]
    assert score_of("expressivity", blocks=blocks) == 4.25
    assert score_of("progressivity", blocks=blocks) == 0.25
    assert score_of("trainability", blocks=blocks) == pytest.approx((0 + (2 - 2 - 0.5)) / 2)


def test_shared_passes_score_as_passes_of_ones_own(digits: ImageSource) -> None:
    alone = {word: score(word, NET, digits) for word in WORDS}
    for order in (WORDS, WORDS[::-1]):
        passes = Passes(NET, digits, seed=SEED)
        together = {word: find_proxy(word)(digits).read(passes) for word in order}
        assert together == pytest.approx(alone, rel=1e-6)


def test_other_seeds_are_other_weights_images_and_noise(digits: ImageSource) -> None:
    for word in WORDS:
        proxy = find_proxy(word)(digits)
        differ = len({proxy(NET, seed=seed) for seed in range(3)}) > 1
        assert differ == (word not in ("params", "macs"))


def test_wide_images_are_seen_smaller(digits: ImageSource) -> None:
    passes = Passes(presets.build("mobilenet_v3_small"), digits.resized(128), seed=0)
    assert passes.noise(0).shape == (BATCH, 3, MAX_PX, MAX_PX)
    assert (BATCH, MAX_PX) == (12, 96)  # as docs/proxies.md says
    assert passes.labelled.slopes.shape == (BATCH, 3, MAX_PX, MAX_PX)


def test_a_proxy_that_needs_images_says_so() -> None:
    for word in WORDS:
        if find_proxy(word).needs_images:
            with pytest.raises(UsageError, match="needs images"):
                find_proxy(word)()


def test_images_that_are_all_the_same_cannot_be_told_apart(digits: ImageSource) -> None:
    black = torch.zeros_like(digits.train.pixels())
    blank = in_memory(
        "blank",
        digits.info.class_names,
        (black, digits.train.labels),
        (digits.val.pixels(), digits.val.labels),
    )
    with pytest.raises(ProxyFailed, match=r"Naswot of network [0-9a-f]{16} is -inf"):
        score("naswot", NET, blank)


def test_scores_of_networks_differ(digits: ImageSource) -> None:
    wider = Architecture(NET.stem, NET.stages, ConvPoolLinear(24), 10, 16)
    for (a, b), word in ((pair, word) for pair in combinations((NET, wider), 2) for word in WORDS):
        if word != "progressivity":
            assert score(word, a, digits) != score(word, b, digits)
