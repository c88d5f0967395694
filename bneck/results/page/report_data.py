"""All that a report shows of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from bneck.results.classification import Classification
from bneck.results.provenance import MadeWith
from bneck.results.record import Baseline, Inherited, Outcome, Record, Step
from bneck.results.similarity import Similarity
from bneck.results.stage_result import StageResult
from bneck.space.architecture import Architecture


@dataclass(frozen=True)
class ReportData:
    """All that a report shows; what is not known yet is None or empty.

    ``breakdown`` gives the derived network's predicted ms by layer or block path, ``calibration``
    the latency model's figures by name, ``seed`` the network the search handed to NetAdapt.
    ``records`` has each network by its longest training, and ``failed_longer`` the longer trainings
    that failed. ``competitors`` are networks that no trial proposed, by a word for what they are:
    "pretrained" or "widened"; their numbers follow those of the search.
    ``held_out`` holds the predicted and measured ms of networks that the model had not seen, and
    ``latency_error`` its relative standard deviation; ``counted_on`` says on how many images the
    search counts accuracy.
    ``on_images`` sums the images up, and then says what speaks against trusting them.
    ``others`` are the outcomes for other targets of the same search, by their runs' folders.
    ``target_device`` says in words what the latencies are of: device, runtime and settings.
    ``inherited`` says what the network that NetAdapt or a training began with has of a pretrained
    one, and ``trained`` what the final training began with, and whether with a teacher, in words.
    ``tangents`` are (ms, accuracy, w): where the reward with a derived w touches the front.
    ``classification`` is the derived network's, class by class.
    ``found`` is what a run that is not a whole derivation ended with.
    """

    name: str
    state: str
    plan: Mapping[str, Any]
    sessions: tuple[MadeWith, ...] = ()
    records: tuple[Record, ...] = ()
    failed_longer: tuple[Record, ...] = ()
    competitors: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    seed: Architecture | None = None
    outcome: Outcome | None = None
    baselines: tuple[Baseline, ...] = ()
    others: Mapping[str, Outcome] = field(default_factory=dict)
    breakdown: Mapping[str, float] | None = None
    target_device: str = ""
    calibration: Mapping[str, Any] | None = None
    target_ms: float | None = None
    ceiling_ms: float | None = None
    tangents: tuple[tuple[float, float, float], ...] = ()
    class_names: tuple[str, ...] = ()
    on_images: tuple[str, ...] = ()
    held_out: Sequence[Sequence[float]] = ()
    latency_error: float | None = None
    counted_on: int | None = None
    folds: int = 1
    likeness: Similarity | None = None
    classification: Classification | None = None
    inherited: Inherited | None = None
    trained: str = "from scratch"
    found: StageResult = field(default_factory=StageResult)

    @property
    def command(self) -> str:
        """What repeats the run; that of its last session, as the plan may have been changed."""
        return self.sessions[-1].command if self.sessions else ""

    @property
    def kind(self) -> str:
        """What the run is in words, as far as is known: a search alone is no derivation."""
        known = self.sessions and self.sessions[0].bneck_command() != "derive"
        return "run" if known else "derivation"

    @property
    def tried(self) -> tuple[Record, ...]:
        """The networks of the search, and then those that competed with them."""
        return (*self.records, *chain.from_iterable(self.competitors.values()))

    @property
    def derived(self) -> tuple[tuple[str, Outcome], ...]:
        """The derived network and those for other targets, by what pictures call them."""
        others = [(f"derived for {one.target_ms:.4g} ms", one) for one in self.others.values()]
        return (("derived", self.outcome), *others) if self.outcome else ()

    @property
    def names(self) -> dict[int, str]:
        """What those networks are that no trial proposed, by their numbers."""
        return {one.number: word for word, some in self.competitors.items() for one in some}

    @property
    def targets_ms(self) -> tuple[float, ...]:
        """One target or several, as far as known."""
        found = tuple(one.target_ms for one in self.found.networks if one.target_ms is not None)
        if self.target_ms is None or found:
            return found
        return (self.target_ms, *(other.target_ms for other in self.others.values()))

    @property
    def shrunk_to_ms(self) -> tuple[float, ...]:
        """The targets of this run's own NetAdapt; for the others of a derivation there are runs."""
        return self.targets_ms[:1] if self.others else self.targets_ms

    @property
    def compares(self) -> bool:
        """Whether the derived network's accuracy and measured latency are known, to be drawn."""
        return bool(self.outcome and self.outcome.accuracy and self.outcome.measured)
