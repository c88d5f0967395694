"""NetAdapt against the width multiplier and torch-pruning, from one trained seed, at equal latency.

Takes a finished run of ``bneck shrink NET --targets ...`` without ``--finish``. Every method begins
with that run's seed and its weights and is cut until it measures at or under each target on the
run's device; the width multiplier, whose steps are large, to the first network that is no faster.
What is reported is measured by torch's own ONNX export for all, and where that takes longer for
NetAdapt's network, torch-pruning has this as its target. Then all are fine-tuned by one recipe,
on as many images in all as NetAdapt's network saw: those of ``--epochs``, and for the others
those too that it was fine-tuned on along its way (``tuned_before``, in steps of the recipe's
batch). What all proposals took is the cost of NetAdapt's search (``searched``). "netadapt, cut at
once" is its network with the seed's own weights instead of those from its way, and all steps in
one go.

Fine-tunings run side by side, one thread each; what is in ``--out`` already is not repeated.

Needs torch-pruning (``pip install torch-pruning``), which nothing else does.
"""

import argparse
import copy
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from onnx_timed import check_takes_onnx
from safetensors import safe_open
from safetensors.torch import save
from torch import nn
from torch.nn.functional import cross_entropy

from bneck import json_lines, records
from bneck.cli import exit_code_of, new_folder, positive, whole_number
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.calibration import calibration_stage
from bneck.derivation.stages.data import data_stage
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.training_budget import Budget, budget
from bneck.errors import UsageError
from bneck.executors import Failed, open_executor
from bneck.executors.serial import Serial
from bneck.files import read_json, write_json, write_whole
from bneck.latency.measure import measure
from bneck.latency.model import LatencyModel
from bneck.live import TerminalProgress
from bneck.machine import ONE_THREAD
from bneck.netadapt.fine_tuning import FineTune
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.reproduction.width_baseline import narrowest_over
from bneck.results.record import Proposal, Step
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk
from bneck.space import codec as arch_codec
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import inheritance, torch_model, weights

try:
    import torch_pruning
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: pip install torch-pruning")

HALVINGS = 7
ROUND_TO = 8
NETADAPT = "netadapt"
EXAMPLES = 8
"""Batches of 64 that Taylor importance is taken from, as many as NetAdapt's own."""


