"""How far a stage is, and how long it still takes."""

from dataclasses import dataclass

from bneck.units import duration


@dataclass
class StageProgress:
    """How far one kind of work is.

    ``first`` items were done when it ``began_s``, and ``done`` of ``total`` at ``advanced_s``; last
    heard of at ``told_s``.
    """

    began_s: float
    first: int
    done: int
    total: int
    note: str
    advanced_s: float
    now_s: float
    in_seconds: bool = False
    told_s: float = 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go, as counted or at the pace so far; None where nothing is known or left.

        The pace is that of the last advance, and what it left is counted down from there: the items
        under way since then have not lost time. What is expected to take so many seconds has no
        pace, as whole stages of it end at once: it is counted down from what was last said. The
        last of several seconds stays to the end, however much longer it takes than expected.
        """
        advanced, to_go = self.done - self.first, self.total - self.done
        if to_go <= 0:
            return None
        if self.in_seconds:
            late = to_go == 1 and self.done > 0
            left_s = 0.0 if late else to_go - (self.now_s - self.told_s)
        elif advanced > 0:
            left_s = (self.advanced_s - self.began_s) / advanced * to_go
            left_s -= self.now_s - self.advanced_s
        else:
            return None
        return left_s if left_s > 0 else None

    @property
    def time(self) -> str:
        """What it took if it is done, else how long still, or how long so far."""
        if self.done >= self.total:
            return duration(self.now_s - self.began_s)
        if self.left_s is not None:
            return f"{duration(self.left_s)} left"
        return f"{duration(self.now_s - self.began_s)} so far" * (self.now_s - self.began_s >= 1)
