"""Which networks a NetAdapt step tries: narrower ones, and V3's hand-made steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bneck.errors import NotCalibrated, UsageError
from bneck.latency.predictor import Predictor
from bneck.results.record import Proposal
from bneck.space.architecture import Architecture
from bneck.space.edits import Narrowable, narrow, narrowables, widen
from bneck.space.moves import MOVES, Move

GRID = 8
NOTHING = 1e-6
"""A widening is free where the predicted latency grows by no larger share than this."""
GRIDS_UP = 2
"""Blocks of channels that a free widening may add at once."""


@dataclass(frozen=True, slots=True)
class ProposalGenerator:
    """Proposes networks of lower predicted latency.

    Attributes:
        model: predicts the latencies.
        grid: the block of channels that the runtime computes at once: widths that are no multiple
            of it waste time. Below one block, multiples of 8 are proposed too.
    """

    model: Predictor
    grid: int = GRID

    def proposals(self, arch: Architecture, needed_ms: float) -> tuple[Proposal, ...]:
        """Return, for each width and each hand-made step, what keeps most and saves ``needed_ms``.

        Widths that would change the topology, and networks that the model was not calibrated for,
        are passed over.
        """
        now_ms = self.model.predict(arch).ms
        found: dict[Architecture, Proposal] = {}
        for variants in (
            *(self._narrowed(arch, item) for item in narrowables(arch)),
            *(move(arch) for move in MOVES),
        ):
            proposal = self._first_that_saves(variants, now_ms, needed_ms)
            if proposal is not None:
                found.setdefault(proposal.arch, proposal)
        return tuple(found.values())

    def fastest_ms(self, arch: Architecture) -> float:
        """Return the least predicted latency that narrowing and the hand-made steps lead to."""
        return self.model.predict(self.fastest(arch)).ms

    def fastest(self, arch: Architecture) -> Architecture:
        """Return the network of least predicted latency that these lead to."""
        least_ms = self.model.predict(arch).ms
        while True:
            variants = [self._least(arch, item) for item in narrowables(arch)]
            variants += [variant for move in MOVES for _, variant in move(arch)]
            best = min(
                ((ms, v) for v in variants if v is not None and (ms := self._ms(v)) is not None),
                key=lambda pair: pair[0],
                default=None,
            )
            if best is None or best[0] >= least_ms * (1 - NOTHING):
                return arch
            least_ms, arch = best

    def widened(self, arch: Architecture) -> Move | None:
        """Return every width at the widest that costs nothing by the model, or None.

        Runtimes compute channels in blocks, so that widths between two blocks pay for the next one.
        """
        changes = []
        for item in narrowables(arch):
            now_ms = self.model.predict(arch).ms
            first = item.width // self.grid + 1
            for blocks in range(first + GRIDS_UP - 1, first - 1, -1):
                wider = _legal(widen, arch, item.what, blocks * self.grid)
                ms = None if wider is None else self._ms(wider)
                if wider is not None and ms is not None and ms <= now_ms * (1 + NOTHING):
                    changes.append(f"{item.what} {item.width}->{blocks * self.grid}")
                    arch = wider
                    break
        return (f"free channels: {', '.join(changes)}", arch) if changes else None

    def _narrowed(self, arch: Architecture, item: Narrowable) -> Iterator[Move]:
        for width in _widths_below(item.width, self.grid):
            narrower = _legal(narrow, arch, item.what, width)
            if narrower is not None:
                yield f"{item.what} {item.width}->{width}", narrower

    def _least(self, arch: Architecture, item: Narrowable) -> Architecture | None:
        widths = reversed(list(_widths_below(item.width, self.grid)))
        legal = (_legal(narrow, arch, item.what, width) for width in widths)
        return next((narrower for narrower in legal if narrower is not None), None)

    def _first_that_saves(
        self, variants: Iterator[Move], now_ms: float, needed_ms: float
    ) -> Proposal | None:
        for move, variant in variants:
            latency_ms = self._ms(variant)
            if latency_ms is not None and now_ms - latency_ms >= needed_ms:
                return Proposal(variant, move, latency_ms, now_ms - latency_ms)
        return None

    def _ms(self, arch: Architecture) -> float | None:
        """The predicted latency; None for what the model was not calibrated for."""
        try:
            return self.model.predict(arch).ms
        except NotCalibrated:
            return None


def _legal(
    edit: Callable[[Architecture, str, int], Architecture],
    arch: Architecture,
    what: str,
    width: int,
) -> Architecture | None:
    """The edited network; None where this width would change the topology."""
    try:
        return edit(arch, what, width)
    except UsageError:
        return None


def _widths_below(width: int, grid: int) -> Iterator[int]:
    """Multiples of the grid below ``width``, widest first, then multiples of 8 below one block."""
    yield from range((width - 1) // grid * grid, 0, -grid)
    yield from range((min(width, grid) - 1) // GRID * GRID, 0, -GRID)
