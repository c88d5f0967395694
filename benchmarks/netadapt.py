"""NetAdapt against the width multiplier and torch-pruning, from one trained seed, at equal latency.

Takes a finished run of ``bneck shrink NET --targets ...`` without ``--finish``. Every method begins
with that run's seed and its weights, is cut until it measures at or under each target on the run's
device, and is fine-tuned by the same recipe for the same epochs. NetAdapt's proposals were
fine-tuned on the way as well; ``netadapt_steps`` says for how long in all.

Needs torch-pruning (``pip install torch-pruning``), which nothing else does.
"""

import argparse
import copy
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch_pruning
from torch import nn
from torch.nn.functional import cross_entropy

from bneck.latency.measure import measure
from bneck.live import TerminalProgress
from bneck.proxies.batches import Batches
from bneck.proxies.image_set import ImageSet
from bneck.proxies.training import train
from bneck.results import codec
from bneck.results.record import Step
from bneck.results.run import Run
from bneck.search.plan import Plan
from bneck.search.scaled import widest_under
from bneck.search.setting import Setting
from bneck.search.shrinking import Shrunk
from bneck.space import presets, torch_model, weights

HALVINGS = 7
ROUND_TO = 8
Cut = tuple[str, nn.Module, float]
"""Method, network and its measured ms."""


class Cutter:
    """Cuts one trained seed to a latency, by every method."""

    def __init__(self, setting: Setting, steps: tuple[Step, ...], folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.seed = steps[0].arch
        self.state = weights.load(folder / "000.safetensors", self.seed)

    def networks(self, shrunk: Shrunk) -> Iterator[Cut]:
        """One network a method, measured at or under the target."""
        target_ms, device = shrunk.target_ms, self.setting.device
        ours = torch_model.Network(shrunk.arch)
        file = self.folder / f"{shrunk.step:03d}.safetensors"
        ours.load_state_dict(weights.load(file, shrunk.arch))
        yield "netadapt", ours, device.measure(shrunk.arch).ms
        name = self.setting.plan.start
        if name in presets.PRESETS:
            width, arch = widest_under(name, target_ms, device, **self.setting.size)
            narrow = torch_model.Network(arch)
            narrow.load_state_dict(weights.inherit(self.seed, self.state, arch, seed=0))
            yield f"width multiplier {width:g}", narrow, device.measure(arch).ms
        for word, importance in (
            ("magnitude", torch_pruning.importance.GroupMagnitudeImportance(p=2)),
            ("taylor", torch_pruning.importance.GroupTaylorImportance()),
        ):
            pruned, ms = self._widest(
                lambda ratio, found=importance: self._pruned(ratio, found), target_ms
            )
            yield f"torch-pruning {word}", pruned, ms

    def _widest(
        self, cut: Callable[[float], nn.Module], target_ms: float
    ) -> tuple[nn.Module, float]:
        """The least pruning ratio that measures at or under the target, by halving."""
        low, high, best = 0.0, 0.95, None
        for _ in range(HALVINGS):
            ratio = (low + high) / 2
            network = cut(ratio)
            if (ms := self._measured_ms(network)) <= target_ms:
                high, best = ratio, (network, ms)
            else:
                low = ratio
        if best is None:
            raise SystemExit(f"torch-pruning reaches no {target_ms:.3g} ms")
        return best

    def _pruned(self, ratio: float, importance: object) -> nn.Module:
        """Global pruning, as torch-pruning's own examples do it, widths in multiples of 8."""
        network = torch_model.Network(self.seed)
        network.load_state_dict(copy.deepcopy(self.state))
        images = self.setting.images
        example = images.normalise(images.train_images[:2])
        pruner = torch_pruning.pruner.BasePruner(
            network,
            example,
            importance=importance,
            global_pruning=True,
            pruning_ratio=ratio,
            round_to=ROUND_TO,
            ignored_layers=[network.get_submodule("head.classifier.linear")],
        )
        batches = Batches(images, 64, 0)
        for step in range(8):
            pixels, labels = batches[step]
            cross_entropy(network(pixels), labels).backward()
        pruner.step()
        network.zero_grad()
        return network

    def _measured_ms(self, network: nn.Module) -> float:
        """Under the run's runtime, from torch's own export."""
        side, device = self.setting.images.resolution_px, self.setting.device
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = Path(folder) / "pruned.onnx"
            example = torch.zeros(1, 3, side, side)
            torch.onnx.export(copy.deepcopy(network).eval(), (example,), file, dynamo=False)
            timed = measure(file, device.runtime, scale=device.model.scale, resolution_px=side)
        return timed.ms


def tuned(network: nn.Module, images: ImageSet, setting: Setting, seed: int) -> tuple[float, float]:
    """Accuracy and standard error after the fine-tune that all methods share."""
    result = train(network, images, setting.budget.final, seed=seed, progress=TerminalProgress())
    return result.accuracy, result.accuracy_stderr


def main() -> None:
    """Print one JSON line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished `bneck shrink`")
    parser.add_argument("--epochs", type=float, default=5.0, help="of the shared fine-tune")
    parser.add_argument("--seeds", type=int, default=1, help="fine-tunes of each network")
    arguments = parser.parse_args()
    run = Run.read(arguments.run)
    plan = Plan.from_dict(dict(run.plan) | {"epochs": arguments.epochs})
    setting = Setting(run, plan, TerminalProgress())
    steps = codec.read_lines(run.steps, Step)
    cutter = Cutter(setting, steps, run.checkpoints / "netadapt")
    spent = sum(p.rounds for step in steps for p in step.proposals) * setting.budget.fine_tune.steps
    for shrunk in codec.read_lines(run.shrunk, Shrunk):
        for method, network, ms in cutter.networks(shrunk):
            for seed in range(arguments.seeds):
                accuracy, stderr = tuned(copy.deepcopy(network), setting.images, setting, seed)
                line = {
                    "target_ms": shrunk.target_ms,
                    "method": method,
                    "seed": seed,
                    "measured_ms": ms,
                    "accuracy": accuracy,
                    "accuracy_stderr": stderr,
                    "epochs": arguments.epochs,
                    "netadapt_steps": spent,
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
