"""The loss of one step, and the average of the weights."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.step import WeightAverage, learn_labels
from bneck.proxies.training.trainer import train
from tests.proxies.training.small_net import QUICK, small_net


def test_the_loss_of_mixed_labels_with_smoothing_by_its_formula() -> None:
    """Szegedy et al. 2016: shares q of K classes become (1 - e) q + e / K."""
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], requires_grad=True)
    shares = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    loss = learn_labels(torch.nn.Identity(), logits, shares, 0, label_smoothing=0.1)
    wanted = 0.9 * shares + 0.1 / 3
    each = -(wanted * logits.detach().log_softmax(1)).sum(1)
    assert loss.item() == pytest.approx(each.mean().item())
    # The gradient of a mean over 2 images is (softmax - wanted) / 2.
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(1) - wanted) / 2)


def test_the_average_covers_buffers_and_forgets_the_start_early() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, decay=0.5)
    expected = 0.0
    for number in range(1, 21):
        network.running_mean.fill_(number)
        network.num_batches_tracked.fill_(number)
        average.prepare(number)
        average.update()
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * number
    assert average.tensors["running_mean"].item() == pytest.approx(expected)
    assert average.tensors["num_batches_tracked"].item() == 20
    average.copy_to(network)
    assert network.running_mean.item() == pytest.approx(expected)


def test_the_average_follows_weights_whose_memory_format_changes() -> None:
    network = nn.Conv2d(2, 2, 3, bias=False)
    average = WeightAverage(network, decay=0.0)
    network.to(memory_format=torch.channels_last)
    nn.init.ones_(network.weight)
    average.prepare(1)
    average.update()
    assert average.tensors["weight"].unique().tolist() == [1.0]


def test_the_first_update_of_a_training_keeps_2_of_11_parts_of_the_start(
    digits: ImageSource,
) -> None:
    """The decay of update n is (1 + n) / (10 + n) at most, counted from 1."""
    start, after, averaged = small_net(), small_net(), small_net()
    train(after, digits, replace(QUICK, steps=1, ema=None), seed=7)
    train(averaged, digits, replace(QUICK, steps=1), seed=7)
    for was, now, found in zip(
        *(one.parameters() for one in (start, after, averaged)), strict=True
    ):
        torch.testing.assert_close(found, was.lerp(now, 9 / 11))
