"""What a training may run on, and GPUs that fail or are full."""

import pytest
import torch

from bneck.errors import DeviceLost, ProxyFailed, UsageError
from bneck.machine import GPU_SHARE
from bneck.proxies.training.device import check_room, own_share, torch_device


def test_auto_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert torch_device("auto") == torch_device("cuda") == torch.device("cuda", 1)
    assert torch_device("cuda:0") == torch.device("cuda", 0)
    assert torch_device("cpu") == torch.device("cpu")


def test_devices_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"device 'cuda:1': torch .* finds no CUDA on \S+; use"):
        torch_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for word in ("cuda:7", "cuda:2"):
        with pytest.raises(UsageError, match=rf"device '{word}': \S+ has 2, numbered from 0"):
            torch_device(word)
    assert torch_device("cuda:1").index == 1


def test_a_gpu_that_others_fill_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, free = torch.device("cuda", 0), [2**29]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free[0], 80 * 2**30))
    with pytest.raises(
        UsageError, match=r"^cuda:0 has 0.5 of 80.0 GiB free; at least 1 are needed"
    ):
        check_room(gpu)
    free[0] = 2**30
    check_room(gpu)
    check_room(torch.device("cpu"))


def test_a_worker_takes_its_share_and_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: set_to.append(given)
    )
    gpu = torch.device("cuda", 0)
    with own_share(gpu):
        assert set_to == []
    monkeypatch.setenv(GPU_SHARE, "0.25")
    failed = pytest.raises(ProxyFailed, match=r"^out of memory: CUDA out of memory\. Tried$")
    with failed, own_share(gpu):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried\nto")
    assert set_to == [(0.25, gpu)]


def test_a_gpu_that_answers_no_more_is_not_the_trainings_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An illegal memory access fails whatever the process does on the GPU after it."""

    def synchronize(_: torch.device) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    gpu = torch.device("cuda", 0)
    lost = pytest.raises(
        DeviceLost, match=r"^cuda:0 answers no more: CUDA error: an illegal .*red$"
    )
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2"), own_share(gpu):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    with lost, own_share(gpu):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with")
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2"), own_share(torch.device("cpu")):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_a_gpu_that_torch_has_no_kernels_for_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA finds a GPU of 2016 where torch was built for those of 2018 and later."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    said = "CUDA error: no kernel image is available for execution on the device"
    refused = pytest.raises(
        UsageError, match=rf"^torch \S+ has no kernels for cuda:0 \({said}\): use"
    )
    with refused, own_share(torch.device("cuda", 0)):
        raise RuntimeError(f"{said}\nCUDA kernel errors might be")
