"""What a GPU must show where there is one. A warning, such as of a failed capture, is an error."""

import gc
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bneck.machine import GPU_SHARE, Compute
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.squares_on_device import ReadAhead
from bneck.proxies.training.cuda import WARM_UP, CapturedStep, convolution_paths
from bneck.proxies.training.device import computing
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import TrainingStep, WeightAverage, learn_labels
from bneck.proxies.training.teacher import Teacher
from bneck.proxies.training.trainer import train
from bneck.space import presets
from bneck.space.backends import weights
from bneck.space.backends.torch_model import build

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = Compute("cuda", threads=1)
RECIPE = Recipe(steps=30, batch_size=64)


def small() -> nn.Module:
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    return build(arch).to(memory_format=torch.channels_last)


def noise(count: int, px: int) -> ImageSource:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, px, px), generator=draw, dtype=torch.uint8)
    labels = torch.arange(count) % 10
    return in_memory("noise", [*"0123456789"], (pixels, labels), (pixels[:20], labels[:20]))


def taught_by() -> Teacher:
    arch = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    content = weights.to_bytes(build(arch, seed=3).state_dict())
    return Teacher(arch, content, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def losses(
    images: ImageSource,
    device: torch.device,
    precision: str,
    teacher: Teacher | None = None,
    *,
    captured: bool,
) -> list[float]:
    network = small().to(device).train()
    learnt = None if teacher is None else teacher.ready(images.info, device)
    bf16 = precision == "bf16"
    learn = partial(learn_labels, label_smoothing=0.1, bf16=bf16, teacher=learnt)
    optimizer = RECIPE.optimizer_for(network)
    step = TrainingStep(network, optimizer, WeightAverage(network, 0.98), learn)
    run, batches = CapturedStep(step) if captured else step, Batches(images, 64, 0, device=device)
    found = []
    with convolution_paths(network, precision):
        for number in range(WARM_UP + 5):
            run.prepare(number, RECIPE, 0)
            found.append(run(*batches[number], number).item())
    return found


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_captured_step_trains_as_one_that_is_not(precision: str, digits: ImageSource) -> None:
    with computing(GPU) as device:
        plain, captured = (losses(digits, device, precision, captured=way) for way in (False, True))
    assert captured == pytest.approx(plain, rel=0.02)
    assert len({*captured}) == len(captured)


def test_a_step_with_a_teacher_is_captured(digits: ImageSource) -> None:
    ways = False, True
    with computing(GPU) as device:
        plain, captured = (
            losses(digits, device, "tf32", taught_by(), captured=way) for way in ways
        )
    assert captured == pytest.approx(plain, rel=0.02)
    assert len({*captured}) == len(captured)
    train(small(), digits, RECIPE, seed=0, compute=GPU, teacher=taught_by())  # without a warning


@pytest.mark.parametrize("read_ahead", [False, True])
@pytest.mark.parametrize("words", ["crop-and-flip", "random-resized-crop+trivial-augment+mixup"])
def test_batches_are_those_of_a_cpu(words: str, read_ahead: bool, digits: ImageSource) -> None:
    with computing(GPU) as device:
        usual, moved = Batches(digits, 64, 5, words), Batches(digits, 64, 5, words, device=device)
        if read_ahead:
            moved._squares = ReadAhead(digits.train, device, slice(0, 64))
        for number in (0, 1, 2, 30):
            for one, other in zip(usual[number], moved[number], strict=True):
                assert other.is_cuda
                # grid_sample rounds a few halves the other way, and operations make more of it
                same = torch.isclose(one, other.cpu(), atol=0.05).double().mean().item()
                assert same > (0.9999 if words == "crop-and-flip" else 0.9)


@pytest.mark.parametrize("first", ["cpu", "cuda"])
def test_a_checkpoint_goes_on_on_another_device(
    first: str, tmp_path: Path, digits: ImageSource
) -> None:
    file = tmp_path / "training"
    one = train(small(), digits, RECIPE, seed=0, checkpoint=file, compute=Compute(first, threads=1))
    then = Compute("cuda" if first == "cpu" else "cpu", threads=1)
    other = train(small(), digits, RECIPE, seed=0, checkpoint=file, compute=then)
    assert other.loss == pytest.approx(one.loss, rel=1e-2)
    assert {one.made_with["device"], other.made_with["device"]} == {"cpu", "cuda"}


@pytest.mark.filterwarnings("ignore:training without a CUDA graph")  # which may find no room
def test_what_does_not_fit_into_a_share_is_trained_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arch = presets.build("mobilenet_v3_large", resolution_px=96, classes=10)
    total = torch.cuda.mem_get_info()[1]
    monkeypatch.setenv(GPU_SHARE, repr(2**30 / total))
    try:
        recipe = Recipe(steps=WARM_UP + 3, batch_size=512)
        result = train(build(arch), noise(512, 96), recipe, seed=0, compute=GPU)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert int(result.made_with["pieces"]) >= 2


def test_trainings_leave_no_memory_behind(digits: ImageSource) -> None:
    left: list[tuple[int, int]] = []
    for _ in range(4):
        train(small(), digits, RECIPE, seed=0, compute=GPU)
        gc.collect()
        torch.cuda.empty_cache()
        left.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    assert left[3] == left[2] == left[1]


def test_a_network_is_on_the_cpu_after_its_training(digits: ImageSource) -> None:
    network = small()
    train(network, digits, RECIPE, seed=0, compute=GPU)
    tensors: list[Tensor] = [*network.state_dict().values()]
    assert all(tensor.is_cpu for tensor in tensors)


def test_a_gpu_trains_what_a_cpu_does(digits: ImageSource) -> None:
    recipe = Recipe(steps=60, batch_size=64)
    one, other = (
        train(small(), digits, recipe, seed=0, compute=Compute(device))
        for device in ("cpu", "cuda")
    )
    assert other.made_with["precision"] == "tf32"
    assert other.loss == pytest.approx(one.loss, rel=0.1)
    assert recipe.steps > WARM_UP
