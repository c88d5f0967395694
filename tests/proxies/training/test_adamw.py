"""Our AdamW is torch's, but for what it imports."""

import subprocess
import sys
from pathlib import Path

import torch

from bneck.proxies.training.adamw import AdamW
from tests.small_networks import saved, three_stages


def trained(kind: type[torch.optim.AdamW]) -> list[torch.Tensor]:
    """Weight and bias after two steps, and two of an optimiser that takes over the state."""
    torch.manual_seed(0)
    network = torch.nn.Linear(8, 4)
    weight, bias = network.parameters()
    after: list[torch.Tensor] = []
    state = None
    for rate in (3e-3, 1.0):
        groups = [{"params": [weight], "weight_decay": 0.05}, {"params": [bias]}]
        optimizer = kind(groups, rate, weight_decay=0.0, fused=True)
        if state is not None:
            optimizer.load_state_dict(state)
        for _ in range(2):
            optimizer.zero_grad()
            network(torch.rand(16, 8)).square().sum().backward()
            optimizer.step()
        after += [weight.detach().clone(), bias.detach().clone()]
        state = optimizer.state_dict()
    return after


def test_it_steps_and_resumes_as_torchs_does_to_the_last_bit() -> None:
    for ours, theirs in zip(trained(AdamW), trained(torch.optim.AdamW), strict=True):
        assert torch.equal(ours, theirs)


def test_a_training_on_digits_imports_neither_what_compiles_networks_nor_scikit_learn(
    tmp_path: Path,
) -> None:
    code = (
        "import sys\n"
        "from bneck.cli import run\n"
        "assert run(['train', sys.argv[1], '--data=digits', '--resolution=16', "
        "'--epochs=0.1', '--out', sys.argv[2]]) == 0\n"
        "assert not {'torch._dynamo', 'sklearn'} & {*sys.modules}"
    )
    small = saved(three_stages(), tmp_path / "small.json")
    subprocess.run([sys.executable, "-c", code, str(small), str(tmp_path / "run")], check=True)
