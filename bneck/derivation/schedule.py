"""How long the stages of a run are expected to take, and what is left of them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from statistics import fmean

from bneck.progress import Progress
from bneck.units import duration

MEASURING = "measuring"
"""The stage that measures the derived networks, and those that they are compared with."""
SAID_EVERY_S = 30.0
"""Seconds between two estimates of what is left, while a stage is at work."""
MEASUREMENT_S = 5.0
"""Usual time of a measurement on a quiet machine; a noisy one may take many times as long."""


@dataclass
class Schedule:
    """What the stages of a run are expected to take, in seconds, and how far they are.

    Attributes:
        expected_s: by stage, without its measurements of networks on the target device.
        measurements: how many of these each stage makes.
        measured_s: what those took that there were so far; their mean is expected of the others.
        parts: how often those end that do so more than once, as for one target after another.
        ended: how often each has ended.
        begun_s: when those that are at work began.
        clock: seconds that only ever rise.
        said_s: when it was last said what is left.
    """

    expected_s: dict[str, float] = field(default_factory=dict)
    measurements: dict[str, int] = field(default_factory=dict)
    measured_s: list[float] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    begun_s: dict[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    said_s: float = 0.0

    def expect(self, seconds: Mapping[str, float], parts: Mapping[str, int]) -> None:
        """Take in what stages will take, and how often those end that do so more than once."""
        self.expected_s.update(seconds)
        self.parts.update(parts)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Note what a measurement takes, which is done inside the block."""
        begun_s = self.clock()
        yield
        self.measured_s.append(self.clock() - begun_s)

    def begin(self, stage: str) -> None:
        """Note that a stage, or a part of it, is at work."""
        self.begun_s[stage] = self.clock()

    def finish(self, stage: str, progress: Progress) -> None:
        """Note that a stage, or a part of it, is done, and say what is left."""
        self.begun_s.pop(stage, None)
        if self._left(stage) > 0:
            self.ended[stage] += 1
            self.say(progress)

    def beside(self, progress: Progress) -> Progress:
        """Return a progress that passes on all news, and says now and then what is left."""

        def told(what: str, done: int, total: int, note: str = "") -> None:
            progress(what, done, total, note)
            if self.begun_s and self.clock() - self.said_s >= SAID_EVERY_S:
                self.say(progress)

        return told

    def say(self, progress: Progress) -> None:
        """Say what the stages to come will take, if that is known."""
        if not self.expected_s:
            return
        self.said_s = self.clock()
        names = dict.fromkeys((*self.expected_s, *self.measurements))
        left = {name: s for name in names if (s := self._left(name)) > 0}
        total, to_come = sum(map(self._expected, names)), sum(left.values())
        stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in left.items())
        note = f"to come: {stages}" if left else ""
        if self.begun_s and 0 < to_come <= 1:
            note = f"{', '.join(left)} takes longer than estimated"
        whole = ceil(total)
        progress("whole run (s)", whole - ceil(to_come), whole, note)

    def _left(self, stage: str) -> float:
        """Seconds of a stage that are to come; one of a part that takes longer than expected."""
        expected_s, parts = self._expected(stage), self.parts.get(stage, 1)
        left_s = expected_s * (1 - self.ended[stage] / parts)
        if stage in self.begun_s:
            spent_s = self.clock() - self.begun_s[stage]
            left_s -= min(spent_s, max(0.0, expected_s / parts - 1))
        return left_s

    def _expected(self, stage: str) -> float:
        """Seconds of a whole stage, by what measurements have taken so far."""
        each_s = fmean(self.measured_s or [MEASUREMENT_S])
        return self.expected_s.get(stage, 0.0) + each_s * self.measurements.get(stage, 0)
