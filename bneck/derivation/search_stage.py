"""The search stage of a run: what it aims at, its trials, and the networks it names."""

from functools import cached_property

import numpy as np

from bneck.derivation.context import Setting
from bneck.executors import Executor
from bneck.files import write_json
from bneck.results import codec
from bneck.results.record import Record
from bneck.search import reward
from bneck.search.expected_improvement import expected_gain, sentence
from bneck.search.objectives import Aim, Aims
from bneck.search.reward import FRONT
from bneck.search.search import search
from bneck.search.selection import Winner, Winners, winner
from bneck.search.study import Study
from bneck.space import codec as networks

ALONG_THE_FRONT = 6
"""Points that our own samplers aim at in turn where the whole front is wanted."""


class Searching:
    """One search for all targets of a plan; they share its evaluations."""

    def __init__(self, setting: Setting, executor: Executor) -> None:
        self.setting = setting
        self.run = setting.run
        self.plan = setting.plan
        self._executor = executor

    @cached_property
    def aims(self) -> Aims:
        """One aim a target: from the target up to the ceiling.

        What a network below the target leaves unused, no later stage gives back.
        """
        plan, factor = self.plan, self.plan.seed_factor
        targets_ms = self.setting.targets_ms
        if plan.reward == FRONT:
            return self._aims([Aim(None, ms, ms * factor) for ms in targets_ms])
        derived = plan.reward == "soft" and plan.weight is None
        return self._aims(
            [
                Aim(
                    None if derived else reward.build(plan.reward, ms, plan.weight),
                    ms,
                    ceiling_ms=ms * factor,
                    floor_ms=ms,
                )
                for ms in targets_ms
            ]
        )

    def records(self) -> list[Record]:
        """All networks that the search evaluated."""
        plan, setting = self.plan, self.setting
        return search(
            self._study,
            setting.accuracy,
            aims=self._along_the_front() if plan.reward == FRONT else self.aims,
            evaluations=plan.evaluations,
            batch=plan.batch,
            executor=self._executor,
            progress=setting.progress,
        )

    def worth(self) -> str:
        """What one more evaluation is expected to gain for the first target, and what it costs."""
        labels = self._study.labels()
        goal = self.aims.goals(labels)[0]
        gain = expected_gain(labels, self.setting.space, goal, seed=self.plan.seed)
        return sentence(gain, self._study.records())

    def winners(self) -> tuple[Winner, ...]:
        """The network of each target, measured before it is named; searched where need be."""
        if not self.run.winners.exists():
            with self.setting.timed("search"):
                records = self.records()
                labels, measure = self._study.labels(), self.setting.device.measure
                found = tuple(
                    winner(records, self.aims, place, labels, measure)
                    for place in range(len(self.aims.aims))
                )
            for one in found if len(found) > 1 else ():
                write_json(self.run.of_target(one.target_ms), networks.to_json(one.arch))
            codec.write(self.run.winners, Winners(found))
        return codec.read(self.run.winners, Winners).networks

    @cached_property
    def _study(self) -> Study:
        plan = self.plan
        return Study(
            self.run.journal,
            self.setting.space,
            sampler=plan.sampler,
            seed=plan.seed,
            front=plan.reward == FRONT,
        )

    def _aims(self, aims: list[Aim]) -> Aims:
        model, plan = self.setting.device.model, self.plan
        return Aims(self.setting.space, model, aims, confidence=plan.confidence, seed=plan.seed)

    def _along_the_front(self) -> Aims:
        """From the fastest network up to the highest ceiling."""
        ceiling_ms = max(aim.ceiling_ms for aim in self.aims.aims)
        self.aims.check()
        points_ms = np.geomspace(self.aims.fastest_ms, ceiling_ms, ALONG_THE_FRONT)
        return self._aims([Aim(None, float(ms), ceiling_ms) for ms in points_ms])