class Cutter:
    """Cuts one trained seed to a latency, by every method."""

    def __init__(
        self, plan: Plan, asked: Budget, device: TargetDevice, steps: tuple[Step, ...], folder: Path
    ) -> None:
        self.plan, self.budget, self.device, self.folder = plan, asked, device, folder
        self.images = whole(asked.images)
        self.seed = steps[0].arch
        self.seed_weights = folder / "000.safetensors"
        self.state = weights.load(self.seed_weights, self.seed)

    def networks(self, shrunk: Shrunk) -> Iterator[tuple[str, nn.Module, Architecture]]:
        """(method, network, what it is or was cut from), each measured at the target."""
        file = self.folder / f"{shrunk.step:03d}.safetensors"
        ours = loaded(shrunk.arch, weights.load(file, shrunk.arch))
        yield NETADAPT, ours, shrunk.arch
        yield "netadapt, cut at once", self._cut_at_once(shrunk.arch), shrunk.arch
        goal_ms = max(shrunk.target_ms, self.measured_ms(ours))
        name, device = self.plan.seed_network, self.device
        if name in presets.PRESETS:
            size = {"resolution_px": self.seed.resolution_px, "classes": self.seed.classes}
            _, arch = narrowest_over(name, shrunk.target_ms, device, **size)
            narrow = loaded(arch, inheritance.inherit(self.seed, self.state, arch, seed=0))
            yield "width multiplier", narrow, arch
        for word, importance in (
            ("magnitude", torch_pruning.importance.GroupMagnitudeImportance(p=2)),
            ("taylor", torch_pruning.importance.GroupTaylorImportance()),
        ):
            yield f"torch-pruning {word}", self._widest(importance, goal_ms), self.seed

    def _cut_at_once(self, arch: Architecture) -> nn.Module:
        """The seed's most important channels, chosen as NetAdapt itself chooses them."""
        plan, asked = self.plan, self.budget
        cut = FineTune(
            asked.images,
            self.seed,
            self.seed_weights.read_bytes(),
            asked.fine_tune,
            plan.seed,
            plan.importance,
        )
        return loaded(arch, cut.inherited(arch))

    def measured_ms(self, network: nn.Module) -> float:
        """Under the run's runtime, from torch's own export."""
        side, device = self.seed.resolution_px, self.device
        assert isinstance(device.model, LatencyModel)  # a table measures nothing
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = Path(folder) / "network.onnx"
            example = torch.zeros(1, 3, side, side)
            torch.onnx.export(copy.deepcopy(network).eval(), (example,), file, dynamo=False)
            timed = measure(file, device.device, model=device.model, resolution_px=side)
        return timed.ms

    def _widest(self, importance: object, target_ms: float) -> nn.Module:
        """The least pruning ratio that measures at or under the target, by halving."""
        low, high, best = 0.0, 0.95, None
        for _ in range(HALVINGS):
            ratio = (low + high) / 2
            network = self._pruned(ratio, importance)
            if self.measured_ms(network) <= target_ms:
                high, best = ratio, network
            else:
                low = ratio
        if best is None:
            raise SystemExit(f"torch-pruning reaches no {target_ms:.3g} ms")
        return best

    def _pruned(self, ratio: float, importance: object) -> nn.Module:
        """Global pruning, as torch-pruning's own examples do it, widths in multiples of 8."""
        network = loaded(self.seed, self.state).eval()
        images = self.images
        example = images.normalise(images.train.pixels(torch.arange(2)))
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
        for step in range(EXAMPLES):
            pixels, labels = batches[step]
            cross_entropy(network(pixels), labels).backward()
        pruner.step()
        network.zero_grad()
        return network


def loaded(arch: Architecture, state: weights.State) -> nn.Module:
    """The network of ``arch`` with these weights."""
    network = torch_model.Network(arch)
    network.load_state_dict(state)
    return network


def keep(network: nn.Module, arch: Architecture, file: Path) -> None:
    """Write a network whose layers are those of ``arch`` or fewer channels of them."""
    words = {"arch": json.dumps(arch_codec.to_json(arch))}
    write_whole(file, save({k: v.contiguous() for k, v in network.state_dict().items()}, words))


def read(file: Path) -> nn.Module:
    """What ``keep`` wrote: layers as wide as the tensors say."""
    with safe_open(file, "pt") as kept:
        network = torch_model.Network(arch_codec.from_json(json.loads(kept.metadata()["arch"])))
        state = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            weight = state[f"{path}.weight"]
            if isinstance(module, nn.Conv2d):
                module.groups = 1 if module.groups == 1 else len(weight)
                module.out_channels, module.in_channels = len(weight), weight[0].shape[0]
                module.in_channels *= module.groups
            elif isinstance(module, nn.BatchNorm2d):
                module.num_features = len(weight)
            else:
                module.out_features, module.in_features = weight.shape
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                tensor.data = state[f"{path}.{name}"]
    return network


@dataclass(frozen=True)
class Tune:
    """One network's fine-tuning, as an executor's task: (file of the network, steps, seed)."""

    images: WorkerImages
    recipe: Recipe

    def load(self) -> None:
        whole(self.images)

    def __call__(self, item: tuple[str, int, int]) -> tuple[float, float]:
        """Accuracy and standard error."""
        file, steps, seed = item
        recipe = replace(self.recipe, steps=steps)
        result = train(read(Path(file)), whole(self.images), recipe, seed=seed, compute=ONE_THREAD)
        return result.accuracy.value, result.accuracy.stderr or 0.0


