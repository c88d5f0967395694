"""Accuracy from a table: looked up where the table knows the network, else learnt from the rest."""

from functools import cached_property
from typing import TYPE_CHECKING

from bneck.proxies.surrogate.table import Table
from bneck.space.architecture import Architecture

if TYPE_CHECKING:
    from bneck.proxies.surrogate.surrogate import Surrogate


class FromTable:
    """An accuracy signal that trains nothing, so that a search takes minutes."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def surrogate(self) -> "Surrogate":
        """What the table teaches; ``cross_validated`` says how far to trust it."""
        from bneck.proxies.surrogate.surrogate import Surrogate

        return Surrogate(list(self.table.accuracies), list(self.table.accuracies.values()))

    def __call__(self, arch: Architecture, *, seed: int = 0) -> float:
        """From 0 to 1; the seed plays no part."""
        known = self.table.accuracies.get(arch)
        if known is not None:
            return known
        mean, _ = self.surrogate.predict([arch])
        return float(mean[0])
