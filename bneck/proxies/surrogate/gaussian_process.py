"""Gaussian process regression whose relevances belong to groups of columns.

Rasmussen and Williams 2006, chapters 2 and 5. The kernel is one rational
quadratic over all columns, which mixes smooth functions of all length scales, and beside it, where
asked for, one straight line in the same columns; each group has one
inverse squared length scale, found by marginal likelihood under a wide prior (automatic relevance
determination, by group). So few labels leave fine groups switched off and many
switch them on, where a choice between fixed sets of columns would be made once and for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]
Columns = Mapping[str, Array]
"""Group -> (rows, columns of the group); several sets of rows share names and widths."""

_PRIOR_STD, _REST_STD, _LINEAR_STD = 2.0, 1.0, 1.5
_LOG_SIGNAL, _LOG_NOISE, _LOG_LINEAR = float(np.log(1.5)), float(np.log(0.1)), 0.0
_STEPS = 60


@dataclass(frozen=True)
class Relevance:
    """Logs of the groups' inverse squared length scales, the signal's and the noise's variance.

    ``linear`` is the log variance of the straight line, None for no such part.
    """

    groups: Mapping[str, float]
    signal: float = _LOG_SIGNAL
    noise: float = _LOG_NOISE
    linear: float | None = None

    def vector(self) -> Array:
        line = [] if self.linear is None else [self.linear]
        return np.array([*self.groups.values(), self.signal, self.noise, *line])

    def at(self, vector: Array) -> Self:
        """The same groups with other numbers."""
        groups = dict(zip(self.groups, map(float, vector), strict=False))
        return type(self)(groups, *map(float, vector[len(groups) :]))


def learn(
    columns: Columns, targets: Array, prior: Mapping[str, float], *, linear: bool = False
) -> Relevance:
    """The relevances of largest posterior probability.

    Costs the cube of the number of rows, some 60 times: about 0.1 s for 100 rows.

    Args:
        columns: what is known of each row, by group.
        targets: (rows,) what is to be predicted.
        prior: by group, the log relevance that it begins at and is drawn towards.
        linear: whether the kernel has a straight line beside it.
    """
    every = {name: prior[name] for name in columns}
    parts = _Scaled.of(columns).parts(columns)
    live = {name: every[name] for name, part in zip(columns, parts, strict=True) if part.size}
    parts = [part for part in parts if part.size]
    start = Relevance(live, linear=_LOG_LINEAR if linear else None)
    centre = start.vector()
    spread = np.array([_PRIOR_STD] * len(live) + [_REST_STD] * 2 + [_LINEAR_STD] * linear)
    squares = np.array([_squares(part, part) for part in parts])
    products = np.array([part @ part.T for part in parts if linear])
    wanted = (targets - targets.mean()) / _std(targets)

    def loss(vector: Array) -> tuple[float, Array]:
        away = (vector - centre) / spread
        value, slope = _misfit(vector, squares, products, wanted)
        return value + 0.5 * float(away @ away), slope + away / spread

    bounds = list(zip(centre - 4 * spread, centre + 4 * spread, strict=True))
    options = {"maxiter": _STEPS}
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    learnt = start.at(found.x)
    return replace(learnt, groups=every | dict(learnt.groups))  # constant groups teach nothing


class GaussianProcess:
    """The posterior after some rows and their targets."""

    def __init__(
        self,
        columns: Columns,
        targets: Array,
        relevance: Relevance,
        *,
        unit: float | None = None,
        scaled_by: Columns | None = None,
    ) -> None:
        """Condition on rows, which may be none.

        Args:
            columns: what is known of each row, by group.
            targets: (rows,) what is to be predicted.
            relevance: of the groups, and the variances.
            unit: what the variances are measured in; None is the targets' standard deviation.
            scaled_by: rows whose spread the columns are scaled by; None is ``columns``.
        """
        self._relevance = relevance
        self._line = 0.0 if relevance.linear is None else float(np.exp(relevance.linear))
        self._scaled = _Scaled.of(columns if scaled_by is None else scaled_by)
        self._rows = self._weighted(columns)
        self._centre = float(targets.mean()) if len(targets) else 0.0
        self._unit = _std(targets) if unit is None else unit
        kernel = self._kernel(self._rows) + np.exp(relevance.noise) * np.eye(len(targets))
        self._factor = cho_factor(kernel, lower=True)
        self._wanted = (targets - self._centre) / self._unit
        self._weights = cho_solve(self._factor, self._wanted)

    def predict(self, columns: Columns, *, noise: bool = True) -> tuple[Array, Array]:
        """Mean and standard deviation for each row, of a new label or (no noise) of its mean."""
        rows = self._weighted(columns)
        across = self._kernel(rows)
        explained = solve_triangular(self._factor[0], across.T, lower=True)
        before = np.exp(self._relevance.signal) + self._line * (rows**2).sum(axis=1)
        variance = before - (explained**2).sum(axis=0)
        if noise:
            variance = variance + np.exp(self._relevance.noise)
        mean = self._centre + self._unit * (across @ self._weights)
        return mean, self._unit * np.sqrt(np.maximum(variance, 1e-10))

    def left_out(self) -> Array:
        """Log density of each label if it alone had been left out (equations 5.10 to 5.12)."""
        certainty = np.diag(cho_solve(self._factor, np.eye(len(self._wanted))))
        density = 0.5 * np.log(certainty / (2 * np.pi)) - 0.5 * self._weights**2 / certainty
        return np.asarray(density - np.log(self._unit))

    def _weighted(self, columns: Columns) -> Array:
        """All groups side by side, so that plain squared distances are the kernel's."""
        scales = np.exp([value / 2 for value in self._relevance.groups.values()])
        parts = zip(scales, self._scaled.parts(columns), strict=True)
        return np.concatenate([scale * part for scale, part in parts], axis=1)

    def _kernel(self, rows: Array) -> Array:
        shape, _ = _shape(_squares(rows, self._rows))
        kernel = shape * float(np.exp(self._relevance.signal))
        return kernel + self._line * (rows @ self._rows.T) if self._line else kernel


