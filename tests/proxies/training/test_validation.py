"""Accuracy and loss on the validation images, against closed forms."""

import math

import pytest
import torch
from torch import Tensor, nn

from bneck.errors import ProxyFailed
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.validation import evaluate


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def test_evaluation_against_closed_forms(digits: ImageSource) -> None:
    network = Constant([1.0] + [0.0] * 9).train()
    found = evaluate(network, digits)
    assert found.losses.shape == digits.val.labels.shape
    zeros = int((digits.val.labels == 0).sum()) / 360
    assert found.accuracy.value == pytest.approx(zeros)
    assert [mark == "1" for mark in found.right] == (digits.val.labels == 0).tolist()
    assert found.accuracy.stderr == pytest.approx(math.sqrt(zeros * (1 - zeros) / 360))
    assert found.loss == pytest.approx(math.log(math.e + 9) - zeros)
    assert network.training
    evaluate(network.eval(), digits)
    assert not network.training


def test_a_network_of_nans_cannot_be_evaluated(digits: ImageSource) -> None:
    with pytest.raises(ProxyFailed, match="validation loss on digits is nan"):
        evaluate(Constant([math.nan] * 10), digits)
