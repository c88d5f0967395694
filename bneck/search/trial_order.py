"""The order in which trials end, as the proposals after them know it."""

from collections.abc import Iterator

from bneck.search.promotion import steps_on
from bneck.search.samplers.history import Trial
from bneck.search.virtual_time import VirtualTime, training_length


class TrialOrder:
    """Trials end in virtual time, or where there is none when their results come in.

    A trial whose end has come in virtual time may still be evaluated: it, and those after it, are
    held back until its result is in.
    """

    def __init__(self, workers: int | None, layer_macs: int) -> None:
        """Begin without trials.

        Args:
            workers: of the virtual time; None for the order in which results come in.
            layer_macs: see ``training_length``.
        """
        self._time = None if workers is None else VirtualTime[Trial](workers)
        self._layer_macs = layer_macs
        self._to_end: list[Trial] = []
        self._waited = False  # since the last trial started

    @property
    def is_eager(self) -> bool:
        """Whether there is no virtual time."""
        return self._time is None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.under_way()

    @property
    def waits_for_results(self) -> bool:
        """Whether a trial has ended whose result is not in."""
        return bool(self._to_end)

    @property
    def start_after_wait(self) -> float | None:
        """The virtual time at which the next trial starts; None if that is the first free one."""
        return self._time.now if self._waited and self._time is not None else None

    def start(self, trial: Trial) -> None:
        """Let a trial begin."""
        if self._time is not None:
            length = training_length(trial.arch, self._layer_macs) * steps_on(trial.rung, 1)
            self._time.start(trial, length)
            self._waited = False

    def tell(self, trial: Trial) -> None:
        """Take in that the result of a trial is known."""
        if self._time is None:
            self._to_end.append(trial)

    def wait(self) -> None:
        """Let virtual time pass until a further trial ends: there is nothing to start before."""
        if self._time is not None:
            self._to_end += self._time.to_next_end()
            self._waited = True

    def wait_until(self, start: float) -> None:
        """Let virtual time pass until a trial starts that had waited."""
        if self._time is not None:
            self._to_end += self._time.wait_until(start)

    def ended(self) -> Iterator[Trial]:
        """Yield the trials that end before the next can start, as far as results are in."""
        if self._time is not None:
            self._to_end += self._time.to_next_start()
        while self._to_end and self._to_end[0].record is not None:
            yield self._to_end.pop(0)

    def under_way(self) -> list[Trial]:
        """The trials that have not ended, in the order in which they will."""
        return self._to_end + (self._time.rest() if self._time is not None else [])
