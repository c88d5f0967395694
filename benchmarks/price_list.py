"""What a label costs and how well it ranks: one table and one picture of labels.py's networks.

All of them lie in one band of multiply-adds, so plain rank correlation among them is the one in
band. Seconds are of one core's CPU time a network: training only for trainings, scoring only for
shared weights, whose one training is named below the table and drawn as a line to its share of it.

python benchmarks/price_list.py --labels labels.jsonl --images folder:cifar \
    --shared runs/elastic --picture docs/pictures/labels.svg
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from matplotlib.figure import Figure

from bneck import json_lines
from bneck.cli import exit_code_of, new_file, whole_number
from bneck.machine import ONE_THREAD
from bneck.proxies import shared_weights
from bneck.proxies.data import loading
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.proxy import Proxy, find_proxy
from bneck.proxies.score import MIN_SCORED, zero_cost_words
from bneck.proxies.surrogate.correlation import Interval, bootstrap, kendall, spearman
from bneck.proxies.surrogate.table import Table, load
from bneck.results import static_figures
from bneck.space.architecture import Architecture
from bneck.text import number_of

Scores = Mapping[Architecture, float]
SHARED, ZERO_COST = "shared weights", "zero-cost"


@dataclass(frozen=True)
class Price:
    """One signal's: seconds a network, and how it ranks as many networks as it is known of."""

    signal: str
    family: str
    networks: int
    seconds: float
    spearman: Interval
    kendall: Interval


def price(table: Table, signal: str, family: str, seconds: float, scores: Scores) -> Price:
    """A signal against the end of the trainings."""
    pair = list(scores.values()), [table.accuracies[arch] for arch in scores]
    correlations = (bootstrap(measure, *pair, seed=0) for measure in (spearman, kendall))
    return Price(signal, family, len(scores), seconds, *correlations)


def trainings(table: Table, path: Path) -> Iterator[Price]:
    """The columns of the table, each as dear as the training until then."""
    rows = [row for _, row in json_lines.read_lines(path)]
    for name, scores in table.columns.items():
        if len(scores) < MIN_SCORED:
            continue
        steps, _, family = name.removeprefix("accuracy@").partition(" ")
        spent = f"seconds@{steps} {family}" if family.startswith("alone") else f"seconds@{steps}"
        seconds = median(row[spent] for row in rows if spent in row)
        yield price(table, f"{steps} steps, {family}", family, seconds, scores)


def scored(
    table: Table, signal: str, family: str, proxy: Proxy, archs: Sequence[Architecture]
) -> Price:
    """A proxy on every network; it shares nothing with others."""
    proxy(archs[0], seed=0)  # warms up
    scores, seconds = {}, []
    for arch in archs:
        began = time.process_time()
        scores[arch] = proxy(arch, seed=0)
        seconds.append(time.process_time() - began)
    return price(table, signal, family, median(seconds), scores)


def prices(labels: Path, shared: Path | None, images: ImageSource | None) -> list[Price]:
    """Every signal, the cheapest first."""
    table = load(labels)
    archs = list(table.accuracies)
    found = list(trainings(table, labels))
    if shared is not None and images is not None:
        proxy = find_proxy(f"shared-weights:{shared}")(images, compute=ONE_THREAD)
        found.append(scored(table, SHARED, SHARED, proxy, archs))
    for word in zero_cost_words(images=images is not None):
        proxy = find_proxy(word)(images, compute=ONE_THREAD)
        found.append(scored(table, word, ZERO_COST, proxy, archs))
    return sorted(found, key=lambda each: each.seconds)


def picture(found: Sequence[Price], share: float) -> Figure:
    """Correlation over seconds, a colour a family; ``share``: a network's of shared weights."""
    figure = Figure(figsize=(7.5, 4.2))
    axes = figure.subplots()
    for place, family in enumerate(dict.fromkeys(each.family for each in found)):
        own = [each for each in found if each.family == family]
        x, y = [each.seconds for each in own], [each.spearman.value for each in own]
        low = [each.spearman.value - each.spearman.low for each in own]
        high = [each.spearman.high - each.spearman.value for each in own]
        style, colour = "o" if family in (SHARED, ZERO_COST) else "o-", f"C{place}"
        axes.errorbar(x, y, (low, high), fmt=style, color=colour, label=family, elinewidth=0.6)
        if family == SHARED and share:
            axes.plot([x[0], x[0] + share], [y[0], y[0]], ":", color=colour)
    axes.set_xscale("log")
    axes.set_xlabel("seconds for each network, one core")
    axes.set_ylabel("Spearman with the full training, in band")
    axes.grid(alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def as_text(found: Sequence[Price]) -> str:
    """A table in Markdown."""
    lines = ["| signal | networks | seconds | Spearman (95 %) | Kendall (95 %) |", "|" + "---|" * 5]
    for each in found:
        correlations = " | ".join(
            f"{c.value:+.2f} ({c.low:+.2f} to {c.high:+.2f})" for c in (each.spearman, each.kendall)
        )
        lines.append(f"| {each.signal} | {each.networks} | {each.seconds:.3g} | {correlations} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True, help="what labels.py wrote")
    parser.add_argument("--images", help="those of labels.py; without, only its trainings")
    parser.add_argument("--resolution", type=whole_number, help="side of labels.py's, in px")
    parser.add_argument("--shared", type=Path, help="run of bneck pretrain --elastic")
    parser.add_argument("--picture", type=new_file, required=True)
    arguments = parser.parse_args()
    if arguments.shared and not arguments.images:
        parser.error("--shared needs --images")
    static_figures.check_name(arguments.picture)

    torch.set_num_threads(1)
    images = None
    if arguments.images:
        images = loading.load(arguments.images, resolution_px=arguments.resolution).for_search(0)
    found = prices(arguments.labels, arguments.shared, images)
    print(as_text(found))
    share = 0.0
    if arguments.shared:
        about, _ = shared_weights.load(arguments.shared)
        core_seconds = about.seconds * about.threads
        count = max(each.networks for each in found)
        share = core_seconds / count
        print(
            f"\nThe shared weights took {about.steps} steps, {about.seconds:.0f} s on "
            f"{number_of(about.threads, 'thread')}: {share:.0f} core seconds for each of {count} "
            f"networks, {core_seconds / 1000:.1f} for each of 1,000."
        )
    static_figures.save(picture(found, share), arguments.picture)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
