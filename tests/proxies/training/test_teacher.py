"""Teachers: the loss of Hinton et al. 2015, and outputs that do not depend on how one is kept."""

import json
import math
from itertools import permutations
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bneck.errors import UsageError
from bneck.proxies.data import loading
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import learn_labels
from bneck.proxies.training.teacher import SHARE, TEMPERATURE, Teacher, distillation
from bneck.proxies.training.trainer import train
from bneck.results.exports import Trained, export
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from tests.small_networks import three_blocks

ARCH = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=10)
SMALL = three_blocks(resolution_px=16, classes=10)
QUICK = Recipe(2, 32)


def test_the_loss_is_that_of_the_paper() -> None:
    student, teacher = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, -2.0]])
    p = 1 / (1 + math.exp(-4 / TEMPERATURE))  # of the first class, by the teacher
    q = 1 / (1 + math.exp(2 / TEMPERATURE))
    expected = TEMPERATURE**2 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert math.isclose(float(distillation(student, teacher)), expected, rel_tol=1e-5)
    assert float(distillation(teacher, teacher)) == 0.0


def test_a_teacher_that_agrees_leaves_the_labels_gradient() -> None:
    """Its divergence is at its minimum there."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    pixels, labels = torch.randn(5, 3, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    loss = learn_labels(network, pixels, labels, 0, label_smoothing=0.1)
    alone = network[1].weight.grad.clone()
    network.zero_grad()
    agrees = network(pixels).detach()
    taught = learn_labels(network, pixels, labels, 0, label_smoothing=0.1, teacher=lambda _: agrees)
    torch.testing.assert_close(network[1].weight.grad, (1 - SHARE) * alone, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(taught, loss / 2)


def test_a_network_and_its_onnx_file_teach_the_same(tmp_path: Path) -> None:
    """Given images as the student takes them, each brings them to its own normalisation."""
    images = loading.load("digits", resolution_px=32)
    network = torch_model.build(ARCH, seed=3).eval()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    export(Trained(ARCH, network.state_dict()), "onnx", tmp_path / "t.onnx")
    pixels = images.val.pixels(torch.arange(6))
    with torch.no_grad():
        expected = network(images.normalised_with(mean, std).normalise(pixels))
    given = images.normalise(pixels)
    kept = Teacher(ARCH, weights.to_bytes(network.state_dict()), mean, std).ready(images.info)
    file = Teacher(None, (tmp_path / "t.onnx").read_bytes(), mean, std).ready(images.info)
    scale = float(expected.abs().max())
    torch.testing.assert_close(kept(given), expected, rtol=0, atol=1e-4 * scale)
    torch.testing.assert_close(file(given), expected, rtol=0, atol=1e-4 * scale)


class Devices(TorchDispatchMode):
    """Notes the devices of all tensors that kernels are given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = tree_leaves((args, kwargs, result))
        self.seen |= {one.device.type for one in tensors if isinstance(one, torch.Tensor)}
        return result


def test_a_teacher_on_another_device_takes_nothing_from_the_cpu_in_a_step() -> None:
    """A step of a GPU that did could not be captured. Tensors on "meta" hold no numbers."""
    images = loading.load("digits", resolution_px=16)
    content = weights.to_bytes(torch_model.build(SMALL, seed=3).state_dict())
    teacher = Teacher(SMALL, content, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    logits = teacher.ready(images.info, torch.device("meta"))
    with Devices() as devices:
        assert logits(torch.empty(4, 3, 16, 16, device="meta")).shape == (4, 10)
    assert devices.seen == {"meta"}


def test_a_student_comes_nearer_to_its_teacher() -> None:
    """The teacher's divergence, not the labels', falls more than without it."""
    images = loading.load("digits", resolution_px=16).subset(seed=0, train=128, val=64)
    master = torch_model.build(ARCH, seed=3)
    train(master, images, Recipe(6, 32), seed=0)
    teacher = Teacher(ARCH, weights.to_bytes(master.state_dict()))
    pixels = images.normalise(images.val.pixels())
    told = teacher.ready(images.info)(pixels)
    apart = []
    for one in (None, teacher):
        student = torch_model.build(ARCH, seed=4)
        train(student, images, Recipe(12, 32), seed=1, teacher=one)
        with torch.no_grad():
            apart.append(float(distillation(student.eval()(pixels), told)))
    assert apart[1] < apart[0]


def test_a_checkpoint_is_continued_by_its_own_teacher_alone(tmp_path: Path) -> None:
    """Whether there was none before, or is none now, or has other weights."""
    images = loading.load("digits", resolution_px=16).subset(seed=0, train=64, val=16)
    taught, other = (
        Teacher(SMALL, weights.to_bytes(torch_model.build(SMALL, seed=seed).state_dict()))
        for seed in (3, 5)
    )
    teachers = {"none": None, "taught": taught, "other": other}
    results = {}

    def trained(name: str, checkpoint: str) -> weights.State:
        student = torch_model.build(SMALL, seed=4)
        file = tmp_path / checkpoint
        train(student, images, QUICK, seed=1, checkpoint=file, teacher=teachers[name])
        return student.state_dict()

    for name in teachers:
        results[name] = trained(name, name)
        again = trained(name, name)
        assert all(torch.equal(again[path], one) for path, one in results[name].items())
    for now, before in permutations(teachers, 2):
        with pytest.raises(UsageError, match=r"made with teacher \S+, not \S+: resume with that,"):
            trained(now, before)


def test_an_earlier_checkpoint_that_names_no_teacher_is_continued(tmp_path: Path) -> None:
    images = loading.load("digits", resolution_px=16).subset(seed=0, train=64, val=16)
    teacher = Teacher(SMALL, weights.to_bytes(torch_model.build(SMALL, seed=3).state_dict()))
    for one in (None, teacher):
        student = torch_model.build(SMALL, seed=4)
        train(student, images, QUICK, seed=1, checkpoint=tmp_path / "c", teacher=one)
        with safe_open(tmp_path / "c", "pt") as file:
            header = file.metadata()
        made_with = json.loads(header["made_with"])
        for later in ("teacher", "augmentation", "balanced"):  # what was written as by default
            made_with.pop(later, None)
        tensors = load_file(tmp_path / "c")
        save_file(tensors, tmp_path / "c", header | {"made_with": json.dumps(made_with)})
        again = torch_model.build(SMALL, seed=4)
        train(again, images, QUICK, seed=1, checkpoint=tmp_path / "c", teacher=one)
        told = student.state_dict()
        assert all(torch.equal(told[path], one) for path, one in again.state_dict().items())
        (tmp_path / "c").unlink()
