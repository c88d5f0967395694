"""What of training on a GPU can be held without one: the graph is stood in for by calls."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bneck.errors import ProxyFailed
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.cuda import (
    CapturedStep,
    can_be_captured,
    convolution_paths,
    precision_for,
)
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import TrainingStep, WeightAverage, learn_labels
from bneck.proxies.training.teacher import Teacher
from bneck.proxies.training.trainer import train
from bneck.proxies.training.validation import evaluate
from bneck.space import presets
from bneck.space.backends.torch_model import DepthwiseConv, build

RECIPE = Recipe(steps=8, batch_size=16)
CPU = torch.device("cpu")


def small(seed: int = 0) -> nn.Module:
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    return build(arch, seed=seed).to(memory_format=torch.channels_last)


def learn(
    network: nn.Module, pixels: Tensor, labels: Tensor, step: int, *, label_smoothing: float = 0.1
) -> Tensor:
    return learn_labels(network, pixels, labels, step, label_smoothing=label_smoothing)


def trained(
    images: ImageSource,
    wrap: Callable[[TrainingStep], TrainingStep | CapturedStep],
    *,
    on_gpu: bool = False,
) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and averaged weights after RECIPE; ``on_gpu`` as numbers are kept for a graph."""
    network = small().train()
    optimizer = RECIPE.optimizer_for(network)
    average = WeightAverage(network, 0.98)
    if on_gpu:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"])
        average._share = torch.zeros(())
    step = TrainingStep(network, optimizer, average, learn)
    run, batches, losses = wrap(step), Batches(images, RECIPE.batch_size, 3), []
    for number in range(RECIPE.steps):
        run.prepare(number, RECIPE, 3)
        losses.append(run(*batches[number], number).item())
    return losses, average.tensors


