"""What every runtime owes those who time networks with it."""

import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from bneck.errors import UsageError
from bneck.latency.runtimes import RUNTIMES, Runtime, open_runtime
from bneck.latency.runtimes.weights import random_images
from bneck.latency.timing import Effort, compare
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.layers import Scale
from tests.processes import threads_begun_by

SLOW = {"torch-compiled"}
EXTRAS = {"openvino": "openvino", "litert": "ai_edge_litert", "litert-int8": "ai_edge_quantizer"}
COUNTS_ONLY = {"macs"}
INT8 = {"litert-int8", "onnxruntime-int8"}

V3 = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
"""Squeeze-excite, h-swish and ReLU, 3x3 and 5x5 windows of both strides, residuals."""
V2 = presets.build("mobilenet_v2", width=0.35, resolution_px=32, classes=10)
"""ReLU6, another head."""


@pytest.fixture(
    params=[pytest.param(word, marks=pytest.mark.slow if word in SLOW else ()) for word in RUNTIMES]
)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    word = request.param
    if word in EXTRAS and find_spec(EXTRAS[word]) is None:
        pytest.skip(f"pip install 'bneck[{word}]'")
    return open_runtime(word)


def in_doubles(arch: Architecture, batch_size: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Weights with norms that are not trivial, and the float64 logits of torch."""
    network = torch_model.build(arch, seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.uniform_(0.7, 1.5, generator=draw)
                for tensor in (module.bias, module.running_mean):
                    tensor.normal_(0, 0.3, generator=draw)
    state = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    images = torch.from_numpy(random_images(arch.layers(), batch_size)).double()
    with torch.no_grad():
        return state, network.eval().double()(images).numpy()


def test_it_says_what_it_is(runtime: Runtime) -> None:
    assert RUNTIMES[runtime.word]
    assert runtime.version
    assert runtime.threads == 1


@pytest.mark.parametrize("arch", [V3, V2], ids=["v3", "v2"])
@pytest.mark.parametrize(("threads", "batch_size"), [(1, 1), (2, 3)])
def test_its_outputs_are_torchs(
    runtime: Runtime, arch: Architecture, threads: int, batch_size: int
) -> None:
    """Every layer is really run, with the weights that were given, on all images of the batch."""
    if runtime.word in COUNTS_ONLY:
        pytest.skip("it runs nothing")
    state, expected = in_doubles(arch, batch_size)
    opened = open_runtime(runtime.word, threads=threads, batch_size=batch_size)
    run = opened.prepare(arch.layers(), state)
    found = np.asarray(run())
    again = np.asarray(run())
    np.testing.assert_array_equal(found, again)
    assert found.shape == expected.shape
    error = np.abs(found - expected).max() / np.abs(expected).max()
    if runtime.word in INT8:
        assert 1e-4 < error < 0.5  # quantised indeed, and not to nonsense
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    else:
        assert error < 1e-5


@pytest.mark.parametrize("threads", [1, 4])
def test_it_runs_by_as_many_threads_as_were_asked_for(runtime: Runtime, threads: int) -> None:
    """Torch keeps its threads for all that it runs, and is asked how many these are."""
    if runtime.word in COUNTS_ONLY or runtime.word == "openvino":
        pytest.skip("it runs nothing, or in threads that stay when it is gone")
    opened = open_runtime(runtime.word, threads=threads)
    layers = V2.layers()[:3]
    begun = threads_begun_by(lambda: opened.prepare(layers))
    if runtime.word.startswith("torch"):
        assert torch.get_num_threads() == threads
    else:
        assert begun == threads - 1


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_is_given_the_threads_that_were_asked_for(threads: int) -> None:
    pytest.importorskip("openvino", reason="pip install 'bneck[openvino]'")
    run = open_runtime("openvino", threads=threads).prepare(V2.layers()[:3])
    (request,) = (cell.cell_contents for cell in run.__closure__ or ())
    assert request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == threads


def test_one_thread_is_timed_by_its_own_time_and_several_by_the_walls(runtime: Runtime) -> None:
    """OpenVINO's one is not the thread that asks it to run."""
    if runtime.word in COUNTS_ONLY:
        pytest.skip("it has a clock of its own")
    own = time.perf_counter_ns if runtime.word == "openvino" else time.thread_time_ns
    assert runtime.clock is own
    assert open_runtime(runtime.word, threads=2).clock is time.perf_counter_ns


def test_a_part_of_a_network_is_run(runtime: Runtime) -> None:
    """A squeeze-excite alone, with random weights: its output has its input's shape."""
    layers = V3.layers()
    place = next(n for n, layer in enumerate(layers) if isinstance(layer, Scale))
    found = runtime.prepare(layers[place : place + 1])()
    if runtime.word not in COUNTS_ONLY:
        assert np.asarray(found).shape == random_images(layers[place : place + 1]).shape


@pytest.mark.parametrize("arch", [V3, V2], ids=["v3", "v2"])
def test_random_weights_let_no_activation_fade_or_explode(arch: Architecture) -> None:
    """Numbers that are denormal, or none, take runtimes other times than a trained network's."""
    logits = np.asarray(open_runtime("onnxruntime").prepare(arch.layers())())
    assert 0.05 < np.abs(logits).mean() < 20


def test_a_large_network_takes_longer_than_a_small_one(runtime: Runtime) -> None:
    """Six hundred times the multiply-adds: an order, on the busiest of machines."""
    small = presets.build("mobilenet_v3_small", width=0.25, resolution_px=32, classes=10)
    large = presets.build("mobilenet_v2", resolution_px=160, classes=10)
    runs = [runtime.prepare(arch.layers()) for arch in (large, small)]
    timing = compare(*runs, Effort(min_pairs=3, max_pairs=3), clock=runtime.clock)
    assert timing.ratio > 1
    assert timing.reference_ms > 0


def test_unknown_words() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'ncnn'; known: litert, litert-int8"):
        open_runtime("ncnn")
    with pytest.raises(UsageError, match="cannot load runtime"):
        open_runtime("no_such_package:Runtime")
    with pytest.raises(UsageError, match="no attribute 'Nothing'"):
        open_runtime("bneck.latency.runtimes.macs:Nothing")
    with pytest.raises(UsageError, match="threads must be a whole number from 1 to 1024, got 0"):
        open_runtime("onnxruntime", threads=0)
    assert open_runtime("bneck.latency.runtimes.macs:MacsRuntime").version == "1"
