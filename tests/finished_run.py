"""A finished run, one that has only begun, and an ONNX file of the first."""

import json
from pathlib import Path

from bneck import records
from bneck.quantities import Accuracy, Latency
from bneck.results.exports import Trained, export
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.backends import torch_model
from bneck.space.cost import cost

NOTES = {"classes": '["cat", "dog", "fish"]', "mean": "[0.5, 0.5, 0.5]", "std": "[0.2, 0.2, 0.2]"}


def finished_run(folder: Path) -> Path:
    """Write runs/done, runs/begun and net.onnx into the folder, and return it."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    counted = cost(arch)
    outcome = Outcome(
        arch,
        0.2,
        Latency(0.19, 0.01),
        Latency(0.18, 0.01),
        Accuracy(0.91, 0.02),
        counted.params,
        counted.macs,
        9.0,
    )
    plan = {"data": "digits", "target": "0.2", "space": "v3-small"}
    with Run.open(folder / "runs" / "done", plan) as done:
        records.write(done.result, outcome)
        small = presets.build("mobilenet_v3_small", resolution_px=32, classes=3)
        measured, trained = Latency(0.2, 0.01), Accuracy(0.88, 0.02)
        baseline = Baseline("mobilenet_v3_small", small, measured, trained, 1, 1, 1.0)
        records.append(done.baselines, baseline)
        about = {"name": "digits", "fingerprint": "123", "class_names": ["a", "b", "c"]}
        done.images.write_text(json.dumps(about))
        done.network.write_text(json.dumps(networks.to_json(arch)))
    Run.open(folder / "runs" / "begun", plan).close()
    state = torch_model.build(arch).state_dict()
    notes = NOTES | {"accuracy": "0.9100", "images": "digits (123)"}
    export(Trained(arch, state, notes), "onnx", folder / "net.onnx")
    return folder
