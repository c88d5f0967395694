"""Where a run's work is: here, or on a cluster that has the GPUs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch

from bneck import records
from bneck.derivation import pipeline
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_session
from bneck.derivation.stages.data import data_stage
from bneck.derivation.stages.training import training_stage
from bneck.errors import UsageError
from bneck.executors.pool import WorkerPool
from bneck.executors.reserved import Reserved
from bneck.executors.serial import Serial
from bneck.proxies.training.device import check_room
from tests.command_line import said
from tests.small_networks import three_stages

ON_RAY = Execution(ray="auto")


@pytest.mark.parametrize("word", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_here_may_be_the_clusters(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"device '{word}': torch .* finds no CUDA on"):
        Execution().device_here(word)
    assert ON_RAY.device_here(word) == "auto"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: no {word} on ")
    assert ON_RAY.device_here("auto") == Execution().device_here("auto") == "auto"
    assert ON_RAY.device_here("cpu") == "cpu"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("device", "given", "reserved"),
    [
        ("cuda", {}, Reserved(gpus=1)),
        ("cuda", {"gpus_per_trial": 0.25, "cpus_per_trial": 2.0}, Reserved(2, 0.25)),
        ("auto", {}, Reserved()),
        ("cpu", {}, Reserved()),
    ],
)
def test_an_evaluation_that_is_to_train_on_a_gpu_of_a_cluster_has_one(
    device: str,
    given: dict[str, float],
    reserved: Reserved,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray")
    asked: list[Reserved] = []
    monkeypatch.setattr(
        "bneck.executors.ray.on_ray", lambda *_, reserved, **__: asked.append(reserved)
    )
    execution = Execution(ray="auto", **given)
    execution.check(device)
    execution.open(device)
    assert asked == [reserved]


def test_the_time_limit_of_an_evaluation_stops_no_final_training() -> None:
    """It may take hours; without a limit, both are done by the same workers."""
    limited = Execution(workers=3, time_limit_s=5.0)
    with closing(limited.open()) as scorer:
        assert isinstance(scorer, WorkerPool)
        assert (scorer.workers, scorer._limit_s) == (3, 5.0)
        with closing(limited.open_trainer(scorer, "cpu", "cpu")) as trainer:
            assert isinstance(trainer, WorkerPool)
            assert (trainer.workers, trainer._limit_s) == (3, inf)
    alone = Serial()
    assert Execution(workers=1).open_trainer(alone, "cpu", "cpu") is alone


@pytest.mark.parametrize(
    ("device", "given", "said"),
    [
        ("cuda:0", {"gpus": 2}, "--gpus 2 needs --device cuda, auto or cpu, not cuda:0"),
        ("cuda", {"gpus_per_trial": 0.0}, "--device cuda with --ray needs --gpus-per-trial above"),
        ("cuda:1", {}, "--device cuda:1 with --ray: .* numbered from 0; use --device cuda"),
    ],
)
def test_a_device_that_no_evaluation_on_ray_has_is_named_before_anything_starts(
    device: str, given: dict[str, float], said: str
) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=f"^{said}"):
        Execution(ray="auto", **given).check(device)


def test_a_driver_with_a_gpu_uses_it_unless_others_have_filled_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = [2**33]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free[0], 2**36))
    assert ON_RAY.device_here("cuda") == Execution().device_here("cuda") == "cuda"
    assert ON_RAY.device_here("cuda:1") == "auto"
    free[0] = 2**20
    for execution in (ON_RAY, Execution()):
        for word in ("cuda", "auto"):
            with pytest.raises(UsageError, match=r"^cuda:0 has 0\.0 of 64\.0 GiB free"):
                execution.device_here(word)
    with pytest.raises(UsageError, match=r"^cuda:0 has 0\.0 of 64\.0 GiB free"):
        Execution().device_here("cuda", trains=False)  # its workers score there
    assert ON_RAY.device_here("cuda", trains=False) == "cuda"


def test_a_gpu_without_room_for_cuda_itself_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: torch.device) -> tuple[int, int]:
        raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported")

    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    with pytest.raises(UsageError, match=r"^cuda:0 cannot be used: CUDA error: out of memory: nv"):
        check_room(torch.device("cuda", 0))


@pytest.mark.parametrize(
    "command",
    [
        ("derive", "--target=1"),
        ("search", "--target=1"),
        ("shrink", "mobilenet_v3_small", "--target=1"),
        ("train", "mobilenet_v3_small"),
        ("reproduce", "v3-small"),
    ],
)
def test_every_command_that_trains_names_a_gpu_that_is_not_here_before_it_begins(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "run"
    code, _, err = said(capsys, *command, "--data=digits", "--device=cuda", "--out", out)
    assert code == 2
    assert err.startswith("bneck: device 'cuda': torch ")
    assert err.count("\n") == 1
    assert not out.exists()


class OnGpus(Serial):
    """A cluster whose workers take "cuda" for a device that they have: here it is the CPU."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def map_unordered(
        self, task: Callable[[Any], Any], items: Iterable[Any]
    ) -> Iterator[tuple[Any, Any]]:
        def worked(item: Any) -> Any:
            with pytest.MonkeyPatch.context() as there:
                there.setattr("bneck.proxies.training.device.torch_device", self._device)
                return task(item)

        return super().map_unordered(worked, items)

    def _device(self, word: str) -> torch.device:
        self.asked.add(word)
        return torch.device("cpu")


def test_a_driver_without_a_gpu_shrinks_on_a_cluster_that_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_latency: Path
) -> None:
    """It trains NetAdapt's first network and the final ones itself, and exports."""
    pytest.importorskip("ray")
    cluster, net = OnGpus(), tmp_path / "net.json"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("bneck.executors.ray.on_ray", lambda *_, **__: cluster)
    records.write(net, three_stages())
    plan = Plan(
        seed_network=str(net),
        target=f"0.9x:{net}",
        data="digits",
        resolution_px=16,
        runtime="macs",
        latency=str(digits_latency),
        search_steps=1,
        fine_tune_steps=1,
        delta=0.2,
        finish="scratch",
        epochs=0.02,
        device="cuda",
    )
    with open_session(plan, tmp_path / "run", Execution(ray="auto", workers=1)) as session:
        pipeline.shrink(session)
        asked = {"0": three_stages(0.5)}
        trained = training_stage(session, data_stage(session), asked, {})
    assert cluster.asked == {"cuda"}
    assert {*trained} == {*asked}
    assert (tmp_path / "run" / "model.onnx").exists()
