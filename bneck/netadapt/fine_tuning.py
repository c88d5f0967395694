"""The short-term fine-tunings of one NetAdapt step: the task that workers do, and rounds of it."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from bneck import records
from bneck.errors import cannot
from bneck.executors import Executor, Failed
from bneck.files import is_written, write_whole
from bneck.machine import ONE_THREAD, Compute
from bneck.netadapt.importance import taylor
from bneck.netadapt.selection import Losses
from bneck.progress import Progress, silent
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.quantities import Accuracy
from bneck.results.record import Proposal
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends import inheritance, torch_model, weights

_NEXT_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A network to fine-tune; ``start`` are its weights, None inherits those of the step's start.

    Weights travel as the bytes of a safetensors file: a worker may be any machine.
    """

    arch: Architecture
    start: bytes | None = None


@dataclass(frozen=True, slots=True)
class FineTuned:
    """Result of a fine-tuning.

    Attributes:
        accuracy: on the validation images.
        losses: cross-entropy of each validation image, in nats; ``loss`` is their mean.
        right: the ``marks`` of these images.
        weights: the bytes of a safetensors file.
    """

    accuracy: Accuracy
    loss: float
    losses: tuple[float, ...]
    right: str
    weights: bytes


@dataclass(frozen=True, slots=True)
class FineTune:
    """A few steps of training from the parent's weights, truncated (NetAdapt, section 3.2).

    ``importance`` names what decides which channels stay, one of the plan's ``IMPORTANCES``.
    """

    images: WorkerImages
    parent: Architecture
    parent_weights: bytes
    recipe: Recipe
    seed: int
    importance: str = "l2"
    compute: Compute = ONE_THREAD

    def load(self) -> None:
        """Have the images in memory, before any fine-tuning is timed."""
        for_proxies(self.images)

    def __call__(self, narrowed: Narrowed) -> FineTuned:
        """Train the network a little. Raises ProxyFailed where the training diverges."""
        arch = narrowed.arch
        network = torch_model.Network(arch)
        if narrowed.start is None:
            network.load_state_dict(self.inherited(arch))
        else:
            network.load_state_dict(weights.from_bytes(narrowed.start, arch))
        result = train(
            network, for_proxies(self.images), self.recipe, seed=self.seed, compute=self.compute
        )
        return FineTuned(
            result.accuracy,
            result.loss,
            tuple(result.losses.tolist()),
            result.right,
            weights.to_bytes(network.state_dict()),
        )

    def inherited(self, arch: Architecture) -> weights.State:
        """The parent's weights with the most important channels, as many as ``arch`` has."""
        state = weights.from_bytes(self.parent_weights, self.parent)
        importance = None
        if self.importance == "taylor":
            importance = _taylor(self.parent, self.parent_weights, self.images, self.compute)
        return inheritance.inherit(self.parent, state, arch, seed=self.seed, importance=importance)


@lru_cache(maxsize=1)
def _taylor(
    parent: Architecture, parent_weights: bytes, images: WorkerImages, compute: Compute
) -> weights.State:
    """Importance of channels, found once for all proposals of a step that this process tunes."""
    state = weights.from_bytes(parent_weights, parent)
    return taylor(parent, state, for_proxies(images), seed=images.seed, compute=compute)


@dataclass(frozen=True, slots=True)
class TunedProposal:
    """A proposal that was fine-tuned, its cross-entropy on each validation image, and ``marks``."""

    proposal: Proposal
    losses: tuple[float, ...]
    right: str = ""


class StepTrainings:
    """One step's fine-tunings, each kept as it ends, so that the step can be resumed.

    Weights are written before the line that names them, all by this process. Their files are named
    by the networks: a step that is resumed may have other proposals, as it has another goal.
    """

    def __init__(
        self, task: FineTune, folder: Path, executor: Executor, progress: Progress = silent
    ) -> None:
        """Read what was fine-tuned before an interruption.

        Args:
            task: fine-tunes one network.
            folder: where results and weights are kept; made where there is none.
            executor: where networks are fine-tuned.
            progress: told about every proposal that is done.

        Raises:
            BneckError: the folder cannot be written.
        """
        self._task, self._folder = task, folder
        self._executor, self._progress = executor, progress
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot("write", folder, error) from error
        self._journal = folder / "fine-tuned.jsonl"
        self._done = {
            (kept.proposal.move, kept.proposal.rounds): kept
            for kept in records.read_lines(self._journal, TunedProposal)
            if kept.proposal.error is not None or is_written(self.weights(kept.proposal))
        }

    def round(self, number: int, proposals: Iterable[Proposal], where: str) -> tuple[Proposal, ...]:
        """Fine-tune the proposals by T steps more; the second round starts from the first's end.

        One that fails in the second round keeps the outcome of the first.

        Args:
            number: 1, or 2 to settle ties.
            proposals: those of the step that take part in this round.
            where: what ``progress`` calls the work.
        """
        wanted = {proposal.move: replace(proposal, rounds=number) for proposal in proposals}
        waiting = {
            Narrowed(proposal.arch, self._start(proposal)): proposal
            for proposal in wanted.values()
            if (proposal.move, number) not in self._done
        }
        task = replace(self._task, seed=self._task.seed + (number - 1) * _NEXT_SEED)
        finished = len(wanted) - len(waiting)
        what = f"{where}, ties settled" if number > 1 else where
        if waiting:
            self._progress(what, finished, len(wanted))
        for narrowed, outcome in self._executor.map_unordered(task, list(waiting)):
            proposal = waiting[narrowed]
            self._keep(proposal, outcome)
            finished += 1
            self._progress(what, finished, len(wanted), proposal.move)
        outcomes = [self._done[move, number].proposal for move in wanted]
        return tuple(
            self._done[one.move, 1].proposal if one.error is not None else one for one in outcomes
        )

    def weights(self, proposal: Proposal) -> Path:
        """Return the file of a proposal's fine-tuned weights."""
        return self._folder / f"{codec.key(proposal.arch)}-{proposal.rounds}.safetensors"

    def losses(self, proposal: Proposal) -> Losses:
        """(validation images,) cross-entropies that a proposal ended with, in nats."""
        return np.asarray(self._done[proposal.move, proposal.rounds].losses, np.float64)

    def right(self, proposal: Proposal) -> str:
        """Return the ``marks`` of the validation images; "" where the training failed."""
        return self._done[proposal.move, proposal.rounds].right

    def clear(self) -> None:
        """Remove all that was kept."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, proposal: Proposal) -> bytes | None:
        if proposal.rounds == 1:
            return None
        first = self.weights(replace(proposal, rounds=1))
        return weights.to_bytes(weights.load(first, proposal.arch))

    def _keep(self, proposal: Proposal, outcome: FineTuned | Failed) -> None:
        if isinstance(outcome, Failed):
            kept = TunedProposal(replace(proposal, accuracy=None, error=outcome.reason), ())
        else:
            write_whole(self.weights(proposal), outcome.weights)
            tuned = replace(proposal, accuracy=outcome.accuracy, loss=outcome.loss)
            kept = TunedProposal(tuned, outcome.losses, outcome.right)
        records.append(self._journal, kept)
        self._done[proposal.move, proposal.rounds] = kept
