"""Memory that a training keeps from step to step."""

import resource
import sys
from pathlib import Path

import pytest

from bneck.proxies.training.memory import freed_memory_kept

MB, PAGE = 2**20, resource.getpagesize()


def filled(size: int) -> None:
    """Use so many bytes and free them."""
    assert len(b"1" * size) == size


def page_faults(size: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    filled(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc on Linux")
def test_what_a_step_frees_the_next_one_takes_without_new_pages() -> None:
    with freed_memory_kept():
        filled(64 * MB)
        assert page_faults(64 * MB) < 50
        kept = resident()
    assert resident() < kept - 60 * MB  # given back
