"""What the stages of a run are expected to take, said again as each of them ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from bneck.progress import Progress
from bneck.quantities import duration


@dataclass
class Schedule:
    """Seconds by stage, and what is done of them."""

    expected_s: dict[str, float] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Take in what stages will take."""
        self.expected_s.update(seconds)

    def finish(self, stage: str, progress: Progress) -> None:
        """Note that a stage is done, and say what is left."""
        if stage in self.expected_s and stage not in self.done:
            self.done.add(stage)
            self.say(progress)

    def say(self, progress: Progress) -> None:
        """Say what the stages to come will take, if that is known."""
        if not self.expected_s:
            return
        left = {name: s for name, s in self.expected_s.items() if name not in self.done}
        total, to_come = sum(self.expected_s.values()), sum(left.values())
        stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in left.items())
        note = f"about {duration(to_come)} to go: {stages}" if left else ""
        whole = ceil(total)
        progress("whole run (s)", whole - ceil(to_come), whole, note)
