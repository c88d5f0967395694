"""What runs a network on this machine: one file per runtime, one word in RUNTIMES."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.imports import check_call, load_object
from bneck.space.checks import check_range
from bneck.space.layers import Layer

if TYPE_CHECKING:
    from bneck.latency.runtimes.weights import Array

MAX_THREADS = 1024
MAX_BATCH_SIZE = 1024
PORTABLE = {
    "litert": "ai-edge-litert",
    "litert-int8": "ai-edge-litert",
    "onnxruntime": "onnxruntime",
    "onnxruntime-int8": "onnxruntime",
}
"""Runtimes that other devices can be measured with -> what is installed there for them."""


def here_only(word: str) -> UsageError:
    """Return the error for a runtime that is none of PORTABLE."""
    return UsageError(
        f"runtime {word!r} runs on this machine only; on other devices: {', '.join(PORTABLE)}"
    )


def _no_onnx(word: str) -> UsageError:
    return UsageError(f"runtime {word!r} cannot run ONNX files; use onnxruntime")


class Runtime(ABC):
    """What every runtime offers; made by ``open_runtime``.

    Attributes:
        word: what it is asked for by.
        version: version of the library that does the work.
        clock: nanoseconds that runs are timed by; ``run_clock`` unless the device is synthetic.
        wall: nanoseconds that pass, for budgets.
        batch_size: images that one run takes.
    """

    word: str
    version: str

    def __init__(self, *, threads: int = 1, batch_size: int = 1) -> None:
        self.threads = threads
        self.batch_size = batch_size
        self.clock: Callable[[], float] = run_clock(threads)
        self.wall: Callable[[], float] = time.perf_counter_ns

    @abstractmethod
    def prepare(
        self, layers: tuple[Layer, ...], weights: "Mapping[str, Array] | None" = None
    ) -> Callable[[], object]:
        """Return a call that runs ``random_images(layers, batch_size)`` through ``layers`` once.

        The call returns the outputs as an array, (batch size, ...), where the runtime computes any.

        Args:
            layers: of a network, or any run of layers.
            weights: arrays by the torch module's state names; None takes random ones.
        """

    @contextmanager
    def running(self) -> Iterator[None]:
        """Undo after the block what runs inside it set in the whole process."""
        yield

    def model(self, layers: tuple[Layer, ...], weights: "Mapping[str, Array]") -> bytes:
        """Return a file by which this runtime runs the layers on another machine.

        Args:
            layers: without batch norms.
            weights: of these layers.

        Raises:
            UsageError: the runtime runs on this machine only.
        """
        raise here_only(self.word)

    def onnx_file(self, model: bytes) -> bytes:
        """Return the file by which this runtime runs a serialised ONNX model, here or elsewhere.

        Raises:
            UsageError: the runtime cannot run ONNX models, or not this one.
        """
        raise _no_onnx(self.word)

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        """Prepare a serialised ONNX model in the same way, with its own batch size.

        Raises:
            UsageError: the runtime cannot run ONNX models, or not this one.
        """
        raise _no_onnx(self.word)


RUNTIMES = {
    "litert": "bneck.latency.runtimes.litert:LiteRt",
    "litert-int8": "bneck.latency.runtimes.litert_int8:LiteRtInt8",
    "onnxruntime": "bneck.latency.runtimes.onnxruntime:OnnxRuntime",
    "onnxruntime-int8": "bneck.latency.runtimes.onnxruntime_int8:OnnxRuntimeInt8",
    "openvino": "bneck.latency.runtimes.openvino:OpenVino",
    "torch": "bneck.latency.runtimes.torch:Torch",
    "torch-compiled": "bneck.latency.runtimes.torch_compiled:TorchCompiled",
    "macs": "bneck.latency.runtimes.macs:MacsRuntime",
}
"""Word -> "module:callable", imported when first asked for.

The callable takes ``threads``, and ``batch_size`` where it runs more than one image at once.
"""


def open_runtime(word: str, *, threads: int = 1, batch_size: int = 1) -> Runtime:
    """Return the runtime of that word, or of ``package.module:attr``.

    Args:
        word: a word of RUNTIMES, or ``package.module:attr``.
        threads: threads of the runtime.
        batch_size: images that one run takes.

    Raises:
        UsageError: an unknown word, a library that is not installed, a bad count, or a runtime of
            someone's own that takes one image only.
    """
    check_range("threads", threads, 1, MAX_THREADS)
    check_range("batch-size", batch_size, 1, MAX_BATCH_SIZE)
    made = load_object("runtime", word, RUNTIMES)
    check_call("runtime", word, made, threads=threads)
    several = {} if batch_size == 1 else {"batch_size": batch_size}
    try:
        runtime: Runtime = made(threads=threads, **several)
    except TypeError as error:
        if "batch_size" not in str(error):
            raise
        raise UsageError(f"runtime {word!r} takes one image at a time, no --batch-size") from None
    if not isinstance(runtime, Runtime):
        raise UsageError(f"runtime {word!r} must be a Runtime, got a {type(runtime).__name__}")
    runtime.word = word
    return runtime


def open_portable(word: str, *, batch_size: int = 1) -> Runtime:
    """Return a runtime that other devices can be measured with too.

    Args:
        word: one of PORTABLE.
        batch_size: images that one run takes.

    Raises:
        UsageError: as ``open_runtime``, or a runtime that runs on this machine only.
    """
    runtime = open_runtime(word, batch_size=batch_size)
    if word not in PORTABLE:
        raise here_only(word)
    return runtime


def as_options(word: str, *, threads: int = 1, batch_size: int = 1) -> str:
    """Return the options that ask a command for a runtime, as in "--runtime litert --threads 4".

    Args:
        word: as ``open_runtime`` takes it.
        threads: threads of the runtime, which are left out where there is one.
        batch_size: images that one run takes, likewise.
    """
    counts = {"batch-size": batch_size, "threads": threads}
    given = [f"--{name} {count}" for name, count in counts.items() if count != 1]
    return " ".join([f"--runtime {word}", *given])


def run_clock(threads: int) -> Callable[[], int]:
    """Return the clock for runs that happen in the calling thread, where there is one thread.

    Its CPU time is what the wall shows on a quiet machine, and does not count the time that other
    programs take in between. With more threads, or where CPU time is coarse, it is the wall's.
    """
    if threads == 1 and time.get_clock_info("thread_time").resolution <= 1e-6:
        return time.thread_time_ns
    return time.perf_counter_ns
