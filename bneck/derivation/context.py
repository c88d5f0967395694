"""What a run is about: its images, space, device and target, each made once and kept."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

from bneck.derivation import target
from bneck.derivation.initial_weights import normalisation_of
from bneck.derivation.plan import Plan
from bneck.derivation.target_device import TargetDevice, target_device
from bneck.derivation.training_budget import Budget, budget
from bneck.errors import UsageError
from bneck.files import read_json, write_json
from bneck.progress import Progress
from bneck.proxies import tabular
from bneck.proxies.data import loading
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.tabular import TableData
from bneck.results.networks import load_network
from bneck.results.run import Run
from bneck.search.evaluation import Evaluate
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

SHORT_TRAINING = "short-training"


class Setting:
    """A plan met with the images and the machine at hand; what must not change is in the run."""

    def __init__(self, run: Run, plan: Plan, progress: Progress) -> None:
        self.run = run
        self.plan = plan
        self.progress = progress

    @cached_property
    def images(self) -> ImageSource:
        """The images at the resolution that latency is measured at.

        Raises:
            UsageError: they are no longer the images that the run began with.
        """
        plan = self.plan
        images = loading.load(
            plan.data, resolution_px=plan.resolution_px, seed=plan.seed, progress=self.progress
        )
        self.take(images)
        return images

    def take(self, images: ImageSource) -> None:
        """Use images that are loaded already, as another stage of the same plan has them.

        They are normalised as the run's weights are: by what the run kept when it began, which is
        what weights that it began with were trained with, else the statistics of the images.

        Raises:
            UsageError: they are no longer the images that the run began with.
        """
        kept = read_json(self.run.images) if self.run.images.exists() else {}
        normalisation = None
        if "mean" in kept:
            normalisation = kept["mean"], kept["std"]
        elif self.plan.weights is not None:
            normalisation = normalisation_of(Path(self.plan.weights))
        if normalisation is not None:
            images = images.normalised_with(*normalisation)
        self._note(images.info.to_json())
        self.images = images

    @cached_property
    def table(self) -> TableData | None:
        """The table that stands in place of images, if the plan's data is one."""
        plan = self.plan
        found = tabular.of(plan.data, plan.space, plan.resolution_px)
        if found is not None:
            self._note(found.describe())
        return found

    def _note(self, described: dict[str, Any]) -> None:
        """Keep what the data is, or raise UsageError where it is no longer what it was."""
        if not self.run.images.exists():
            write_json(self.run.images, described)
        # Earlier versions noted less.
        elif (before := read_json(self.run.images)) != {n: described.get(n) for n in before}:
            raise UsageError(
                f"{self.plan.data} is no longer what this run began with: fingerprint "
                f"{before['fingerprint']} then, {described['fingerprint']} now; use another --out"
            )

    @cached_property
    def space(self) -> Space:
        """The space at the images' resolution and class count."""
        return spaces.build(self.plan.space or "", **self.size)

    @cached_property
    def budget(self) -> Budget:
        """How long networks train."""
        return budget(self.plan, self.images.info)

    @cached_property
    def accuracy(self) -> Callable[[Architecture], float]:
        """What the search asks for a network's accuracy: the table, or a proxy on the images."""
        if self.table is not None:
            self.progress("table", 1, 1, self.table.statement())
            return self.table
        word = self.plan.proxy or SHORT_TRAINING
        return Evaluate(self.budget.signals, word, self.budget.search, self.plan.seed)

    @cached_property
    def device(self) -> TargetDevice:
        """The machine that latency is meant for, calibrated on the plan's space."""
        plan = self.plan
        with self.timed("calibration"):
            return target_device(
                self.run.latency,
                self.space,
                runtime=plan.runtime,
                threads=plan.threads,
                calibrated=Path(plan.latency) if plan.latency else None,
                minutes=plan.calibration_minutes,
                seed=plan.seed,
                progress=self.progress,
            )

    @cached_property
    def targets_ms(self) -> tuple[float, ...]:
        """The plan's targets; relative ones are measured once and kept, each network once."""
        if not self.run.target.exists():
            measured_ms = cache(self._measured_ms)
            found = [target.resolve(text, measured_ms) for text in self.plan.aimed_at]
            keep_targets(self.run, found)
        kept = read_json(self.run.target)
        return tuple(kept.get("targets_ms", [kept["target_ms"]]))

    @property
    def target_ms(self) -> float:
        """The plan's target, the first of several."""
        return self.targets_ms[0]

    def for_target(self, run: Run, target: str, target_ms: float) -> Self:
        """The same images and the same device for one of several targets."""
        one = type(self)(run, replace(self.plan, target=target, targets=None), self.progress)
        one.images, one.device, one.targets_ms = self.images, self.device, (target_ms,)
        return one

    def _measured_ms(self, network: str, side_px: int | None) -> float:
        _, arch = load_network(network, **self.size)
        return self.device.measure(arch.at(resolution_px=side_px)).ms

    @property
    def size(self) -> dict[str, int]:
        """Input side and class count, as networks and spaces take them."""
        if self.table is None:
            info = self.images.info
            return {"resolution_px": info.resolution_px, "classes": info.classes}
        described = read_json(self.run.images)
        side_px, classes = described["resolution_px"], len(described["class_names"])
        return {"resolution_px": side_px, "classes": classes}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add this sitting's time to the stage's, also when it ends early.

        A stage that another one runs, as the search does the calibration, has its time alone.
        """
        begun, noted = time.monotonic(), sum(self._seconds().values())
        try:
            yield
        finally:
            spent = self._seconds()
            others = sum(spent.values()) - noted
            spent[stage] = spent.get(stage, 0.0) + time.monotonic() - begun - others
            write_json(self.run.seconds, spent)

    def _seconds(self) -> dict[str, float]:
        """What each stage has taken so far, in all sittings."""
        return read_json(self.run.seconds) if self.run.seconds.exists() else {}


def keep_targets(run: Run, targets_ms: Sequence[float]) -> None:
    """Write down what a run aims at, the first target being the run's own."""
    write_json(run.target, {"target_ms": targets_ms[0], "targets_ms": list(targets_ms)})
