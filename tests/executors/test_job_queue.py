"""The items that wait for a worker."""

from collections.abc import Iterator

from bneck.executors import NOT_YET, NotYet
from bneck.executors.job_queue import JobQueue


def test_items_are_taken_one_by_one_and_only_when_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in (1, 2):
            taken.append(number)
            yield number

    queue = JobQueue(items())
    assert (len(queue), taken) == (0, [])
    assert queue.pull()
    assert (len(queue), taken) == (1, [1])
    first = queue.pop()
    assert queue.pull()
    queue.again(first)
    assert [queue.pop().item, queue.pop().item] == [2, 1]
    assert not queue.ended
    assert not queue.pull()
    assert queue.ended


def test_an_item_that_needs_a_result_is_asked_for_again_once_one_is_in() -> None:
    known: list[str] = []

    def items() -> Iterator[str | NotYet]:
        yield "first"
        while not known:
            yield NOT_YET
        yield known[0]

    queue = JobQueue(items())
    assert queue.pull()
    assert not queue.pull()
    known.append("second")
    assert not queue.may_pull
    assert not queue.pull()
    queue.result_is_in()
    assert queue.pull()
    assert [queue.pop().item, queue.pop().item] == ["first", "second"]
    assert not queue.pull()
    queue.result_is_in()
    assert not queue.may_pull
