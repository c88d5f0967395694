"""Which CUDA streams a captured step uses: torch's own code, on streams without a GPU."""

import warnings
from collections.abc import Iterator
from weakref import ref

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from bneck.proxies.training import cuda
from bneck.proxies.training.cuda import CapturedStep
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import TrainingStep, WeightAverage, learn_labels
from bneck.space import presets
from bneck.space.backends.torch_model import build

BATCH = (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64))


class Stream:
    device = torch.device("cuda", 0)

    def __init__(self, *_: object) -> None:
        self.waited_for: list[Stream] = []

    def wait_stream(self, other: "Stream") -> None:
        self.waited_for.append(other)


class Graph:
    """A capture that ends as CUDA's does: badly, where anything went wrong in it."""

    broken = False

    def capture_begin(self, *_: object, **__: object) -> None:
        Graph.broken = False

    def capture_end(self) -> None:
        if Graph.broken:
            raise RuntimeError("CUDA error: operation failed due to a previous error")

    def replay(self) -> None: ...


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """The stream that is current when a test begins."""
    stream = Stream()
    current = [stream]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _=None: current[0])
    monkeypatch.setattr(torch.cuda, "set_stream", lambda one: current.__setitem__(0, one))
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    cuda._side_stream.cache_clear()
    yield stream
    cuda._side_stream.cache_clear()


def test_all_trainings_warm_up_and_are_captured_on_one_stream_beside_the_usual(
    usual: Stream,
) -> None:
    """For every stream that it has seen, cuBLAS keeps memory, and torch what was freed there."""
    seen = []
    for _ in range(2):
        with cuda._beside():
            seen.append(torch.cuda.current_stream())
        assert torch.cuda.current_stream() is usual

        def run() -> Tensor:
            seen.append(torch.cuda.current_stream())
            return torch.zeros(())

        cuda._graph(run)
        assert torch.cuda.current_stream() is usual
    (aside,) = set(seen)
    assert aside is not usual
    assert aside.waited_for == [usual] * 4
    assert usual.waited_for == [aside] * 4


class Uncapturable:
    """A step that asks something of the GPU, which ends a capture."""

    captured: ref[Tensor]

    def __init__(self) -> None:
        self.on: list[Stream] = []
        self.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])

    def __call__(self, pixels: Tensor, labels: Tensor, number: int) -> Tensor:
        self.on.append(torch.cuda.current_stream())
        activation = torch.zeros(2)
        if len(self.on) == cuda.WARM_UP + 1:
            Graph.broken, self.captured = True, ref(activation)
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return torch.zeros(())


def test_a_capture_that_fails_gives_the_usual_stream_back_and_its_first_reason(
    usual: Stream,
) -> None:
    step = Uncapturable()
    captured = CapturedStep(step)  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(cuda.WARM_UP + 2):
            captured(*BATCH, number)
            assert torch.cuda.current_stream() is usual
    (warning,) = caught
    assert str(warning.message).endswith("slower: operation not permitted when stream is capturing")
    *_, tried, again, after = step.on
    assert tried is not usual
    assert again is after is usual
    assert step.captured() is None  # its memory is free again


def test_a_step_leaves_no_nodes_of_the_graph_of_gradients_behind() -> None:
    """A node works on the stream it was made on: one of the warm-up would end the capture."""
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    network = build(arch).to(memory_format=torch.channels_last).train()
    weights = [*network.parameters()]
    old = []

    def watched(network: nn.Module, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        nodes = [get_gradient_edge(weight).node for weight in weights]
        old.append(sum(bool(node.metadata) for node in nodes))
        for node in nodes:
            node.metadata["step"] = step
        return learn_labels(network, pixels, labels, step, label_smoothing=0.1)

    optimizer = Recipe(3).optimizer_for(network)
    step = TrainingStep(network, optimizer, WeightAverage(network, 0.98), watched)
    losses = [step(torch.zeros(4, 3, 16, 16), BATCH[1].repeat(2), number) for number in range(3)]
    assert old == [0, 0, 0]
    assert len(losses) == 3
