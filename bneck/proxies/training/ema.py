"""Averaging weights over a training."""

import torch
from torch import nn


class WeightAverage:
    """An exponential average of a network's weights and buffers.

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
        self._counters = [name for name in self._live if name not in floats]

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Take in the network's present weights; ``number`` counts from 1."""
        decay = min(self.decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(*self._floats, 1 - decay)
        for name in self._counters:
            self.tensors[name].copy_(self._live[name])

    def copy_to(self, network: nn.Module) -> None:
        network.load_state_dict(self.tensors)
