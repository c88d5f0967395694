"""Keeping the memory that every step of a training frees and asks for again."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # as in malloc.h
_NEVER = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let this process keep what it frees inside the block; it is given back to the system after.

    glibc maps blocks above 32 MB again each time and returns them when they are freed, and likewise
    the end of its heap. A step's activations are such blocks, and the system fills each
    page of a new one with zeros: a fifth of MobileNetV3-Small's step at 96 px and a batch of 128, a
    third at 128 px. Other systems and C libraries are left as they are.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not all(hasattr(libc, name) for name in ("mallopt", "malloc_trim")):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.malloc_trim(0)