def main() -> None:
    """Write one JSON line a fine-tuned network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished `bneck shrink`")
    parser.add_argument("--out", type=new_folder, required=True, help="folder of what comes out")
    parser.add_argument(
        "--epochs", type=positive, default=5.0, help="of NetAdapt's own fine-tuning"
    )
    parser.add_argument(
        "--seeds", type=whole_number, default=1, help="fine-tunings of each network"
    )
    parser.add_argument(
        "--workers", type=whole_number, help="fine-tunings at once; all cores unless said"
    )
    arguments = parser.parse_args()
    run = Run.read(arguments.run)
    narrowed = shrunk_by(run)
    plan = Plan.from_dict(dict(run.plan) | {"epochs": arguments.epochs})
    check_takes_onnx(plan)
    here = Serial()
    session = Session(run, plan, here, here, TerminalProgress())
    data = data_stage(session)
    device = calibration_stage(session, spaces.build(plan.space or "", **data.size))
    asked = budget(plan, data.info)
    steps = records.read_lines(run.steps, Step)
    cutter = Cutter(plan, asked, device, steps, run.checkpoints / "netadapt")
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = arguments.out / "results.jsonl"
    cuts = [cut for shrunk in narrowed for cut in cut_once(cutter, shrunk, steps, arguments.out)]
    tune(cuts, asked, arguments.seeds, results, arguments.workers)


def shrunk_by(run: Run) -> tuple[Shrunk, ...]:
    """NetAdapt's network for each target.

    Raises:
        UsageError: there is none yet.
    """
    if not (found := records.read_lines(run.shrunk, Shrunk)):
        raise UsageError(f"{run.folder} has no network yet: finish its bneck shrink first")
    return found


def cut_once(
    cutter: Cutter, shrunk: Shrunk, steps: tuple[Step, ...], out: Path
) -> list[dict[str, Any]]:
    """What each method makes of the seed for one target; kept, and read where it was kept."""
    file = out / f"cut-{shrunk.target_ms:.4g}ms.json"
    if not file.exists():
        way = steps[1 : shrunk.step + 1]
        tuned, finish = cutter.budget.fine_tune, cutter.budget.final
        # Rounds are counted in steps of the final recipe, by their images.
        one_round = tuned.steps * tuned.batch_size / finish.batch_size
        before = round(one_round * sum(taken(step).rounds for step in way))
        final = finish.steps
        cuts = []
        for number, (method, network, arch) in enumerate(cutter.networks(shrunk)):
            kept = out / f"cut-{shrunk.target_ms:.4g}ms-{number}.safetensors"
            keep(network, arch, kept)
            ours = method == NETADAPT
            cuts.append(
                {
                    "target_ms": shrunk.target_ms,
                    "method": method,
                    "measured_ms": cutter.measured_ms(network),
                    "parameters": sum(p.numel() for p in network.parameters()),
                    "file": str(kept),
                    "steps": final if ours else final + before,
                    "tuned_before": before if ours else 0,
                    "searched": round(one_round * sum(p.rounds for s in way for p in s.proposals))
                    if ours
                    else 0,
                }
            )
        write_json(file, cuts)
    found: list[dict[str, Any]] = read_json(file)
    return found


def taken(step: Step) -> Proposal:
    """The proposal that a step took."""
    return next(one for one in step.proposals if one.move == step.move)


def tune(
    cuts: list[dict[str, Any]], asked: Budget, seeds: int, results: Path, workers: int | None
) -> None:
    """Fine-tune what is not in ``results`` yet, side by side, each kept as it ends."""
    done = {(line["file"], line["seed"]) for _, line in json_lines.read_lines(results)}
    waiting = {
        (cut["file"], cut["steps"], seed): cut
        for seed in range(seeds)
        for cut in cuts
        if (cut["file"], seed) not in done
    }
    executor = open_executor(workers)
    try:
        task = Tune(asked.images, asked.final)
        for item, outcome in executor.map_unordered(task, list(waiting)):
            if isinstance(outcome, Failed):
                raise SystemExit(f"fine-tuning {item[0]} failed: {outcome.reason}")
            accuracy, stderr = outcome
            line = waiting[item] | {"seed": item[2], "accuracy": accuracy, "stderr": stderr}
            records.append(results, line)
            print(json.dumps(line), flush=True)
    finally:
        executor.close()


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
