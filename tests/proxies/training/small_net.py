"""A network of two convolutions, and a recipe of nine steps."""

import torch
from torch import nn

from bneck.proxies.training.recipe import Recipe

QUICK = Recipe(steps=9, batch_size=32, ema=0.9)


def small_net(seed: int = 0, classes: int = 10) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(32 * 16, classes),
        )
