"""Accuracy from a table: looked up where it holds the network, else predicted from the rest."""

from typing import TYPE_CHECKING

from bneck.proxies.surrogate.table import Table
from bneck.space.architecture import Architecture

if TYPE_CHECKING:
    from bneck.proxies.surrogate.surrogate import Surrogate


class FromTable:
    """An accuracy signal that trains nothing, so that a search takes minutes."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._regression: Surrogate | None = None

    def __call__(self, arch: Architecture, *, seed: int = 0) -> float:
        """Return the accuracy, from 0 to 1; the seed plays no part."""
        known = self.table.accuracies.get(arch)
        if known is not None:
            return known
        mean, _ = self.regression().predict([arch])
        return float(mean[0])

    def regression(self) -> "Surrogate":
        """Fit the table, once; ``cross_validated`` says how far the regression can be trusted."""
        from bneck.proxies.surrogate.surrogate import Surrogate

        if self._regression is None:
            known = self.table.accuracies
            self._regression = Surrogate(list(known), list(known.values()))
        return self._regression
