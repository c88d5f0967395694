"""Training on a CUDA GPU: a step captured once as a graph and replayed for every batch.

Small networks leave a GPU waiting for its host: a step launched kernel by kernel takes 24 to 30 ms
on an H100 whatever its size, a replayed one 3 to 6.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

from bneck.errors import first_line
from bneck.proxies.training.forwards import forwards_replaced
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import Backpropagate, TrainingStep
from bneck.proxies.training.teacher import Teacher
from bneck.space.backends.torch_model import DepthwiseConv

WARM_UP = 3  # steps of the training before the capture, which must find all memory in its place

FIRST_USE_S = {"bf16": 7.7, "tf32": 2.0}
RATE_128_PX = {"bf16": 45_197, "tf32": 23_700}
"""MobileNetV3-Small on an H100: seconds of the host until a new network's kernels are ready, and
images per second at 128 px after that; bf16 by cuDNN, TF32 with torch's own depthwise kernels."""

Capture = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]


def precision_for(device: torch.device, images: int, resolution_px: int) -> str:
    """Return in what a training computes: "fp32", "tf32" or "bf16", whichever ends first.

    Args:
        device: a CPU computes in fp32, as does a GPU older than Ampere.
        images: shown in the whole training.
        resolution_px: their side.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return "fp32"
    work = images * (resolution_px / 128) ** 2
    return min(FIRST_USE_S, key=lambda word: FIRST_USE_S[word] + work / RATE_128_PX[word])


def can_be_captured(
    device: torch.device, backpropagate: Backpropagate | None, teacher: Teacher | None
) -> bool:
    """Return whether a step runs on a GPU alone, from its first kernel to its last.

    Args:
        device: of the training.
        backpropagate: a pass of the caller's own may do other work in each step.
        teacher: an ONNX file runs on the CPU.
    """
    on_cpu = teacher is not None and teacher.arch is None
    return device.type == "cuda" and backpropagate is None and not on_cpu


class CapturedStep:
    """A training step that is run from Python for a few batches, then replayed as a CUDA graph.

    The first steps are the training's own. Where the step cannot be captured it stays in Python,
    and a warning says so once.
    """

    def __init__(self, step: TrainingStep, capture: "Capture | None" = None) -> None:
        self._step = step
        self._capture = capture or _graph
        self._replay: Callable[[], None] | None = None
        self._calls = 0
        self._pixels = self._labels = self._loss = torch.empty(0)

    def prepare(self, number: int, recipe: Recipe, seed: int) -> None:
        """Set what ``TrainingStep.prepare`` sets, which a replayed graph reads too."""
        self._step.prepare(number, recipe, seed)

    def __call__(self, pixels: Tensor, labels: Tensor, number: int) -> Tensor:
        """Do what ``TrainingStep`` does; the loss is overwritten by the next call."""
        if self._calls == 0:  # the graph reads where the first batch was put
            self._pixels = torch.empty_like(pixels)
            self._labels = torch.empty_like(labels)
        self._pixels.copy_(pixels, non_blocking=True)
        self._labels.copy_(labels, non_blocking=True)
        self._calls += 1
        run = partial(self._step, self._pixels, self._labels, number)
        if self._calls <= WARM_UP:
            with _beside() if pixels.is_cuda else nullcontext():
                return run()
        if self._calls == WARM_UP + 1:
            self._try_to_capture(run)
        if self._replay is None:
            return run()
        self._replay()
        return self._loss

    def _try_to_capture(self, run: Callable[[], Tensor]) -> None:
        self._step.optimizer.zero_grad()  # the graph's own gradients are made inside it
        try:
            self._replay, self._loss = self._capture(run)
        except RuntimeError as error:
            text = f"training without a CUDA graph, which is several times slower: {_first(error)}"
            warnings.warn(text, stacklevel=2)


def _first(error: BaseException) -> str:
    """Return what failed first in a capture: its end then fails too."""
    while isinstance(error.__context__, RuntimeError):
        error = error.__context__
    return first_line(error)


def _graph(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """Capture a call without doing its work; returns what does it, and where its result will be.

    Meanwhile other threads may allocate memory: one may be reading the next batch.
    """
    graph = torch.cuda.CUDAGraph()
    with (
        _beside() as aside,  # which also ends a failed capture's use of its stream: torch does not
        torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"),
    ):
        loss = run()
    return graph.replay, loss


@contextmanager
def _beside() -> Iterator[torch.cuda.Stream]:
    """Use another stream than the usual one inside the block, as a capture and its warm-up must."""
    usual, aside = torch.cuda.current_stream(), _side_stream(torch.cuda.current_device())
    aside.wait_stream(usual)
    with torch.cuda.stream(aside):
        yield aside
    usual.wait_stream(aside)


@cache
def _side_stream(device: int) -> torch.cuda.Stream:
    """Return one for all trainings: for every stream, cuBLAS keeps memory (32 MiB on an H100)."""
    return torch.cuda.Stream(device)


@contextmanager
def convolution_paths(network: nn.Module, precision: str) -> Iterator[None]:
    """Inside the block, let TF32 take torch's own depthwise kernels, which are ready sooner."""
    found = [one for one in network.modules() if isinstance(one, DepthwiseConv)]
    own = [one for one in found if one.bias is None] if precision == "tf32" else []
    with forwards_replaced(own, _depthwise):
        yield


def _depthwise(module: DepthwiseConv, x: Tensor) -> Tensor:
    y: Tensor = _NativeDepthwise.apply(x, module.weight, module.stride[0])
    return y


class _NativeDepthwise(torch.autograd.Function):
    """(B, C, H, W), (C, 1, kernel, kernel), stride -> (B, C, H', W') without cuDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        with _no_cudnn():
            return conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, weight = ctx.saved_tensors
        padding = weight.shape[-1] // 2
        with _no_cudnn():
            grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
                grad,
                x,
                weight,
                None,
                [ctx.stride, ctx.stride],
                [padding, padding],
                [1, 1],
                False,
                [0, 0],
                len(weight),
                [ctx.needs_input_grad[0], True, False],
            )
        return grad_x, grad_weight, None


@contextmanager
def _no_cudnn() -> Iterator[None]:
    """Have cuDNN off inside the block, and no flag but that touched.

    torch's own ``cudnn.flags`` sets TF32 too, and fails where the program has set that itself.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before
