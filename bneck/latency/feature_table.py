"""The features of many networks at once.

Networks of a space share most of their kernels, so each kernel's features are found once and
multiplied by how often each network has it.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bneck.latency.features import ALL_WEIGHTS, Blocking, features, kernels, weights
from bneck.space.architecture import Architecture

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


class FeatureTable:
    """The features of all kernels of each network, summed, and those of the whole."""

    def __init__(self, archs: Iterable[Architecture]) -> None:
        counted = [Counter(kernel for _, kernel in kernels(arch.layers())) for arch in archs]
        self._kernels = [*dict.fromkeys(chain.from_iterable(counted))]
        self._counts = _matrix(counted, self._kernels)

    def under(self, blocking: Blocking) -> tuple[list[str], Floats]:
        """Names of the features under a blocking, and their values (networks, features)."""
        found = [features(kernel, blocking) for kernel in self._kernels]
        names = sorted({name for row in found for name in row})
        values = (self._counts @ _matrix(found, names)).toarray()
        all_weights = self._counts @ [weights(kernel, blocking) for kernel in self._kernels]
        beyond = {n: np.maximum(0.0, all_weights - size) for n, size in ALL_WEIGHTS.items()}
        beyond = {name: column for name, column in beyond.items() if column.any()}
        return [*names, *beyond], np.column_stack([values, *beyond.values()])


def _matrix(rows: Sequence[Mapping[Key, float]], columns: Sequence[Key]) -> Any:
    """The sparse matrix (rows, columns)."""
    at = {column: number for number, column in enumerate(columns)}
    ends = np.cumsum([0, *map(len, rows)])
    places = [at[key] for row in rows for key in row]
    values = [float(value) for row in rows for value in row.values()]
    return csr_array((values, places, ends), shape=(len(rows), len(columns)))
