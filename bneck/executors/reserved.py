"""What Ray reserves for each evaluation: CPUs, and GPUs or a share of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, inf

from bneck.errors import UsageError
from bneck.text import number_of

LEAST = 0.01
"""Smallest share of a CPU or GPU."""
LEFT_OVER = 0.02
"""Part of a CPU or GPU that shares may leave unused, since thirds are written as 0.33."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Reserved:
    """CPUs and GPUs of one evaluation: whole ones, or a share that divides one of them.

    Raises:
        UsageError: another share, which would leave a part of each CPU or GPU unused.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        _check("cpus-per-trial", self.cpus, LEAST)
        _check("gpus-per-trial", self.gpus, 0.0)

    def fit(self, cpus: float, gpus: float) -> int:
        """Return how many evaluations fit on a machine with these CPUs and GPUs."""
        return floor(min(cpus / self.cpus, gpus / self.gpus if self.gpus else inf) + _ROUNDING)

    def check_device(self, device: str) -> None:
        """Raise UsageError for a device that no evaluation can see among the GPUs reserved for it.

        Args:
            device: what the evaluation trains on.
        """
        if not device.startswith("cuda"):
            return
        if not self.gpus:
            raise UsageError(
                f"--device {device} with --ray needs --gpus-per-trial above 0: 1, or a share of "
                "one GPU such as 0.25"
            )
        if int(device.partition(":")[2] or 0) >= max(1, self.gpus):
            raise UsageError(
                f"--device {device} with --ray: an evaluation sees only the GPUs that Ray reserves "
                "for it, numbered from 0; use --device cuda"
            )

    def check_nodes(self, nodes: Sequence[Mapping[str, float]], device: str) -> None:
        """Check that a node of a cluster has what an evaluation needs.

        Args:
            nodes: what each node has, as numbers of "CPU" and "GPU".
            device: what the evaluation trains on.

        Raises:
            UsageError: none has so many CPUs or GPUs, or any GPU where the device is one.
        """
        cpus, gpus = ([node.get(name, 0) for node in nodes] for name in ("CPU", "GPU"))
        if device.startswith("cuda") and not any(gpus):
            raise UsageError(
                f"--device {device} needs a GPU, but the cluster has none: "
                f"{number_of(len(nodes), 'node')} with {number_of(round(sum(cpus)), 'CPU')}"
            )
        for name, share, found in (("cpus", self.cpus, cpus), ("gpus", self.gpus, gpus)):
            if share > (most := max(found, default=0)):
                raise UsageError(
                    f"{name}-per-trial is {share:g}, but no node of the cluster has more than "
                    f"{most:g}"
                )


def _check(name: str, share: float, low: float) -> None:
    if not low <= share < inf:
        raise UsageError(f"{name} must be {low:g} or more, got {share:g}")
    if share > 1 and share != floor(share):
        raise UsageError(f"{name} above 1 must be a whole number, got {share:g}")
    if 0 < share < 1 and 1 - floor(1 / share + _ROUNDING) * share > LEFT_OVER:
        raise UsageError(f"{name} below 1 must divide 1, as 0.5, 0.33 or 0.25 do; got {share:g}")


ONE_CPU = Reserved()
