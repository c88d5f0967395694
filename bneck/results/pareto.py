"""The front of networks that no other beats in both accuracy and latency."""

from collections.abc import Iterable

from bneck.results.record import Record


def front(records: Iterable[Record]) -> tuple[Record, ...]:
    """The records no other is at least as accurate and as fast as, fastest first.

    Records without an accuracy are left out; of equals the earliest stays.
    """
    scored = [record for record in records if record.accuracy is not None]
    scored.sort(key=lambda record: (record.latency_ms, -_accuracy(record), record.number))
    best: list[Record] = []
    for record in scored:
        if not best or _accuracy(record) > _accuracy(best[-1]):
            best.append(record)
    return tuple(best)


def _accuracy(record: Record) -> float:
    assert record.accuracy is not None
    return record.accuracy
