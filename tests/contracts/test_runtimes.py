"""What every runtime owes those who time networks with it."""

from importlib.util import find_spec

import pytest

from bneck.errors import UsageError
from bneck.latency.runtimes import RUNTIMES, Runtime, open_runtime
from bneck.latency.timing import compare
from bneck.space import presets

SLOW = {"torch-compiled"}
EXTRAS = {"openvino": "openvino"}


@pytest.fixture(
    params=[pytest.param(word, marks=pytest.mark.slow if word in SLOW else ()) for word in RUNTIMES]
)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    word = request.param
    if word in EXTRAS and find_spec(EXTRAS[word]) is None:
        pytest.skip(f"pip install bneck[{word}]")
    return open_runtime(word)


def test_it_says_what_it_is(runtime: Runtime) -> None:
    assert RUNTIMES[runtime.word]
    assert runtime.version
    assert runtime.threads == 1


def test_a_large_network_takes_longer_than_a_small_one(runtime: Runtime) -> None:
    """Six hundred times the multiply-adds: an order, on the busiest of machines."""
    small = presets.build("mobilenet_v3_small", width=0.25, resolution_px=32, classes=10)
    large = presets.build("mobilenet_v2", width=1.4, resolution_px=224, classes=10)
    runs = [runtime.prepare(arch.layers()) for arch in (large, small)]
    timing = compare(*runs, min_pairs=3, max_pairs=3, clock=runtime.clock)
    assert timing.ratio > 1
    assert timing.reference_ms > 0


def test_a_run_of_layers_is_enough(runtime: Runtime) -> None:
    layers = presets.build("mobilenet_v3_small", resolution_px=32).layers()
    runtime.prepare(layers[5:9])()


def test_more_threads_are_taken(runtime: Runtime) -> None:
    two = open_runtime(runtime.word, threads=2)
    assert two.threads == 2
    two.prepare(presets.build("mobilenet_v3_small", resolution_px=32).layers())()


def test_words_that_are_none() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'tflite'; known: onnxruntime"):
        open_runtime("tflite")
    with pytest.raises(UsageError, match="cannot be used here"):
        open_runtime("no_such_package:Runtime")
    with pytest.raises(UsageError, match="has no 'Nothing'"):
        open_runtime("bneck.latency.runtimes.macs:Nothing")
    with pytest.raises(UsageError, match="threads must be a whole number from 1 to 1024, got 0"):
        open_runtime("onnxruntime", threads=0)
    assert open_runtime("bneck.latency.runtimes.macs:Macs").version == "1"
