"""What machine, runtime and settings a latency belongs to."""

import os
from dataclasses import dataclass

from bneck.latency.runtimes import Runtime
from bneck.machine import cpu_name


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies a device: two latencies compare only where all of it agrees."""

    cpu: str
    cores: int
    runtime: str
    version: str
    threads: int

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.cpu}, {self.cores} cores, {self.runtime} {self.version}, {threads}"


def this_machine(runtime: Runtime) -> Fingerprint:
    """The machine that runs this, with the runtime as it was opened."""
    return Fingerprint(
        cpu_name(), os.cpu_count() or 1, runtime.word, runtime.version, runtime.threads
    )
