"""Latencies of very many networks of one space: one table look-up a block."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bneck.latency.model import LatencyModel
from bneck.space.architecture import block_path
from bneck.space.choices import Space, Value

Codes = NDArray[np.int16]


class Batch:
    """Predicts networks of ``space``, given as codes: (networks, choices), one row a network.

    A code is the place of a choice's value in ``space.choices``, -1 where the choice is not live.
    What a block costs hangs on its own choices, its stage's and the width of the stage before, by
    the names that ``bneck.space.spaces`` gives them; a combination of these is predicted when it is
    first met, and looked up from then on.
    """

    def __init__(self, model: LatencyModel, space: Space) -> None:
        self._model = model
        self._space = space
        self._names = list(space.choices)
        deepest = space.decode({name: allowed[-1] for name, allowed in space.choices.items()})
        blocks = dict.fromkeys(map(block_path, model.shares(deepest)))
        self._parts = {block: _Part(space, self._names, block) for block in blocks}

    def codes(self, values: Sequence[Mapping[str, Value]]) -> Codes:
        """(networks, choices) of values as ``Space.sample`` gives them."""
        places = {
            name: {value: place for place, value in enumerate(allowed)}
            for name, allowed in self._space.choices.items()
        }
        rows = [[places[n][v[n]] if n in v else -1 for n in self._names] for v in values]
        return np.array(rows, np.int16)

    def sample(self, count: int, seed: int) -> Codes:
        """Codes of random networks, each live choice drawn uniformly."""
        draw = np.random.default_rng(seed)
        codes = np.empty((count, len(self._names)), np.int16)
        for column, name in enumerate(self._names):
            allowed = self._space.choices[name]
            codes[:, column] = draw.integers(len(allowed), size=count)
            if name in self._space.parents:
                parent, at = self._space.parents[name]
                values = self._space.choices[parent]
                live = [place for place, value in enumerate(values) if value in at]
                codes[~np.isin(codes[:, self._names.index(parent)], live), column] = -1
        return codes

    def values(self, row: Codes) -> dict[str, Value]:
        """The values that one row of codes stands for."""
        pairs = zip(self._names, row, strict=True)
        return {name: self._space.choices[name][code] for name, code in pairs if code >= 0}

    def predict(self, codes: Codes) -> NDArray[np.float64]:
        """(networks,) milliseconds."""
        total = np.zeros((2, len(codes)))
        for part in self._parts.values():
            keys = part.keys(codes)
            found = part.table[:, keys]
            if (unknown := np.isnan(found[0])).any():
                self._learn(codes[unknown], keys[unknown])
                found = part.table[:, keys]
            total += found
        ms: NDArray[np.float64] = total[0] + self._model.fetching_ms(total[1])
        return ms

    def _learn(self, codes: Codes, keys: NDArray[np.int64]) -> None:
        """Predict one network for each key that is new, and enter all of its blocks."""
        _, first = np.unique(keys, return_index=True)
        for row in codes[first]:
            arch = self._space.decode(self.values(row))
            blocks = {block: np.zeros(2) for block in self._parts}
            for path, share in self._model.shares(arch).items():
                blocks[block_path(path)] += share
            for part in self._parts.values():
                part.table[:, part.keys(row[None])] = blocks[part.name][:, None]


class _Part:
    """One block's (ms, weights), over all values of the choices that its cost hangs on."""

    def __init__(self, space: Space, names: list[str], block: str) -> None:
        self.name = block
        wanted = [name for name in names if _matters(name, block, names)]
        self.columns = [names.index(name) for name in wanted]
        sizes = [len(space.choices[name]) + 1 for name in wanted]
        self.radix = np.cumprod([1, *sizes], dtype=np.int64)[:-1]
        self.table = np.full((2, int(np.prod(sizes, dtype=np.int64))), np.nan)

    def keys(self, codes: Codes) -> NDArray[np.int64]:
        """(networks,) places in the table; a code of -1 counts as 0."""
        keys: NDArray[np.int64] = (codes[:, self.columns].astype(np.int64) + 1) @ self.radix
        return keys


def _matters(name: str, block: str, names: list[str]) -> bool:
    """Whether a choice ("s3.width", "s3.b2.kernel") can change what ``block`` ("s3.b2") costs."""
    stage, *own = block.split(".")
    if stage == "head":
        last = [choice for choice in names if choice.endswith(".width")][-1]
        return name == last or name.startswith("head.")
    owner, _, rest = name.partition(".")
    if stage == "s1" and owner == "stem":
        return True
    if owner == stage:
        return "." not in rest or rest.startswith(f"{own[0]}.")
    return stage != "stem" and name == f"s{int(stage[1:]) - 1}.width"
