"""``local``: the machine that runs this."""

import time
from collections.abc import Callable, Iterable, Iterator

from bneck.errors import UsageError
from bneck.latency.device_load import Load, LoadWatch
from bneck.latency.devices import Device, Graph
from bneck.latency.fingerprint import Fingerprint, this_machine
from bneck.latency.runtimes import Runtime, open_runtime
from bneck.latency.timing import Effort, Run, Timing, compare

REFERENCE_SERVES = 10
"""Timings, then it is prepared again: where its weights happen to lie moves its time by a percent
or two, which would tell on every network."""


class LocalDevice(Device):
    """This machine, with one of RUNTIMES."""

    word = "local"

    def __init__(
        self,
        name: str = "",
        *,
        runtime: str | Runtime = "onnxruntime",
        threads: int = 1,
        batch_size: int = 1,
    ) -> None:
        if name:
            raise UsageError(f"target device local takes no name, got {name!r}")
        self.runtime = (
            open_runtime(runtime, threads=threads, batch_size=batch_size)
            if isinstance(runtime, str)
            else runtime
        )
        self.batch_size = self.runtime.batch_size
        clock = self.runtime.clock
        # Several threads are timed by the real wall, which has noise.
        self.synthetic = clock is self.runtime.wall and clock is not time.perf_counter_ns

    def fingerprint(self) -> Fingerprint:
        return this_machine(self.runtime)

    def watch(self) -> Callable[[], Load]:
        return super().watch() if self.synthetic else LoadWatch().load

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        runtime, on_cpu = self.runtime, self._on_cpu
        with runtime.running():
            for number, graph in enumerate(graphs):
                begun = runtime.wall()
                if number % REFERENCE_SERVES == 0:
                    standard = self._prepared(reference)
                timing = compare(
                    self._prepared(graph), standard, effort, clock=runtime.clock, on_cpu=on_cpu
                )
                yield timing, (runtime.wall() - begun) / 1e9

    def _prepared(self, graph: Graph) -> Run:
        if graph.onnx is not None:
            return self.runtime.prepare_onnx(graph.onnx)
        if graph.weights is None:  # a runtime of someone's own need not take any
            return self.runtime.prepare(graph.layers)
        return self.runtime.prepare(graph.layers, graph.weights)

    @property
    def _on_cpu(self) -> Callable[[], int] | None:
        """Nanoseconds that the runs had a core; None where the clock is synthetic."""
        if self.runtime.clock is time.perf_counter_ns:
            return time.process_time_ns
        return time.thread_time_ns if self.runtime.clock is time.thread_time_ns else None
