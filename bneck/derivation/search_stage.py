"""The search stage of a run: what it aims at, its trials, and the networks it names."""

from functools import cached_property

import numpy as np

from bneck.derivation.context import Setting
from bneck.executors import Executor
from bneck.files import write_json
from bneck.results import codec
from bneck.results.record import Record
from bneck.search import reward
from bneck.search.expected_improvement import describe_gain, expected_gain
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import FRONT
from bneck.search.search import search
from bneck.search.selection import SearchResult, SelectedNetwork, select_network
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
    def aims(self) -> Objectives:
        """One aim a target: from the target up to the ceiling.

        What a network below the target leaves unused, no later stage gives back.
        """
        plan, factor = self.plan, self.plan.seed_factor
        targets_ms = self.setting.targets_ms
        if plan.reward == FRONT:
            return self._aims([Target(None, ms, ms * factor) for ms in targets_ms])
        derived = plan.reward == "soft" and plan.reward_exponent is None
        return self._aims(
            [
                Target(
                    None if derived else reward.build(plan.reward, ms, plan.reward_exponent),
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
            objectives=self._along_the_front() if plan.reward == FRONT else self.aims,
            evaluations=plan.evaluations,
            batch=plan.batch,
            executor=self._executor,
            progress=setting.progress,
        )

    def worth(self) -> str:
        """What one more evaluation is expected to gain for the first target, and what it costs."""
        labels = self._study.labels()
        objective = self.aims.at(labels)[0]
        gain = expected_gain(labels, self.setting.space, objective, seed=self.plan.seed)
        return describe_gain(gain, self._study.records())

    def winners(self) -> tuple[SelectedNetwork, ...]:
        """The network of each target, measured before it is named; searched where need be."""
        if not self.run.winners.exists():
            with self.setting.timed("search"):
                records = self.records()
                labels, measure = self._study.labels(), self.setting.device.measure
                found = tuple(
                    select_network(records, self.aims, place, labels, measure)
                    for place in range(len(self.aims.targets))
                )
            for one in found if len(found) > 1 else ():
                write_json(self.run.of_target(one.target_ms), networks.to_json(one.arch))
            codec.write(self.run.winners, SearchResult(found))
        return codec.read(self.run.winners, SearchResult).networks

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

    def _aims(self, targets: list[Target]) -> Objectives:
        model, plan = self.setting.device.model, self.plan
        return Objectives(
            self.setting.space, model, targets, confidence=plan.confidence, seed=plan.seed
        )

    def _along_the_front(self) -> Objectives:
        """From the fastest network up to the highest ceiling."""
        ceiling_ms = max(aim.ceiling_ms for aim in self.aims.targets)
        self.aims.check()
        points_ms = np.geomspace(self.aims.fastest_ms, ceiling_ms, ALONG_THE_FRONT)
        return self._aims([Target(None, float(ms), ceiling_ms) for ms in points_ms])
