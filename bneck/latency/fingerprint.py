"""What machine, runtime and settings a latency belongs to."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from bneck.latency.runtimes import Runtime


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


def cpu_name() -> str:
    """The CPU's name as the system gives it, or its architecture where it gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for field in ("model name", "Model", "Hardware"):
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == field and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown CPU"
