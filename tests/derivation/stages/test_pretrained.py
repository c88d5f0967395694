"""What final trainings begin with."""

from pathlib import Path

import torch

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.pretrained import write_starts
from bneck.executors.serial import Serial
from bneck.results.run import Run
from bneck.space.backends import torch_model, weights
from bneck.space.backends.parent import Parent
from tests.small_networks import three_stages


def test_what_netadapt_has_tuned_comes_before_what_is_inherited(tmp_path: Path) -> None:
    arch, kernels = three_stages(), "stem.conv.conv.weight"
    given, tuned = (torch_model.build(arch, seed=seed).state_dict() for seed in (1, 2))
    weights.save(tmp_path / "tuned.safetensors", tuned)
    session = Session(Run(tmp_path, {}), Plan(pretrained="x"), Serial(), Serial())
    files = {"derived": tmp_path / "tuned.safetensors", "small": tmp_path / "none.safetensors"}
    parent = Parent.of(arch, given)
    starts = write_starts(session, parent, dict.fromkeys(files, arch), files)
    for name, state in {"derived": tuned, "small": given}.items():
        assert torch.equal(weights.load(starts[name], arch)[kernels], state[kernels])
    assert write_starts(session, None, dict.fromkeys(files, arch), files) == {}
