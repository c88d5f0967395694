"""One step of a training: forward, loss, backward, optimiser and averaged weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed, first_line
from bneck.proxies.data.batches import seeded
from bneck.proxies.training.device import give_back
from bneck.proxies.training.distributed import processes
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.teacher import SHARE, Logits, distillation
from bneck.text import number_of

Backpropagate = Callable[[nn.Module, Tensor, Tensor, int], Tensor]
"""(network, pixels, labels, step) -> the batch's mean loss; leaves gradients in the parameters."""


def learn_labels(
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    step: int,
    *,
    label_smoothing: float,
    bf16: bool = False,
    teacher: Logits | None = None,
) -> Tensor:
    """Cross-entropy with the labels, and with a teacher's outputs: the usual ``Backpropagate``.

    Args:
        network: (B, 3, H, W) -> (B, classes) logits.
        pixels: (B, 3, H, W).
        labels: int64 (B,), or shares of the classes (B, classes).
        step: not used.
        label_smoothing: share of the target that is spread over all classes.
        bf16: compute what can be in bfloat16 (autocast).
        teacher: gives logits of the same pixels, which are learnt too.
    """
    if bf16:
        with torch.autocast(pixels.device.type, torch.bfloat16, cache_enabled=False):
            logits = network(pixels).float()
    else:
        logits = network(pixels)  # (B, classes)
    loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)  # ()
    if teacher is not None:
        loss = (1 - SHARE) * loss + SHARE * distillation(logits, teacher(pixels))
    loss.backward()
    return loss.detach()


class TrainingStep:
    """A step of the training, called with each batch.

    All that changes from step to step is set by ``prepare``, so that a GPU can capture the call
    once and replay it. Where memory runs out, the batch is taken in smaller pieces from there on.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: "WeightAverage | None",
        backpropagate: Backpropagate,
    ) -> None:
        """Begin with whole batches.

        Args:
            network: the module to train, on its device.
            optimizer: over its parameters.
            average: updated after each step; None for none.
            backpropagate: forward and backward pass of a batch.
        """
        self.network, self.optimizer, self.average = network, optimizer, average
        self.backpropagate = backpropagate
        self.pieces = 1

    def prepare(self, step: int, recipe: Recipe, seed: int) -> None:
        """Set learning rate, averaging and random state for a step.

        Args:
            step: 0 to ``recipe.steps - 1``.
            recipe: gives the learning rate.
            seed: decides, with the step, the random state.
        """
        rate = recipe.learning_rate_at(step)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # a captured step reads it there
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if self.average is not None:
            self.average.prepare(step + 1)
        draw = seeded(seed, 2, step)
        torch.default_generator.set_state(draw.get_state())
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed(draw.initial_seed())

    def __call__(self, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        """Train on (B, 3, H, W) pixels and (B,) labels; return the loss before the step."""
        self.optimizer.zero_grad()
        loss = self._loss(pixels, labels, step)  # ()
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return loss

    def _loss(self, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        """Backpropagate a batch, in as many pieces as memory asks for.

        Raises:
            ProxyFailed: there is no room for pieces of two images, or for the whole slice of one
                of several processes, which must work in step.
        """
        try:
            if self.pieces == 1:
                return self.backpropagate(self.network, pixels, labels, step)
            return self._loss_in_pieces(pixels, labels, step)
        except torch.OutOfMemoryError as error:
            if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
                raise
            if len(pixels) < 4 * self.pieces or processes() > 1:  # the others would wait for ever
                at_a_time = number_of(len(pixels) // self.pieces, "image")
                raise ProxyFailed(
                    f"out of memory with {at_a_time} at a time: {first_line(error)}"
                ) from error
        self.pieces *= 2
        self.optimizer.zero_grad()
        give_back()
        return self._loss(pixels, labels, step)

    def _loss_in_pieces(self, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        """The batch's mean loss and gradients, each piece weighted by its number of images."""
        loss, seen = pixels.new_zeros((), dtype=torch.float32), 0
        for piece in zip(
            pixels.tensor_split(self.pieces), labels.tensor_split(self.pieces), strict=True
        ):
            size = len(piece[0])
            self._scale_gradients(seen / size)  # what is there is the mean over ``seen`` images
            loss = loss + size * self.backpropagate(self.network, *piece, step)
            seen += size
            self._scale_gradients(size / seen)
        return loss / seen

    def _scale_gradients(self, factor: float) -> None:
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if gradients and factor != 1:
            torch._foreach_mul_(gradients, factor)


class WeightAverage:
    """An exponential moving average of a network's weights and buffers (EMA).

    The decay of update n is ``min(decay, (1 + n) / (10 + n))``, so that the first, random weights
    are forgotten early.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        # The parameters themselves: detached from them, a tensor would be left behind when the
        # network changes its memory format.
        self._live = network.state_dict(keep_vars=True)
        self.tensors = {name: t.detach().clone() for name, t in self._live.items()}
        floats = [name for name, t in self._live.items() if t.is_floating_point()]
        self._floats = [self.tensors[n] for n in floats], [self._live[n] for n in floats]
        counters = [name for name in self._live if name not in floats]
        self._counters = [self.tensors[n] for n in counters], [self._live[n] for n in counters]
        # Share of the present weights in the next update; a captured step reads it on the GPU.
        gpu = next((t.device for t in self.tensors.values() if t.is_cuda), None)
        self._share: float | Tensor = 0.0 if gpu is None else torch.zeros((), device=gpu)

    def prepare(self, number: int) -> None:
        """Set the decay of update ``number``, counted from 1."""
        share = 1 - min(self.decay, (1 + number) / (10 + number))
        if isinstance(self._share, Tensor):
            self._share.fill_(share)
        else:
            self._share = share

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's present weights."""
        averages, live = self._floats
        if isinstance(self._share, Tensor):
            ways = torch._foreach_sub(live, averages)
            torch._foreach_mul_(ways, self._share)
            torch._foreach_add_(averages, ways)
        else:
            torch._foreach_lerp_(averages, live, self._share)
        if self._counters[0]:
            torch._foreach_copy_(*self._counters)

    def copy_to(self, network: nn.Module) -> None:
        """Replace the network's weights and buffers by their averages."""
        network.load_state_dict(self.tensors)
