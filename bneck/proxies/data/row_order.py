"""In which order images are taken, by their labels: which are held out, and which are shown."""

import numpy as np
import torch
from torch import Generator, Tensor

from bneck.proxies.data.image_info import HELD_OUT_EVERY


def hold_out(
    labels: Tensor, seed: int, contents: Tensor, *, fold: int = 0, folds: int = HELD_OUT_EVERY
) -> tuple[Tensor, Tensor]:
    """(rows to validate on, a fifth rounded up; rows to train on), every class in proportion.

    All pictures of the same content are on one side: they are counted once, as the first of them.

    Args:
        labels: int64 (N,).
        seed: decides which rows.
        contents: int64 (N,), the same number for the same pixels.
        fold: which part to validate on; together the parts are all rows.
        folds: number of parts.
    """
    first = torch.from_numpy(np.sort(np.unique(contents.numpy(), return_index=True)[1]))
    order = first[stratified_order(labels[first], seed)]
    parts = list(order.tensor_split(folds))
    chosen = parts.pop(fold)
    kept = torch.cat(parts)
    if len(first) == len(labels):
        return chosen, kept
    is_first = torch.zeros(len(labels), dtype=torch.bool)
    is_first[first] = True
    repeated = (~is_first).nonzero().squeeze(1)
    with_chosen = torch.isin(contents[repeated], contents[chosen])
    return torch.cat([chosen, repeated[with_chosen]]), torch.cat([kept, repeated[~with_chosen]])


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A seeded order of the rows, of which every beginning holds the classes in proportion."""
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.empty(len(labels), dtype=torch.float64)
    for rows in rows_by_class(labels[shuffled]):
        place[rows] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    return shuffled[place.argsort(stable=True)]


def rows_by_class(labels: Tensor) -> tuple[Tensor, ...]:
    """(N,) labels -> the rows of each class that is there, in order: one pass for all classes."""
    counts = labels.bincount()
    order = labels.argsort(stable=True)
    return tuple(order.split(counts[counts > 0].tolist()))


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
