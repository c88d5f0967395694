"""How proxies rank a table's networks, in words for a terminal."""

from collections.abc import Mapping

from bneck.proxies.score import Agreement
from bneck.proxies.score_surrogate import SurrogateAgreement
from bneck.proxies.surrogate.correlation import Interval
from bneck.proxies.surrogate.table import Table
from bneck.units import as_percent


def as_text(
    truth: Table,
    band_name: str,
    agreements: Mapping[str, Agreement],
    learnt: Mapping[int, SurrogateAgreement | None],
) -> str:
    """Return how well proxies rank a table's networks: a row each, then what is to be said of them.

    Args:
        truth: the table.
        band_name: what the bands are of, "macs" or "latency_ms".
        agreements: of each proxy, by its word.
        learnt: of a surrogate, by the number of labels that it learnt from.
    """
    lines = [
        f"{truth.name}: {len(truth.accuracies)} networks, in bands of {band_name}",
        *_ranking(agreements),
        *(_sentence(labels, what) for labels, what in learnt.items()),
    ]
    for word, agreement in agreements.items():
        if agreement.failures:
            lines.append(f"{word} failed on {len(agreement.failures)}: {agreement.failures[0]}")
    return "\n".join(lines)


def _ranking(agreements: Mapping[str, Agreement]) -> list[str]:
    """A table of the proxies, the best in band first."""
    width = max(len(word) for word in agreements)
    lines = [
        f"{'signal':{width}}  networks  {'Spearman (95 %)':22}  Kendall  "
        f"{'in band (95 %)':22}  seconds"
    ]
    for word, agreement in sorted(agreements.items(), key=lambda item: -item[1].in_band.value):
        seconds = "-" if agreement.seconds is None else f"{agreement.seconds:.3f}"
        lines.append(
            f"{word:{width}}  {len(agreement.scores):8}  {_interval(agreement.spearman)}  "
            f"{agreement.kendall:+.2f}    {_interval(agreement.in_band)}  {seconds:>7}"
        )
    return lines


def _interval(interval: Interval) -> str:
    return f"{interval.value:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"


def _sentence(labels: int, learnt: SurrogateAgreement | None) -> str:
    if learnt is None:
        return f"surrogate from {labels} labels: the table is too small to say"
    return (
        f"surrogate from {labels} labels: Spearman {learnt.spearman:+.2f}, in band "
        f"{learnt.in_band:+.2f}; {as_percent(learnt.within_2_std)} within 2 standard deviations"
    )
