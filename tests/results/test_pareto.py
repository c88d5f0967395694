"""Networks that no other is both faster and more accurate than."""

from dataclasses import replace

from bneck.results.pareto import front
from bneck.results.record import Record


def _records(record: Record, points: list[tuple[float, float | None]]) -> list[Record]:
    return [
        replace(
            record,
            number=number,
            latency_ms=ms,
            accuracy=accuracy,
            error=None if accuracy is not None else "diverged",
        )
        for number, (ms, accuracy) in enumerate(points)
    ]


def test_the_front_is_what_nothing_dominates(record: Record) -> None:
    points = [(3.0, 0.7), (1.0, 0.5), (2.0, 0.7), (2.0, 0.6), (4.0, 0.9), (0.5, None), (1.0, 0.5)]
    records = _records(record, points)

    def dominated(one: Record) -> bool:
        return any(
            other.latency_ms <= one.latency_ms
            and (other.accuracy or 0) >= (one.accuracy or 0)
            and (other.latency_ms, other.accuracy) != (one.latency_ms, one.accuracy)
            for other in records
            if other.accuracy is not None
        )

    best = front(records)
    assert [r.number for r in best] == [1, 2, 4]
    assert {(r.latency_ms, r.accuracy) for r in best} == {
        (r.latency_ms, r.accuracy) for r in records if r.accuracy is not None and not dominated(r)
    }


def test_no_front_without_scores(record: Record) -> None:
    assert front(_records(record, [(1.0, None)])) == ()
    assert front([]) == ()
