"""Networks that compete with those of a search although no trial proposed them.

They are the pretrained network itself, and the networks of faster targets, made wider. Such a one
need not be in the space, as all networks in the journal are, so their records are in files of their
own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bneck import records
from bneck.derivation.results import numbered_after
from bneck.derivation.session import Session
from bneck.derivation.stages.scoring import Scorer
from bneck.errors import NotCalibrated, UsageError
from bneck.proxies.tabular import TableData
from bneck.results.record import Record
from bneck.results.stage_record import SelectedNetwork
from bneck.search.label import check_comparable
from bneck.search.objectives import Objective, Objectives
from bneck.search.promotion import Candidate, trained_longest
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.search import evaluate_outside
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.edits import widened

MULTIPLIERS = tuple(1 + step / 100 for step in range(1, 201))
"""Width multipliers that are tried; channels are multiples of 8, so that many are alike."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What takes part in a search, and what decides it.

    Attributes:
        session: the search's.
        scorer: what scores a network.
        objectives: the search's.
        labels: that reward exponents are derived from.
        trainings: every evaluation of the search.
    """

    session: Session
    scorer: Scorer
    objectives: Objectives
    labels: Sequence[LabelledNetwork]
    trainings: Sequence[Record]

    def networks(self) -> list[Record]:
        """Return what the search evaluated, each network by its longest training."""
        return trained_longest(self.trainings)

    def current(self) -> list[Objective]:
        """The objective of each target, once the labels are known."""
        return self.objectives.at(self.labels)

    def evaluate(
        self, more: Mapping[Architecture, Objective], file: Path, what: str
    ) -> list[Record]:
        """The records of further networks, trained as those were that were trained longest.

        Args:
            more: networks, each with the objective that rewards it.
            file: keeps their records.
            what: what they are, for the progress.

        Raises:
            UsageError: one was trained on another kind of device than those of the search.
        """
        rung = max(record.rung for record in self.networks())
        rivals = [record for record in self.trainings if record.rung == rung]
        wanted = [Candidate(arch, rung) for arch in more]
        known = {Candidate(one.arch, one.rung): one for one in records.read_lines(file, Record)}
        missing = [candidate for candidate in wanted if candidate not in known]
        progress, mix_devices = self.session.progress, self.session.plan.mix_devices
        progress(what, len(wanted) - len(missing), len(wanted))
        further = {one: more[one.arch] for one in missing}
        executor = self.session.executor
        for record in evaluate_outside(further, self.scorer, executor) if missing else ():
            check_comparable(record, rivals, mix_devices=mix_devices)
            records.append(file, record)
            known[Candidate(record.arch, record.rung)] = record
            progress(what, sum(one in known for one in wanted), len(wanted))
        numbers = {one.arch: one.number for one in numbered_after(self.trainings, known.values())}
        return [replace(known[one], number=numbers[one.arch]) for one in wanted]


def pretrained_network(contest: Contest, parent: Parent | None) -> list[Record]:
    """The pretrained network, trained as its heirs were, where a target admits it.

    Nothing fits inherited weights better than the network that they were trained in.
    """
    rivals = contest.networks()
    if parent is None or parent.elastic or isinstance(contest.scorer, TableData) or not rivals:
        return []
    size = rivals[0].arch
    arch = parent.arch.at(resolution_px=size.resolution_px, classes=size.classes)
    try:
        admitted = [objective for objective in contest.current() if objective.allows(arch)]
    except NotCalibrated:
        return []
    if not admitted or any(record.arch == arch for record in rivals):
        return []
    file = contest.session.run.pretrained
    return contest.evaluate({arch: admitted[0]}, file, "the pretrained network")


def widened_networks(
    contest: Contest, select: Callable[[], Sequence[SelectedNetwork]], places: Sequence[int]
) -> list[tuple[Record, int]]:
    """For each slower target the most accurate network of the faster ones, just wide enough.

    Networks that are as good as any of their latency are few, and a search need not have found one
    for each target. The width multiplier is the known way to spend more time with one that is
    found (Howard et al. 2017, MobileNetV1, section 3.3).

    Args:
        contest: what they compete with.
        select: gives the networks that the search selected, one for each target that it has one
            for, once they are measured.
        places: of the targets that may have another one.

    Returns:
        A record of each, and the number of the network that it is a wider one of.
    """
    chosen, current = _chosen(contest, select, places), contest.current()
    narrower: dict[Architecture, int] = {}
    wanted: dict[Architecture, Objective] = {}
    for place in places:
        one = chosen[contest.objectives.targets[place].target_ms]
        if one.arch is not None:
            narrower[one.arch], wanted[one.arch] = one.number, current[place]
    if not wanted:
        return []
    found = contest.evaluate(wanted, contest.session.run.widened, "widened networks")
    return [(record, narrower[record.arch]) for record in found]


@dataclass(frozen=True, slots=True)
class _Widened:
    """A network that is made wider for a target, and the number of the narrower one.

    ``arch`` is None where none is.
    """

    target_ms: float
    arch: Architecture | None = None
    number: int = 0


def _chosen(
    contest: Contest, select: Callable[[], Sequence[SelectedNetwork]], places: Sequence[int]
) -> dict[float, _Widened]:
    """What is made wider, by target; written down, as measured again it may be another."""
    file = contest.session.run.to_widen
    known = {one.target_ms: one for one in records.read_lines(file, _Widened)}
    targets_ms = {contest.objectives.targets[place].target_ms: place for place in places}
    if targets_ms.keys() - known.keys():
        selected = select()
        new = {ms: _widened_for(contest, selected, place) for ms, place in targets_ms.items()}
        known = new | known
        records.write_lines(file, known.values())
    return known


def _widened_for(contest: Contest, selected: Sequence[SelectedNetwork], place: int) -> _Widened:
    """The most accurate network of the targets faster than that of ``place``, just wide enough."""
    target_ms = contest.objectives.targets[place].target_ms
    faster = [one for one in selected if one.target_ms < target_ms]
    if not faster:
        return _Widened(target_ms)
    best = max(faster, key=lambda one: one.accuracy.value)
    arch = _least_widened(best.arch, contest.current()[place])
    if any(record.arch == arch for record in contest.networks()):
        return _Widened(target_ms)
    return _Widened(target_ms, arch, best.number)


def _least_widened(arch: Architecture, objective: Objective) -> Architecture | None:
    """The network at the least width multiplier that the objective allows, None if none does."""
    for multiplier in MULTIPLIERS:
        try:
            wider = widened(arch, multiplier)
            if objective.allows(wider):
                return wider
        except (UsageError, NotCalibrated):  # a layer more or fewer, or none that was measured
            continue
    return None
