"""What Ray reserves for an evaluation: shares that waste nothing, and what no node has."""

import pytest

from bneck.errors import UsageError
from bneck.executors.reserved import Reserved


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": -1.0}, "gpus-per-trial must be 0 or more, got -1"),
        ({"gpus": float("nan")}, "gpus-per-trial must be 0 or more, got nan"),
        ({"gpus": 1.5}, "gpus-per-trial above 1 must be a whole number, got 1.5"),
        ({"gpus": 0.3}, "gpus-per-trial below 1 must divide 1, .*; got 0.3"),
        ({"cpus": 0.0}, "cpus-per-trial must be 0.01 or more, got 0"),
        ({"cpus": 0.6}, "cpus-per-trial below 1 must divide 1, .*; got 0.6"),
    ],
)
def test_a_share_that_wastes_a_part_is_named(asked: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Reserved(**asked)


@pytest.mark.parametrize(
    ("reserved", "fit"),
    [
        (Reserved(), 16),
        (Reserved(cpus=2), 8),
        (Reserved(cpus=0.1), 160),
        (Reserved(gpus=0.25), 8),
        (Reserved(gpus=0.33), 6),
        (Reserved(cpus=4, gpus=0.1), 4),
        (Reserved(gpus=3), 0),
    ],
)
def test_evaluations_that_fit_a_machine_of_16_cpus_and_2_gpus(reserved: Reserved, fit: int) -> None:
    assert reserved.fit(16, 2) == fit


@pytest.mark.parametrize(
    ("reserved", "device", "said"),
    [
        ({}, "cuda", "--device cuda needs a GPU, but the cluster has none: 2 nodes with 12 CPUs"),
        ({}, "cuda:1", "--device cuda:1 needs a GPU, but the cluster has none: 2 nodes with 12 "),
        ({"cpus": 9}, "cpu", "cpus-per-trial is 9, but no node of the cluster has more than 8"),
        ({"gpus": 1}, "auto", "gpus-per-trial is 1, but no node of the cluster has more than 0"),
    ],
)
def test_what_no_node_of_a_cluster_has_is_named(
    reserved: dict[str, float], device: str, said: str
) -> None:
    nodes = [{"CPU": 4.0}, {"CPU": 8.0, "memory": 1e9}]
    with pytest.raises(UsageError, match=f"^{said}"):
        Reserved(**reserved).check_nodes(nodes, device)
    with_gpus = [*nodes, {"CPU": 16.0, "GPU": 1.0}]
    Reserved(**reserved).check_nodes(with_gpus, device)


@pytest.mark.parametrize(
    ("reserved", "device", "said"),
    [
        ({}, "cuda", "--device cuda with --ray needs --gpus-per-trial above 0: 1, or a share of "),
        ({"gpus": 0.5}, "cuda:1", "--device cuda:1 with --ray: .* numbered from 0; use --device c"),
        (
            {"gpus": 2},
            "cuda:2",
            "--device cuda:2 with --ray: an evaluation sees only the GPUs that",
        ),
    ],
)
def test_a_gpu_that_no_evaluation_sees_on_ray_is_named(
    reserved: dict[str, float], device: str, said: str
) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        Reserved(**reserved).check_device(device)
    for gpus, device in ((0.25, "cuda"), (1, "cuda:0"), (2, "cuda:1"), (0, "auto"), (0, "cpu")):
        Reserved(gpus=gpus).check_device(device)
