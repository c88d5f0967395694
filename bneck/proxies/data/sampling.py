"""Sampling training images so that all classes are shown equally often."""

import torch
from torch import Generator, Tensor

from bneck.proxies.data.rows import rows_by_class


def balanced_order(labels: Tensor, draw: Generator) -> Tensor:
    """Return as many rows as there are, in random order, all classes equally often: (N,).

    Images of small classes are repeated, each as often as the others of its class or once more; of
    large classes every epoch shows other ones.

    Args:
        labels: int64 (N,).
        draw: where random numbers come from.
    """
    by_class = rows_by_class(labels)
    each, more = divmod(len(labels), len(by_class))
    chosen = []
    for place, which in enumerate(torch.randperm(len(by_class), generator=draw).tolist()):
        rows = by_class[which]
        wanted = each + (place < more)
        rounds = -(-wanted // len(rows))
        shuffled = [rows[torch.randperm(len(rows), generator=draw)] for _ in range(rounds)]
        chosen.append(torch.cat(shuffled)[:wanted])
    return torch.cat(chosen)[torch.randperm(len(labels), generator=draw)]
