"""Where a run's work runs. It decides how long a run takes, not what comes out of it."""

import platform
from dataclasses import dataclass

from bneck import executors, live
from bneck.derivation.option import EXECUTION, option
from bneck.errors import UsageError
from bneck.executors import Executor
from bneck.executors.gpus import check_together, one_each
from bneck.executors.reserved import Reserved
from bneck.latency.timing import MAX_MINUTES
from bneck.space.checks import check_between, check_range

MAX_GPUS = 1024
IMPORTED = ("bneck.search.evaluation", "bneck.proxies.training.trainer")
"""Modules that all trainings import."""


@dataclass(frozen=True, slots=True)
class Execution:
    """The workers that networks are scored and trained on."""

    workers: int | None = option(
        None,
        "Evaluations at once, one thread each.",
        EXECUTION,
        unset="all cores, but four for each GPU at most",
    )
    ray: str | None = option(
        None,
        "Evaluate on Ray: auto (the cluster of this machine), ray://HOST:PORT or local.",
        EXECUTION,
        unset="no Ray",
    )
    gpus_per_trial: float | None = option(
        None,
        "With --ray: GPUs, or a share of one (0.25), reserved for each evaluation; `--device auto` "
        "there needs them to find one, as does a proxy of your own that uses GPUs.",
        EXECUTION,
        unset="1 with `--device cuda`, else none",
    )
    cpus_per_trial: float = option(
        1.0, "With --ray: CPUs, or a share of one, reserved for each evaluation.", EXECUTION
    )
    time_limit_s: float | None = option(
        None, "Seconds after which an evaluation fails.", EXECUTION, unset="none"
    )
    gpus: int = option(
        0,
        "GPUs of this machine (with --ray, of the cluster) that train each final network together; "
        "with `--device cpu`, processes. 0 trains each network on one.",
        EXECUTION,
    )
    wait_quiet: float = option(
        0.0,
        "Minutes to wait, at most, for the target device to become quiet before each measurement.",
        EXECUTION,
    )

    def check(self, device: str = "cpu") -> None:
        """Raise UsageError for what cannot be on a ``device``, before anything is started."""
        reserved = self._reserved(device)
        executors.check(self.workers, self.ray, reserved, self.time_limit_s)
        if self.ray is not None:
            reserved.check_device(device)
        check_range("gpus", self.gpus, 0, MAX_GPUS)
        check_between("wait-quiet", self.wait_quiet, 0, MAX_MINUTES)
        if self.gpus:
            check_together(device, self.gpus)
        if self.gpus and self.ray is None:  # a cluster's are counted when it is joined
            one_each(device, self.gpus)

    def device_here(self, device: str, *, trains: bool = True) -> str:
        """Return what this machine itself trains on where ``device`` is asked for.

        With Ray, where this machine lacks that GPU, the answer is "auto": the cluster may have it.

        Args:
            device: as the plan has it.
            trains: whether the command trains more than what the workers score.

        Raises:
            UsageError: without Ray there is no such GPU, or other programs have filled the one
                that this machine will train on.
        """
        if device == "cpu":
            return device
        from bneck.proxies.training.device import check_room, torch_device

        try:
            found = torch_device(device)
        except UsageError:
            if self.ray is None:
                raise
            live.warn(
                f"no {device} on {platform.node()}: trainings on this machine, such as those of "
                "final networks without --gpus, use --device auto"
            )
            return "auto"
        if trains or self.ray is None:
            check_room(found)
        return device

    def open(self, device: str = "cpu") -> Executor:
        """Open what scores networks; ``device`` is what they are trained on."""
        return executors.open_executor(
            self.workers,
            ray=self.ray,
            reserved=self._reserved(device),
            time_limit_s=self.time_limit_s,
            device=device,
            imported=IMPORTED,
            together=self.gpus,
        )

    def open_trainer(self, scorer: Executor, device: str, here: str) -> Executor:
        """Open what runs long trainings, on this machine unless several workers of a cluster share
        each; it may be ``scorer`` itself.

        Args:
            scorer: what scores networks.
            device: what trainings are asked to run on.
            here: what those of this machine run on.

        Raises:
            UsageError: more GPUs than this machine has, or a device that is one of them.
        """
        if self.gpus:
            return executors.open_together(self.gpus, device, ray=self.ray, imported=IMPORTED)
        if self.ray is None and self.time_limit_s is None:
            return scorer
        workers = self.workers if self.ray is None else None
        return executors.open_executor(workers, device=here, imported=IMPORTED)

    def _reserved(self, device: str) -> Reserved:
        """What Ray keeps for each evaluation: a GPU that is asked for by name need not be twice."""
        gpus = self.gpus_per_trial
        if gpus is None:
            gpus = 1.0 if self.ray is not None and device.startswith("cuda") else 0.0
        return Reserved(self.cpus_per_trial, gpus)
