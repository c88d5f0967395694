"""How many threads a training takes, by the steps that it has timed."""

import pytest
import torch

from bneck.machine import Compute
from bneck.proxies.training import threads as module
from bneck.proxies.training.threads import Threads


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two cores are there; the list takes in what torch is set to."""
    asked: list[int] = []
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    return asked


def steps(threads: Threads, seconds: dict[int, float], asked: list[int], count: int) -> list[int]:
    """What a training of so many steps sets, if a step takes so long with each number."""
    set_to = []
    for _ in range(count):
        threads.set()
        threads.took(seconds[asked[-1]])
        set_to.append(asked[-1])
    assert len(asked) <= 3  # only where the number changes
    return set_to


def test_the_faster_number_is_taken_after_trying_both(two_cores: list[int]) -> None:
    assert steps(Threads(Compute()), {1: 1.0, 2: 0.7}, two_cores, 8) == [1, 1, 1, 2, 2, 2, 2, 2]
    two_cores.clear()
    assert steps(Threads(Compute()), {1: 1.0, 2: 0.95}, two_cores, 8) == [1, 1, 1, 2, 2, 2, 1, 1]


def test_threads_that_wait_for_a_neighbour_are_tried_once(two_cores: list[int]) -> None:
    found = Threads(Compute())
    assert steps(found, {1: 1.0, 2: 10.0}, two_cores, 6) == [1, 1, 1, 2, 1, 1]
    assert found.chosen == 1
    two_cores.clear()
    assert steps(Threads(Compute()), {1: 1.0, 2: 3.9}, two_cores, 7) == [1, 1, 1, 2, 2, 2, 1]


def test_the_fastest_step_counts_for_each_number(two_cores: list[int]) -> None:
    """Others wait for a neighbour, or warm caches up."""
    found = Threads(Compute())
    for seconds in (5.0, 1.0, 2.0, 3.0, 0.95, 2.0):
        found.set()
        found.took(seconds)
    assert found.chosen == 1


def test_what_was_asked_for_or_found_before_is_not_tried_again(two_cores: list[int]) -> None:
    assert steps(Threads(Compute(threads=4)), {4: 1.0}, two_cores, 2) == [4, 4]
    two_cores.clear()
    assert steps(Threads(Compute(), chosen=2), {2: 1.0}, two_cores, 2) == [2, 2]


def test_more_threads_than_there_are_cores_now_are_found_anew(two_cores: list[int]) -> None:
    """A training may resume on a smaller machine."""
    found = Threads(Compute(), chosen=8)
    assert steps(found, {1: 1.0, 2: 0.7}, two_cores, 7) == [1, 1, 1, 2, 2, 2, 2]
