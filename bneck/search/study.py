"""The memory of a search: its trials on disk, in the order that virtual time gives them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bneck.files import naming
from bneck.results.record import Record
from bneck.search import samplers
from bneck.search.allowed import SpaceExhausted, allowed_network
from bneck.search.journal import Journal, State
from bneck.search.objectives import Objective, Objectives
from bneck.search.promotion import promotable
from bneck.search.samplers.history import LabelledNetwork, Trial, TrialHistory
from bneck.search.trial_attributes import (
    EVALUATED,
    LATENCY,
    is_whole,
    outcome_of,
    proposal_of,
    trial_of,
    virtual_start_of,
)
from bneck.search.trial_order import TrialOrder
from bneck.search.virtual_time import LAYER_MACS
from bneck.space.choices import Space


class Study:
    """Proposes networks of a space and remembers what became of them.

    Each proposal's random choices come from (seed, number) alone, and its knowledge from virtual
    time, so a study that was interrupted proposes what an uninterrupted one would have proposed.
    """

    def __init__(
        self,
        journal: Path,
        space: Space,
        *,
        sampler: str,
        seed: int,
        parallel: int | None = 1,
        layer_macs: int = LAYER_MACS,
        front: bool = False,
        promote: bool = False,
    ) -> None:
        """Open the study, or begin it.

        Args:
            journal: its file.
            space: whose networks are proposed.
            sampler: a word of ``SAMPLERS`` or ``package.module:attr``.
            seed: random seed of all proposals.
            parallel: workers of the virtual time; None proposes from whatever has ended.
            layer_macs: see ``training_length``.
            front: accuracy and latency are two objectives, and no reward is kept.
            promote: whether the best networks are trained longer (``promotion``).

        Raises:
            UsageError: an unknown sampler, or a journal that no search can have written.
            BneckError: the file cannot be read or written.
        """
        self.file, self.space, self.promotes = journal, space, promote
        self._sampler = samplers.find(sampler)(space, front)
        self._seed, self._front = seed, front
        self.order = TrialOrder(parallel, layer_macs)
        """In which the trials end, and whether any is under way."""
        self._history = TrialHistory()
        self._trials: list[Trial] = []  # of all rungs, in the order of their starts
        self._ended: list[Trial] = []
        directions = ["maximize", "minimize"] if front else ["maximize"]
        self._journal = Journal(journal, space, directions=directions)
        self.from_before = 0
        """Trials of an earlier version, which had batches: all count as ended at the start."""
        self._without_latency: set[int] = set()  # of an earlier version, which wrote it at the end
        with naming(journal):
            self._replay()

    def may_propose(self, under_way: int, workers: int) -> bool:
        """Whether all results that the next proposal is made from are in.

        Without virtual time, whether fewer trials are under way than there are workers.
        """
        self._end_trials()
        if self.order.is_eager:
            return under_way < workers
        return not self.order.waits_for_results

    @property
    def networks(self) -> int:
        """How many networks were proposed."""
        return len(self._history.trials)

    def promote(self, objectives: Objectives) -> Trial | None:
        """Start a longer training of a network that has earned one."""
        current = self.current(objectives)
        best = promotable(self._trials, self._ended, current)
        if best is None:
            return None
        known = best.target < len(current)  # as not in the run of one of several targets
        trial = Trial(
            number=self._journal.count,
            values=best.values,
            arch=best.arch,
            target=best.target if known else 0,
            labels=len(self._history.labels),
            rung=best.rung + 1,
        )
        return self._begun(trial, current[trial.target])

    def propose(self, objectives: Objectives) -> Trial:
        """Propose a network for the target whose turn it is, or for the next that has any left.

        Raises:
            SpaceExhausted: no target has a network left.
        """
        current = self.current(objectives)
        turn = self.networks
        for further in range(len(current)):
            target = (turn + further) % len(current)
            try:
                trial = self._proposed(current[target], target)
            except SpaceExhausted as end:
                last = end
                continue
            return self._begun(trial, current[target])
        raise last

    def tell(self, trial: Trial, record: Record) -> Record:
        """Store a trial's result, and return it as it is kept: a front's has no reward."""
        if self._front:
            record = replace(record, reward=None)
        state, values, attrs = outcome_of(record, front=self._front)
        if trial.number in self._without_latency:
            attrs[LATENCY] = record.latency_ms
        self._journal.finish(trial.number, state, values, attrs)
        trial.record = record
        self.order.tell(trial)
        return record

    def pending(self) -> list[Trial]:
        """Networks that wait for their evaluation, of this process or one before."""
        return [trial for trial in self._trials if trial.record is None]

    def current(self, objectives: Objectives) -> list[Objective]:
        """The objective of each target, as the next proposal knows it."""
        return objectives.at(self._history.labels)

    def objective(self, trial: Trial, objectives: Objectives) -> Objective:
        """The objective that a trial was proposed for, as it was at that time."""
        return objectives.at(self._history.labels[: trial.labels])[trial.target]

    def labels(self) -> list[LabelledNetwork]:
        """The networks with an accuracy, in the order in which virtual time ends them."""
        later = [trial for trial in self.order.under_way() if trial.rung == 0]
        return self._history.labels + [label for trial in later if (label := trial.label)]

    def records(self) -> list[Record]:
        """Every network that was evaluated, failures included, in order."""
        return [trial.record for trial in self._trials if trial.record is not None]

    def _proposed(self, objective: Objective, target: int) -> Trial:
        """The sampler's proposal, or where that is refused a network near it."""
        history, number = self._history, self._history.proposals
        seed = (self._seed * 1_000_003 + number) % 2**32
        values = self._sampler.propose(history, objective, seed)
        allowed = allowed_network(self.space, objective, history, values, number)
        return Trial(
            number=self._journal.count,
            values=allowed,
            arch=self.space.decode(allowed),
            target=target,
            refused=None if allowed is values else values,
            notes=self._sampler.notes,
            labels=len(history.labels),
        )

    def _begun(self, trial: Trial, objective: Objective) -> Trial:
        """The trial, once it is written down and runs."""
        user_attrs, system_attrs = proposal_of(
            trial,
            self.space,
            latency_ms=objective.latency_ms(trial.arch),
            virtual_start=self.order.start_after_wait,
        )
        self._journal.propose(trial.values, user_attrs=user_attrs, system_attrs=system_attrs)
        self.order.start(trial)
        self._add(trial)
        return trial

    def _end_trials(self) -> None:
        """Let the trials end that end before the next start, as far as results are in."""
        for trial in self.order.ended():
            self._end(trial)

    def _end(self, trial: Trial) -> None:
        """Let the outcome of a trial be known."""
        self._ended.append(trial)
        if trial.rung == 0:
            self._history.end(trial)

    def _add(self, trial: Trial) -> None:
        self._trials.append(trial)
        if trial.rung == 0:
            self._history.propose(trial)

    def _replay(self) -> None:
        """Take in what the journal holds, as if it were proposed now."""
        content = self._journal.content
        refused = None
        for found in content.trials:
            if found.state is State.PRUNED:  # by an earlier version; now a part of the next trial
                refused = found.params
                continue
            ran = found.state in (State.RUNNING, State.COMPLETE) or EVALUATED in found.user_attrs
            if not ran or not is_whole(found.params, self.space):
                continue  # cut off in an earlier version, before it was proposed
            if found.whole:
                self._end_trials()
                if (start := virtual_start_of(found)) is not None:
                    self.order.wait_until(start)
                    self._end_trials()
            trial = trial_of(found, self.space, refused=refused, labels=len(self._history.labels))
            refused = None
            if trial.record is None and LATENCY not in found.user_attrs:
                self._without_latency.add(trial.number)
            self._add(trial)
            if found.whole or trial.record is None:
                self.order.start(trial)
            else:
                self._end(trial)
                self.from_before += 1
        if self.order.is_eager:
            self._end_as_finished(content.finished)

    def _end_as_finished(self, numbers: Sequence[int]) -> None:
        """Let the journal's trials end in the order of their results, where there is no time."""
        under_way = {trial.number: trial for trial in self._trials}
        for trial in self._ended:
            del under_way[trial.number]
        for number in numbers:
            if number in under_way:
                self._end(under_way.pop(number))
        for trial in under_way.values():  # the journal does not say what each knew
            trial.labels = len(self._history.labels)
