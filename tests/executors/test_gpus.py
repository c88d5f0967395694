"""Which worker trains on which GPU, or on which share of one."""

import os
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bneck.executors.gpus import VISIBLE, gpus_for, most_on_each, one_each, shares
from bneck.executors.processes import processes
from bneck.machine import GPU_SHARE

pytestmark = pytest.mark.usefixtures("forks_have_torch")


@dataclass(frozen=True)
class Gpu:
    """Which GPU an item has, once so many items are under way."""

    folder: Path
    together: int

    def __call__(self, item: int) -> str:
        (self.folder / f"{self.together} {item}").touch()
        while len([*self.folder.glob(f"{self.together} *")]) < self.together:
            time.sleep(0.02)
        return os.environ[VISIBLE]


def test_after_a_rest_two_items_do_not_share_one_of_two_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv(VISIBLE, raising=False)
    with closing(processes(4, environments=shares("cuda", 4))) as executor:
        for together, wanted in ((4, ["0", "0", "1", "1"]), (2, ["0", "1"])):
            answers = executor.map_unordered(Gpu(tmp_path, together), range(together))
            assert sorted(str(gpu) for _, gpu in answers) == wanted
            executor.rest()


def test_gpus_whose_driver_is_too_old_for_torch_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of --device auto then train on CPUs: as many as there are cores, not four a GPU."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpus_for("auto") == 0
    assert shares("auto", 8) == []


def test_trainings_share_a_gpu_only_where_there_are_more_than_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [most_on_each("cuda", trainings) for trainings in (1, 2, 3, 4, 5)] == [1, 1, 2, 2, 3]
    assert [most_on_each("cuda:1", trainings) for trainings in (1, 2, 3)] == [1, 2, 3]
    assert most_on_each("cpu", 3) == 0


def test_workers_share_the_gpus_that_their_driver_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a batch system names them; of three workers on two GPUs, two have half of one each."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv(VISIBLE, "3, 5")
    found = [(one[VISIBLE], float(one[GPU_SHARE])) for one in shares("cuda", 3)]
    assert found == [("3", 0.5), ("5", 1.0), ("3", 0.5)]
    assert one_each("cuda", 2) == [{VISIBLE: "3"}, {VISIBLE: "5"}]
    assert shares("cuda:1", 2) == [{GPU_SHARE: "0.5"}] * 2
