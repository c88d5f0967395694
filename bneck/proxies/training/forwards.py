"""Computing some layers of a network otherwise for as long as it trains."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


@contextmanager
def forwards_replaced(
    layers: Sequence[M], forward: Callable[[M, Tensor], Tensor]
) -> Iterator[None]:
    """Let ``forward`` compute each of the layers inside the block; after it they are as before."""
    for layer in layers:
        layer.forward = partial(forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
