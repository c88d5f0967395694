"""Which traits of MobileNetV3 come back from ImageNet labels, by how fast a device is.

Accuracy is a surrogate's, learnt from the networks of Accel-NASBench (ImageNet top-1 after 16
epochs). Two searches: the table's own space (kernel, expansion, squeeze-excite and depth are free)
with multiply-adds or a calibrated model as latency; and the part of MobileNetV3's skeleton that the
phone table of once-for-all covers (kernel, expansion, depth), each network standing for its twin in
the labelled space. The network of largest ACC * LAT^w is compared with MobileNetV3-Small and -Large
against random networks as fast. reproductions/mobilenet_v3_small/README.md has the commands, each a
minute or two of a core. Nothing is measured: the same files give the same networks again.
"""

import argparse
import heapq
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bneck import records
from bneck.cli import exit_code_of, new_folder, whole_number
from bneck.derivation.similarity import as_fast
from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.latency.predictor import open_predictor
from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.proxies.surrogate.table import load
from bneck.results import static_figures
from bneck.results.similarity import as_text, similarity
from bneck.search.reward import PAPERS, Reward, Soft
from bneck.space import codec as networks
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.choices import Space, Values
from bneck.space.heads import ConvPoolLinearLinear

LABELLED = "accel-nasbench"
PUBLISHED = ("mobilenet_v3_small", "mobilenet_v3_large")
RANDOM, KEPT, ROUNDS = 4000, 50, 30

# once-for-all's phone table at 224 px: stride, width, squeeze-excite, activation
PHONE = (
    (2, 32, False, "relu"),
    (2, 48, True, "relu"),
    (2, 96, False, "hswish"),
    (1, 136, True, "hswish"),
    (2, 192, True, "hswish"),
)


def phone_space() -> Space:
    """The part of the phone table whose networks have a twin in the labelled space."""
    choices: dict[str, tuple[Any, ...]] = {}
    for s in range(2, 7):
        choices |= {f"s{s}.depth": (2, 3), f"s{s}.kernel": (3, 5), f"s{s}.ratio": (4, 6)}

    def decode(values: Values) -> Architecture:
        stages: list[tuple[InvertedResidual, ...]] = [(InvertedResidual(3, 24, 24, 1),)]
        channels = 24
        for s, (stride, width, se, activation) in enumerate(PHONE, start=2):
            stage = []
            for b in range(int(values[f"s{s}.depth"])):
                stage.append(
                    InvertedResidual(
                        int(values[f"s{s}.kernel"]),
                        int(values[f"s{s}.ratio"]) * channels,
                        width,
                        1 if b else stride,
                        "expansion" if se else "none",
                        activation,
                    )
                )
                channels = width
            stages.append(tuple(stage))
        stem, head = PlainConv(3, 24, 2, "hswish"), ConvPoolLinearLinear(1152, 1536)
        return Architecture(stem, tuple(stages), head, norm="bn_v3")

    return Space("phone", choices, decode)


def twin(values: Values) -> Values:
    """The labelled network of the same kernels, expansions, depths and squeeze-excites."""
    found: Values = {"s1.depth": 1, "s1.kernel": 3, "s1.ratio": 1, "s1.se": False}
    found |= {"s7.depth": 1, "s7.kernel": 3, "s7.ratio": 6, "s7.se": False}
    found |= {f"s{s}.se": se for s, (_, _, se, _) in enumerate(PHONE, start=2)}
    return found | dict(values)


def best(
    space: Space,
    accuracy: Callable[[list[Values]], np.ndarray],
    latency_ms: Callable[[Values], float],
    reward: Reward,
) -> Values:
    """The largest reward: from the best of many random networks, by single changes."""
    known: dict[tuple[object, ...], tuple[float, Values]] = {}

    def learn(candidates: Iterator[Values]) -> None:
        new = {tuple(space.check(values).items()): values for values in candidates}
        new = {code: values for code, values in new.items() if code not in known}
        if new:
            accuracies = accuracy(list(new.values()))
            latencies_ms = map(latency_ms, new.values())
            rewards = map(reward, accuracies, latencies_ms)
            known.update(zip(new, zip(rewards, new.values(), strict=True), strict=True))

    def front() -> list[tuple[float, Values]]:
        return heapq.nlargest(KEPT, known.values(), key=lambda pair: pair[0])

    learn(space.sample(seed) for seed in range(RANDOM))
    for _ in range(ROUNDS):
        before = front()
        learn(near for _, values in before for near in space.neighbours(values))
        if front() == before:
            break
    return front()[0][1]


def main() -> None:
    """Write one folder a search; print one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True, help="accel_nasbench_sample.csv")
    parser.add_argument("--device", required=True, help="macs, a model's file, or table:FILE")
    parser.add_argument("--phone", action="store_true", help="the phone table's skeleton")
    parser.add_argument("--weight", type=float, action="append", help="w, once or more")
    parser.add_argument("--networks", type=whole_number, default=1000)
    parser.add_argument("--out", type=new_folder, required=True)
    arguments = parser.parse_args()

    rewards = [Soft(1.0, weight) for weight in arguments.weight or PAPERS.values()]
    table = load(arguments.labels)
    if table.space is None or table.space.name != LABELLED:
        raise UsageError(f"{arguments.labels} has no networks of the space {LABELLED}")
    labelled = spaces.build(LABELLED)
    space = phone_space() if arguments.phone else labelled
    predictor = open_predictor(arguments.device)
    predictor.predict(space.decode(space.sample(0)))  # or it is refused after minutes
    surrogate = Surrogate(list(table.accuracies), list(table.accuracies.values()))

    def accuracy(candidates: list[Values]) -> np.ndarray:
        twins = [labelled.decode(twin(v) if arguments.phone else v) for v in candidates]
        return surrogate.predict(twins)[0]

    for reward in rewards:
        values = best(space, accuracy, lambda v: predictor.predict(space.decode(v)).ms, reward)
        arch = space.decode(values)
        ms = predictor.predict(arch).ms
        others = as_fast(
            space, lambda a: predictor.predict(a).ms, ms, count=arguments.networks, seed=0
        )
        folder = arguments.out / f"w{reward.weight:g}"
        write_whole(folder / "network.json", json.dumps(networks.to_json(arch), indent=1) + "\n")
        line = {
            "weight": reward.weight,
            "latency_ms": ms,
            "accuracy": float(accuracy([values])[0]),
            "choices": values,
        }
        for name in PUBLISHED:
            found = similarity(arch, presets.build(name), name, others, ms)
            records.write(folder / f"{name}.json", found)
            static_figures.save(static_figures.similarity(found), folder / f"{name}.svg")
            write_whole(folder / f"{name}.txt", as_text(found) + "\n")
            line[name] = {"all": found.percentile} | {t.name: t.percentile for t in found.traits}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
