from pathlib import Path

import pytest
import torch

from bneck.errors import ProxyFailed, UsageError
from bneck.machine import ONE_THREAD
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.proxy import find_proxy
from bneck.proxies.shared_weights import about, recalibrate, share
from bneck.proxies.shared_weights import load as load_shared
from bneck.proxies.supernet import Supernet
from bneck.proxies.training import trainer
from bneck.proxies.training.recipe import Recipe
from bneck.space import presets, spaces
from bneck.space.backends.torch_model import build
from bneck.space.choices import Space

RECIPE = Recipe(steps=2, batch_size=8)


@pytest.fixture(scope="module")
def digits() -> ImageSource:
    whole = load("digits", resolution_px=16).for_search(0)
    return whole.subset(seed=0, train=64, val=64)


@pytest.fixture(scope="module")
def space() -> Space:
    return spaces.build("v3-small", resolution_px=16, classes=10)


def test_largest_and_smallest_are_the_ends_of_the_space(space: Space) -> None:
    net = Supernet(space)
    # From the table of the space: widths 24, 32, 48, 64, 112, the last expansion 6 x 112.
    assert [stage[0].out for stage in net.largest.stages] == [24, 32, 48, 64, 112]
    assert [len(stage) for stage in net.largest.stages] == [1, 3, 4, 3, 4]
    assert [stage[0].out for stage in net.smallest.stages] == [8, 16, 32, 40, 80]
    assert net.s5.b4.depthwise.conv.weight.shape == (672, 1, 7, 7)


@pytest.mark.parametrize("name", ["v3-small", "nas-bench-macro", "accel-nasbench"])
def test_every_network_of_a_space_is_a_part(name: str) -> None:
    space = spaces.build(name, resolution_px=16, classes=10)
    net = Supernet(space)
    for seed in range(3):
        arch = space.decode(space.sample(seed))
        alone = build(arch).state_dict()
        assert {n: t.shape for n, t in net.part(arch).items()} == {
            n: t.shape for n, t in alone.items()
        }


def test_parts_are_the_first_channels_and_the_middle_of_kernels(space: Space) -> None:
    net = Supernet(space)
    values = space.sample(0) | {"s1.width": 8, "s1.b1.kernel": 3, "s1.b1.ratio": 4}
    part = net.part(space.decode(values))
    whole = net.s1.b1.depthwise.conv.weight
    assert torch.equal(part["s1.b1.depthwise.conv.weight"], whole[:64, :, 2:5, 2:5])
    assert torch.equal(part["s1.b1.project.conv.weight"], net.s1.b1.project.conv.weight[:8, :64])


def test_running_a_part_is_running_its_network_and_teaches_the_whole(
    space: Space, digits: ImageSource
) -> None:
    net = Supernet(space)
    arch = space.decode(space.sample(3))
    pixels = digits.normalise(digits.val.pixels()[:4])
    alone = net.extract(arch).train()
    expected = alone(pixels)
    found = net.train().run(arch, pixels)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    gradient = net.head.conv.conv.weight.grad
    rows, columns = alone.get_submodule("head.conv").conv.weight.shape[:2]
    assert gradient[:rows, :columns].abs().sum() > 0
    assert gradient[rows:].abs().sum() + gradient[:, columns:].abs().sum() == 0


def test_recalibrated_norms_hold_the_mean_over_the_images(
    space: Space, digits: ImageSource
) -> None:
    network = build(space.decode(space.sample(1)))
    recalibrate(network, digits)
    stem = network.get_submodule("stem.conv")
    mean = stem.conv(digits.normalise(digits.train.pixels())).mean((0, 2, 3))
    torch.testing.assert_close(stem.norm.running_mean, mean, rtol=1e-4, atol=1e-5)


def test_training_goes_on_and_any_network_is_scored(
    space: Space, digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    path = tmp_path / "shared.safetensors"
    share(space, digits, RECIPE, path)
    stopped = tmp_path / "stopped.safetensors"

    def stop(what: str, step: int, *_: object) -> None:
        if step == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        share(space, digits, RECIPE, stopped, progress=stop)
    share(space, digits, RECIPE, stopped)
    one, other = load_shared(path).state_dict(), load_shared(stopped).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [each.name for each in tmp_path.iterdir() if "checkpoint" in each.name] == []
    price = about(path)
    assert (price["space"], price["steps"]) == ("v3-small", 2)
    assert price["seconds"] > 0
    assert price["threads"] >= 1

    proxy = find_proxy(f"shared-weights:{path}")(digits, RECIPE, compute=ONE_THREAD)
    arch = space.decode(space.sample(0))
    score = proxy(arch, seed=0)
    assert 0 <= score <= 1
    assert score == proxy(arch, seed=0)
    with pytest.raises(ProxyFailed, match="the shared weights hold no s"):
        proxy(presets.build("mobilenet_v3_large"), seed=0)


def test_bad_files_are_named(tmp_path: Path, digits: ImageSource) -> None:
    with pytest.raises(UsageError, match=r"no such file: .*missing"):
        find_proxy(f"shared-weights:{tmp_path / 'missing'}")
    other = tmp_path / "other"
    other.write_text("no weights")
    with pytest.raises(UsageError, match="other is not a file of shared weights"):
        find_proxy(f"shared-weights:{other}")
