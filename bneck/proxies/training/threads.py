"""How many CPU threads a training uses: the faster of one and all, tried on its first steps."""

import torch

from bneck.machine import Compute, cores

_TRIED = 3  # steps with each number of threads; the fastest of them counts
_HOPELESS = 4  # times as long as one thread: not tried again
_WORTH = 0.9  # of one thread's time, to take all


class Threads:
    """Sets torch's threads before each step of a training.

    Where none are asked for, the training's own first steps try one thread, then all cores. Two
    threads train a network of 32 px 1.35 times as fast on two idle cores, and several times slower
    when another program wants one of them: at every operation they wait for the last one.

    Attributes:
        chosen: the number that was asked for, or found; None while it is being tried.
    """

    def __init__(
        self, compute: Compute, chosen: int | None = None, *, on_gpu: bool = False
    ) -> None:
        """Begin with the threads that are asked for, or were found before.

        Args:
            compute: the number asked for; None leaves it open.
            chosen: what an earlier session of the training found.
            on_gpu: the CPU only feeds a GPU, so nothing is tried.
        """
        self._all = min(torch.get_num_threads(), cores())
        if chosen is not None and chosen > self._all:  # which was a larger machine
            chosen = None
        self.chosen = compute.threads or chosen
        if self.chosen is None and (self._all == 1 or on_gpu):
            self.chosen = self._all
        self._set = 0
        self._one_s: list[float] = []
        self._all_s: list[float] = []

    def set(self) -> None:
        """Set torch's threads for the next step, if others are set: to set them costs it time."""
        wanted = self.chosen or (1 if len(self._one_s) < _TRIED else self._all)
        if wanted != self._set:
            torch.set_num_threads(wanted)
            self._set = wanted

    def took(self, seconds: float) -> None:
        """Note how long a step took with the threads that were set."""
        if self.chosen is not None:
            return
        (self._one_s if len(self._one_s) < _TRIED else self._all_s).append(seconds)
        one_s = min(self._one_s)
        if self._all_s and self._all_s[-1] > _HOPELESS * one_s:
            self.chosen = 1
        elif len(self._all_s) == _TRIED:
            self.chosen = self._all if min(self._all_s) < _WORTH * one_s else 1
