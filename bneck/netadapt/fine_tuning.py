"""The fine-tunings of one NetAdapt step: the task that workers do, and rounds of it."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from bneck import records
from bneck.executors import Executor, Failed
from bneck.machine import ONE_THREAD, Compute
from bneck.netadapt.importance import taylor
from bneck.netadapt.selection import Losses
from bneck.progress import Progress
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.quantities import Accuracy
from bneck.results.record import Proposal
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights

LOSSES = "losses"
"""Name of the one tensor in a file of losses."""
_NEXT_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy on the validation images; cross-entropy in nats."""

    accuracy: Accuracy
    loss: float


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A proposal to fine-tune, where its weights go, and where they come from if not inherited.

    ``losses`` is where the cross-entropy of each validation image goes.
    """

    arch: Architecture
    weights: Path
    losses: Path
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class FineTune:
    """A few steps of training from the parent's weights, truncated (NetAdapt, section 3.2).

    ``importance`` names what decides which channels stay, one of the plan's ``IMPORTANCES``.
    """

    images: WorkerImages
    parent: Architecture
    parent_weights: Path
    recipe: Recipe
    seed: int
    importance: str = "l2"
    compute: Compute = ONE_THREAD

    def load(self) -> None:
        """Have the images in memory, before any fine-tuning is timed."""
        for_proxies(self.images)

    def __call__(self, proposal: Narrowed) -> Score:
        """Raises ProxyFailed where the training diverges."""
        images = for_proxies(self.images)
        network = torch_model.Network(proposal.arch)
        if proposal.start is None:
            network.load_state_dict(self.inherited(proposal.arch))
        else:
            network.load_state_dict(weights.load(proposal.start, proposal.arch))
        result = train(network, images, self.recipe, seed=self.seed, compute=self.compute)
        weights.save(proposal.weights, network.state_dict())
        weights.save(proposal.losses, {LOSSES: result.losses})
        return Score(result.accuracy, result.loss)

    def inherited(self, arch: Architecture) -> weights.State:
        """The parent's weights with the most important channels, as many as ``arch`` has."""
        state = weights.load(self.parent_weights, self.parent)
        importance = None
        if self.importance == "taylor":
            importance = _taylor(self.parent, self.parent_weights, self.images, self.compute)
        return weights.inherit(self.parent, state, arch, seed=self.seed, importance=importance)


@lru_cache(maxsize=1)
def _taylor(
    parent: Architecture, parent_weights: Path, images: WorkerImages, compute: Compute
) -> weights.State:
    """Found once for all proposals of a step: each step's weights have a file of their own."""
    state = weights.load(parent_weights, parent)
    return taylor(parent, state, for_proxies(images), seed=images.seed, compute=compute)


class Tuning:
    """One step's fine-tunings, each kept as it ends, so that the step can go on."""

    def __init__(self, task: FineTune, proposals: tuple[Proposal, ...], folder: Path) -> None:
        self._task, self._folder = task, folder
        self._names = {proposal.move: f"{i:02d}" for i, proposal in enumerate(proposals)}
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "proposals.jsonl"
        self._done = {
            (proposal.move, proposal.rounds): proposal
            for proposal in records.read_lines(self._journal, Proposal)
            if proposal.loss is not None or proposal.error is not None  # older ones have no loss
        }

    def round(
        self,
        number: int,
        proposals: Iterable[Proposal],
        executor: Executor,
        where: str,
        progress: Progress,
    ) -> tuple[Proposal, ...]:
        """The proposals with their accuracy after T steps more; the second goes on from the first.

        One that fails in the second round keeps the outcome of the first.
        """
        wanted = {proposal.move: replace(proposal, rounds=number) for proposal in proposals}
        waiting = {
            Narrowed(
                proposal.arch,
                self.weights(proposal),
                self._losses(proposal),
                self.weights(replace(proposal, rounds=1)) if number > 1 else None,
            ): proposal
            for proposal in wanted.values()
            if (proposal.move, number) not in self._done
        }
        task = replace(self._task, seed=self._task.seed + (number - 1) * _NEXT_SEED)
        finished = len(wanted) - len(waiting)
        for item, outcome in executor.map_unordered(task, list(waiting)):
            proposal = _with_outcome(waiting[item], outcome)
            records.append(self._journal, proposal)
            self._done[proposal.move, number] = proposal
            finished += 1
            tie = ", ties settled" if number > 1 else ""
            progress(f"{where}{tie}", finished, len(wanted), proposal.move)
        outcomes = [self._done[move, number] for move in wanted]
        return tuple(self._done[one.move, 1] if one.error is not None else one for one in outcomes)

    def weights(self, proposal: Proposal) -> Path:
        """Where a proposal's fine-tuned weights are."""
        return self._folder / f"{self._names[proposal.move]}-{proposal.rounds}.safetensors"

    def losses(self, proposal: Proposal) -> Losses:
        """(validation images,) cross-entropies that a proposal ended with, in nats."""
        return np.asarray(load_file(self._losses(proposal))[LOSSES], np.float64)

    def _losses(self, proposal: Proposal) -> Path:
        return self.weights(proposal).with_suffix(".losses.safetensors")

    def clear(self) -> None:
        """Remove all that was kept."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _with_outcome(proposal: Proposal, outcome: Score | Failed) -> Proposal:
    if isinstance(outcome, Failed):
        return replace(proposal, accuracy=None, error=outcome.reason)
    return replace(proposal, accuracy=outcome.accuracy, loss=outcome.loss)
