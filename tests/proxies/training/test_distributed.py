import json
import subprocess
import sys
from pathlib import Path

import pytest

from bneck.proxies.training.checkpoint import steps_done
from tests.proxies.training.one_of_several import STEPS, STOPPED, trained

ROOT = Path(__file__).parents[3]


def test_two_processes_train_as_one_and_one_resumes_what_two_began(tmp_path: Path) -> None:
    """In double precision: in single, rounding alone parts the losses by 1e-3 within 12 steps."""
    command = [sys.executable, "-m", "tests.proxies.training.one_of_several"]
    two = [
        subprocess.Popen([*command, str(rank), "2", str(tmp_path)], cwd=ROOT) for rank in range(2)
    ]
    losses, result = trained()
    assert [process.wait(timeout=300) for process in two] == [0, 0]
    assert result is not None
    assert len(losses) == STEPS
    found, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert found == other
    assert found["losses"] == pytest.approx(losses, rel=1e-9)
    assert found["loss"] == pytest.approx(result.loss, rel=1e-6)
    assert found["accuracy"] == result.accuracy.value
    assert found["images"] == len(result.losses) == 360

    checkpoint = tmp_path / "checkpoint"
    assert steps_done(checkpoint) == STOPPED - 1
    rest, resumed = trained(checkpoint)
    assert rest == pytest.approx(losses[STOPPED - 1 :], rel=1e-9)
    assert resumed is not None
    assert resumed.loss == pytest.approx(result.loss, rel=1e-6)
