"""The command ``train``: from scratch, or from weights."""

import json
from pathlib import Path

import pytest
import torch

from bneck import records
from bneck.cli import run
from bneck.quantities import Accuracy
from bneck.results.stage_record import Training
from bneck.space import codec, presets
from bneck.space.backends import torch_model, weights

QUICK = ("--data=digits", "--resolution=16", "--epochs=0.01", "--json")


def test_training_begins_with_the_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One step of Adam moves a weight by the learning rate, 3e-3, at most; decay is small."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)
    (tmp_path / "net.json").write_text(json.dumps(codec.to_json(arch)))
    given = torch_model.build(arch, seed=7).state_dict()
    weights.save(tmp_path / "given.safetensors", given)
    command = ["train", f"{tmp_path / 'net.json'}", *QUICK]
    code = run(
        [*command, "--out", f"{tmp_path / 'a'}", f"--pretrained={tmp_path / 'given.safetensors'}"]
    )
    assert code == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out)
    kept = records.read(tmp_path / "a" / "checkpoints" / "network.json", Training)
    assert Accuracy(result["accuracy"], result["accuracy_stderr"]) == kept.accuracy
    assert (result["seconds"], result["test_accuracy"]) == (kept.seconds, None)
    found = weights.load(Path(result["weights"]), arch)
    names = [name for name, tensor in given.items() if tensor.ndim == 4]
    assert max(float((found[name] - given[name]).abs().max()) for name in names) < 4e-3
    fresh = torch_model.build(arch, seed=0).state_dict()
    assert all(float((found[name] - fresh[name]).abs().max()) > 0.01 for name in names)
    assert torch.isfinite(found[names[0]]).all()


def test_weights_for_other_classes_get_a_new_classifier(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=7)
    (tmp_path / "net.json").write_text(json.dumps(codec.to_json(arch)))
    weights.save(tmp_path / "given.safetensors", torch_model.build(arch, seed=7).state_dict())
    command = ["train", f"{tmp_path / 'net.json'}", "--out", f"{tmp_path / 'a'}", *QUICK]
    command += [f"--weights={tmp_path / 'given.safetensors'}", "--new-classes"]  # as of 0.1.0
    assert run(command) == 0
    said = capsys.readouterr().err
    assert "--weights is called --pretrained now" in said
    assert "--new-classes is not needed any more" in said
    assert "the classifier is new: 7 classes there, 10 here" in said
