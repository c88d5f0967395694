"""Two processes train as one does."""

import socket
from pathlib import Path

import pytest

from bneck.errors import BneckError
from bneck.executors import open_together
from bneck.proxies.training import distributed
from bneck.proxies.training.checkpoint import steps_done
from tests.proxies.training.one_of_several import (
    STEPS,
    STOPPED,
    STOPPED_LATE,
    losses_in_single,
    train_from_what_the_second_sees,
    train_three_times,
    trained,
)

pytestmark = pytest.mark.usefixtures("forks_have_torch")


def test_two_processes_train_as_one_and_resume_what_one_began_and_it_theirs(tmp_path: Path) -> None:
    """In double precision: in single, rounding alone parts the losses by 1e-3 within 12 steps."""
    trained(tmp_path / "by one", STOPPED_LATE)
    ((_, found),) = open_together(2, "cpu").map_unordered(train_three_times, [tmp_path])
    losses, result = trained()
    assert result is not None
    assert len(losses) == STEPS
    assert found == {
        "losses": pytest.approx(losses, rel=1e-9),
        "rest": pytest.approx(losses[STOPPED_LATE - 1 :], rel=1e-9),
        "loss": pytest.approx(result.loss, rel=1e-6),
        "accuracy": result.accuracy,
        "images": len(result.losses),
    }
    assert len(result.losses) == 360

    assert steps_done(tmp_path / "by several") == STOPPED - 1
    rest, resumed = trained(tmp_path / "by several")
    assert rest == pytest.approx(losses[STOPPED - 1 :], rel=1e-9)
    assert resumed is not None
    assert resumed.loss == pytest.approx(result.loss, rel=1e-6)


def test_processes_that_see_different_checkpoints_end_instead_of_waiting(tmp_path: Path) -> None:
    trained(tmp_path / "second", STOPPED)
    together = open_together(2, "cpu")
    said = (  # by whichever process is heard first, each naming its own
        r"would resume at different steps \(0, 9\): .*/(first|second) must be on a file system"
    )
    with pytest.raises(BneckError, match=said):
        list(together.map_unordered(train_from_what_the_second_sees, [tmp_path]))


def test_a_first_process_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for a lost one: three times, each after torch's half an hour."""
    monkeypatch.setattr(distributed, "REACHED_SECONDS", 0.5)
    with socket.socket() as deaf:  # it has its port, which nobody else takes, and does not listen
        deaf.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{deaf.getsockname()[1]}"
        said = (
            rf"cannot reach .* together, {place}, within 0\.5 s \(Connection refused\): nodes must "
        )
        with pytest.raises(BneckError, match=said), distributed.joined(1, 2, f"tcp://{place}"):
            pytest.fail("it joined nobody")


@pytest.mark.slow
def test_in_single_precision_losses_agree_where_the_training_amplifies_no_rounding() -> None:
    ((_, found),) = open_together(2, "cpu").map_unordered(losses_in_single, [3e-4])
    assert found == pytest.approx(losses_in_single(3e-4), rel=1e-3)
