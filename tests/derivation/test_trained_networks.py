"""What goes along with a run's weights, where they are exported or timed."""

import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from bneck.derivation.trained_networks import load_trained, load_weights, own_weights
from bneck.errors import UsageError
from bneck.results.run import Run
from bneck.space import codec, presets
from bneck.space.backends import torch_model, weights
from bneck.space.backends.torchvision_weights import from_torchvision
from tests.finished_run import finished_run


def test_figures_of_a_runs_network_are_not_those_of_another_side(tmp_path: Path) -> None:
    """Its classes and normalisation are; so are its weights, but for timing."""
    run = Run.read(finished_run(tmp_path) / "runs" / "done")
    arch, word = codec.load(run.network), str(run.folder)
    weights.save(run.weights, torch_model.build(arch, seed=3).state_dict())
    shutil.copy(tmp_path / "net.onnx", run.onnx)
    own, other = (
        load_trained(word, None, one, seed=0, with_samples=False).notes
        for one in (arch, arch.at(resolution_px=64))
    )
    assert (own["accuracy"], own["latency_ms"]) == ("0.9100", "0.18")
    assert other == {name: own[name] for name in own if name not in ("accuracy", "latency_ms")}
    assert other["mean"] == "[0.5, 0.5, 0.5]"
    assert own_weights(word, arch) is not None
    assert own_weights(word, arch.at(resolution_px=64)) is None
    assert own_weights("mobilenet_v3_small", arch) is None
    (random, built) = (
        load_weights("mobilenet_v3_small", None, arch, seed=5),
        torch_model.build(arch, seed=5).state_dict(),
    )
    assert all(torch.equal(random[name], one) for name, one in built.items())


def test_safetensors_may_have_torchvisions_names_too(tmp_path: Path) -> None:
    """As those that an export to torchvision writes beside its code, and as --pretrained takes."""
    net, file = "mobilenet_v3_small", tmp_path / "v3.safetensors"
    arch = presets.build(net, classes=3)
    theirs = torchvision.models.mobilenet_v3_small(num_classes=3).state_dict()
    weights.save(file, theirs)
    loaded = load_weights(net, file, arch)
    expected = from_torchvision(theirs, arch)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], one) for name, one in expected.items())
    with pytest.raises(UsageError, match=rf"^{file}: classifier\.3\.weight has shape \[3, 1024\]"):
        load_weights(net, file, arch.at(classes=4))