def stand_in(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """A graph's manners: nothing runs at the capture, each replay overwrites one result."""
    loss = torch.empty(())

    def replay() -> None:
        loss.copy_(run())

    return replay, loss


def test_a_captured_step_trains_as_a_plain_one(digits: ImageSource) -> None:
    losses, weights = trained(digits, lambda step: step)
    captured, same = trained(digits, lambda step: CapturedStep(step, stand_in))
    assert captured == losses
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_numbers_that_a_graph_reads_give_the_same_training(digits: ImageSource) -> None:
    losses, weights = trained(digits, lambda step: step)
    captured, same = trained(digits, lambda step: step, on_gpu=True)
    assert captured == pytest.approx(losses, rel=1e-3)
    # The averages begin at the same weights, and 8 steps part them by rounding alone.
    name = "stem.conv.conv.weight"
    torch.testing.assert_close(weights[name], same[name], rtol=1e-2, atol=1e-3)


class Recorder(TorchDispatchMode):
    """Keeps each call of a kernel with the tensors it was given, as a graph keeps addresses."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func == torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Do the same again with what the same tensors hold now; no Python of the step runs."""
        for func, args, kwargs, old in self.calls:
            if func.is_view:
                continue
            new = func(*args, **kwargs)
            if all(one.alias_info is None for one in func._schema.returns):
                for kept, found in zip(tree_leaves(old), tree_leaves(new), strict=True):
                    if isinstance(kept, Tensor):
                        kept.copy_(found)


def recorded(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """Stand in for a graph more closely: Python runs once, and what it computed is baked in."""
    with Recorder() as recorder:
        loss = run()
    replays = iter([lambda: None])  # the recording has done the first one's work

    def replay() -> None:
        next(replays, recorder.replay)()

    return replay, loss


def test_a_graph_needs_nothing_from_python(digits: ImageSource) -> None:
    losses, weights = trained(digits, lambda step: step, on_gpu=True)
    captured, same = trained(digits, lambda step: CapturedStep(step, recorded), on_gpu=True)
    assert captured == pytest.approx(losses, rel=1e-5)
    name = "stem.conv.conv.weight"
    torch.testing.assert_close(weights[name], same[name], rtol=1e-3, atol=1e-4)
    # A learning rate that Python knows is baked in, and the training goes another way.
    baked, _ = trained(digits, lambda step: CapturedStep(step, recorded))
    assert baked != pytest.approx(losses, rel=1e-4)


def test_a_step_that_cannot_be_captured_is_run_plainly_and_said_once(digits: ImageSource) -> None:
    def refuse(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    losses, _ = trained(digits, lambda step: step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert trained(digits, lambda step: CapturedStep(step, refuse))[0] == losses
    (warning,) = caught
    assert str(warning.message).endswith("slower: operation not permitted when stream is capturing")


def test_what_a_gpu_does_alone_is_captured() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    gpu, network, file = torch.device("cuda", 0), Teacher(arch, b""), Teacher(None, b"")
    assert can_be_captured(gpu, None, None)
    assert can_be_captured(gpu, None, network)
    assert not can_be_captured(gpu, None, file)
    assert not can_be_captured(gpu, learn, None)
    assert not can_be_captured(CPU, None, None)


class Hungry(nn.Module):
    """Has room for so many images at a time."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.linear, self.seen = most, nn.Linear(3 * 16 * 16, 10), 0

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        y: Tensor = self.linear(x.flatten(1))
        return y


def test_out_of_memory_trains_in_pieces_with_the_same_gradients(digits: ImageSource) -> None:
    pixels, labels = Batches(digits, 18, 0)[0]  # pieces of 5, 5, 4 and 4 images
    found = []
    for most in (18, 5):
        torch.manual_seed(0)
        network = Hungry(most)
        step = TrainingStep(network, torch.optim.SGD(network.parameters(), 0.1), None, learn)
        loss = step(pixels, labels, 0).item()
        found.append((loss, network.linear.weight.detach()))
    assert step.pieces == 4
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    torch.testing.assert_close(found[1][1], found[0][1])
    hopeless = TrainingStep(Hungry(1), torch.optim.SGD(network.parameters()), None, learn)
    with pytest.raises(ProxyFailed, match="out of memory with 2 images at a time: CUDA out of"):
        hopeless(pixels, labels, 0)


def test_a_training_in_pieces_says_so(digits: ImageSource) -> None:
    result = train(Hungry(10), digits.subset(train=64, val=10, seed=0), RECIPE, seed=0)
    assert result.made_with == {"device": "cpu", "precision": "fp32", "pieces": "2"}


def test_images_that_do_not_fit_at_once_are_validated_in_smaller_pieces(
    digits: ImageSource,
) -> None:
    torch.manual_seed(0)
    network = Hungry(10**6)
    at_once = evaluate(network, digits)
    network.most = 50
    in_pieces = evaluate(network, digits)
    assert in_pieces.right == at_once.right
    torch.testing.assert_close(in_pieces.losses, at_once.losses)
    network.most = 0
    with pytest.raises(ProxyFailed, match=r"^out of memory: CUDA out of memory"):
        evaluate(network, digits)


def test_torchs_own_depthwise_kernels_give_the_same_gradients() -> None:
    module = DepthwiseConv(6, 6, 5, 2, 2, groups=6, bias=False)
    x = torch.randn(4, 6, 9, 9, requires_grad=True)
    results = []
    for precision in ("bf16", "tf32"):
        with convolution_paths(module, precision):
            y = module(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, module.weight])])
    torch.testing.assert_close(results[0], results[1])
    assert "forward" not in vars(module)


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch has no such flag")
def test_precision_that_the_program_has_set_per_operator_is_left_alone() -> None:
    """torch's own way to switch cuDNN off reads a flag that is then undefined, and raises."""
    conv = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before, conv.fp32_precision = conv.fp32_precision, "ieee"
    try:
        module = DepthwiseConv(4, 4, 3, 1, 1, groups=4, bias=False)
        with convolution_paths(module, "tf32"):
            module(torch.randn(2, 4, 5, 5)).sum().backward()
        assert conv.fp32_precision == "ieee"
        assert torch.backends.cudnn.enabled
    finally:
        conv.fp32_precision = before


def test_precision_is_what_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    # 5.7 s more to begin with, 1 / 23,700 - 1 / 45,197 s less an image: worth it from 284,000 on.
    assert precision_for(gpu, 280_000, 128) == "tf32"
    assert precision_for(gpu, 290_000, 128) == "bf16"
    assert precision_for(gpu, 290_000, 64) == "tf32"
    assert precision_for(gpu, 4 * 280_000, 64) == "tf32"  # a quarter of the pixels
    assert precision_for(gpu, 4 * 290_000, 64) == "bf16"
    assert precision_for(CPU, 290_000, 128) == "fp32"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert precision_for(gpu, 290_000, 128) == "fp32"


def test_a_pass_of_ones_own_is_not_said_to_be_in_bf16(
    digits: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bneck.proxies.training.trainer.precision_for", lambda *_: "bf16")
    few = digits.subset(train=64, val=10, seed=0)
    result = train(small(), few, Recipe(2, 16), seed=0, backpropagate=learn)
    assert result.made_with == {"device": "cpu", "precision": "tf32"}
