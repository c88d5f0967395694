"""Memory that a training keeps from step to step."""

import subprocess
import sys

import pytest

STEPS = """
import resource
from pathlib import Path

from bneck.proxies.training.memory import freed_memory_kept

MB, PAGE = 2**20, resource.getpagesize()


def filled(size):
    assert len(b"1" * size) == size


def page_faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    filled(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


with freed_memory_kept():
    filled(64 * MB)
    print(page_faults(64 * MB))
    kept = resident()
print((kept - resident()) // MB)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc on Linux")
def test_what_a_step_frees_the_next_one_takes_without_new_pages() -> None:
    # In a process of its own, as trainings are. One that was ever refused memory has its first
    # thread moved to an arena where glibc maps each block above 64 MB, whatever is asked of it.
    ended = subprocess.run(
        [sys.executable, "-c", STEPS], capture_output=True, text=True, check=True
    )
    page_faults, given_back = map(int, ended.stdout.split())
    assert page_faults < 20  # new pages would be 16,384 of 4 kB, or 32 of 2 MB
    assert given_back > 60
