"""How many of torch's threads a piece of work may use."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def at_most(count: int | None) -> Iterator[None]:
    """``count`` threads inside the block; None leaves torch's own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
