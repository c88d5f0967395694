"""Accuracy after a short training."""

from dataclasses import replace

from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.short_training import ShortTraining
from bneck.space import presets
from tests.proxies.training.small_net import QUICK


def test_short_training_scores_an_architecture(digits: ImageSource) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=1000)
    proxy = ShortTraining(digits.for_search(0), replace(QUICK, steps=3))
    score = proxy(arch, seed=1)
    assert 0 <= score <= 1
    assert proxy(arch, seed=1) == score
    assert proxy.made_with == {"device": "cpu", "precision": "fp32"}