@dataclass(frozen=True)
class _Scaled:
    """Columns made comparable: by what the training rows spread, constant ones left out."""

    centres: list[Array]
    units: list[Array]
    kept: list[NDArray[np.bool_]]

    @classmethod
    def of(cls, columns: Columns) -> Self:
        parts = list(columns.values())
        units = [part.std(axis=0) for part in parts]
        return cls([part.mean(axis=0) for part in parts], units, [unit > 1e-9 for unit in units])

    def parts(self, columns: Columns) -> list[Array]:
        stored = zip(columns.values(), self.centres, self.units, self.kept, strict=True)
        return [
            ((part - centre)[:, kept] / unit[kept]) / np.sqrt(max(1, kept.sum()))
            for part, centre, unit, kept in stored
        ]


def _misfit(vector: Array, squares: Array, products: Array, wanted: Array) -> tuple[float, Array]:
    """Negative log marginal likelihood and its gradient (equations 5.8 and 5.9)."""
    weights, (signal, noise, *line) = np.split(np.exp(vector), [len(squares)])
    shape, slope = _shape(np.tensordot(weights, squares, 1))
    straight = np.tensordot(weights, products, 1) if line else 0.0
    kernel = signal * shape + sum(line) * straight
    factor = cho_factor(kernel + noise * np.eye(len(wanted)), lower=True)
    inverse = cho_solve(factor, np.eye(len(wanted)))
    solved = inverse @ wanted
    rest = inverse - np.outer(solved, solved)
    by_group = np.tensordot(squares, rest * (signal * slope), ([1, 2], [0, 1])) * weights
    by_rest = [signal * np.sum(rest * shape), noise * np.trace(rest)]
    for variance in line:
        along = np.tensordot(products, rest * variance, ([1, 2], [0, 1])) * weights
        by_group, by_rest = by_group + along, [*by_rest, along.sum()]
    value = 0.5 * wanted @ solved + np.log(np.diag(factor[0])).sum()
    return float(value), 0.5 * np.concatenate([by_group, by_rest])


def _shape(squares: Array) -> tuple[Array, Array]:
    """The rational quadratic of squared distances (equation 4.19, alpha 1), and its derivative."""
    shape: Array = 1 / (1 + squares / 2)
    return shape, -0.5 * shape**2


def _squares(a: Array, b: Array) -> Array:
    products = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    squares: Array = np.maximum(products, 0)
    return squares


def _std(targets: Array) -> float:
    return max(float(targets.std()), 1e-9)
