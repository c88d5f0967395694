"""What machine, runtime and settings a latency belongs to."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from bneck.latency.runtimes import Runtime
from bneck.machine import cpu_name
from bneck.space.checks import check_range
from bneck.text import number_of


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies a device: two latencies compare only where all of it agrees."""

    cpu: str
    cores: int
    runtime: str
    version: str
    threads: int
    batch_size: int = 1

    def __post_init__(self) -> None:
        for name in ("cores", "threads", "batch_size"):
            check_range(name, getattr(self, name), 1)

    def __str__(self) -> str:
        cores, threads = number_of(self.cores, "core"), number_of(self.threads, "thread")
        batches = "" if self.batch_size == 1 else f", batches of {self.batch_size} images"
        return f"{self.cpu}, {cores}, {self.runtime} {self.version}, {threads}{batches}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name; a batch of one image is left out, as in older files."""
        found = asdict(self)
        if self.batch_size == 1:
            del found["batch_size"]
        return found


def this_machine(runtime: Runtime) -> Fingerprint:
    """The machine that runs this, with the runtime as it was opened."""
    return Fingerprint(
        cpu_name(),
        os.cpu_count() or 1,
        runtime.word,
        runtime.version,
        runtime.threads,
        runtime.batch_size,
    )
