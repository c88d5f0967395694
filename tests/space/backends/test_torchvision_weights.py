"""torchvision's state dicts in our modules and back, outputs equal."""

from pathlib import Path

import pytest
import torch
import torchvision

from bneck.errors import UsageError
from bneck.space import presets
from bneck.space.backends import torch_model
from bneck.space.backends.torchvision_weights import classes, from_torchvision, load, to_torchvision

PAIRS = {
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "mobilenet_v3_large": torchvision.models.mobilenet_v3_large,
    "mobilenet_v3_small": torchvision.models.mobilenet_v3_small,
    "mnasnet_b1": torchvision.models.mnasnet1_0,
}


@pytest.mark.parametrize("name", PAIRS)
def test_outputs_are_equal_and_the_way_back_exact(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = PAIRS[name]().eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    arch = presets.build(name, resolution_px=96)
    file = tmp_path / "weights.pth"
    torch.save(theirs.state_dict(), file)
    ours = torch_model.Network(arch)
    ours.load_state_dict(load(file, arch))
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        expected, got = theirs(x), ours.eval()(x)
    assert torch.allclose(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    back = to_torchvision(ours.state_dict(), arch, theirs.state_dict())
    assert list(back) == list(theirs.state_dict())
    assert all(torch.equal(back[key], tensor) for key, tensor in theirs.state_dict().items())


def test_the_first_tensor_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """And the file, where one is read."""
    state = torchvision.models.mobilenet_v3_small().state_dict()
    file = tmp_path / "weights.pth"
    torch.save(state, file)
    with pytest.raises(
        UsageError, match=rf"^{file}: classifier\.3\.weight has shape \[1000, 1024\]"
    ):
        load(file, presets.build("mobilenet_v3_small", classes=10))
    with pytest.raises(UsageError, match=r"features\.1\.block\.1\.fc1\.weight has shape"):
        from_torchvision(state, presets.build("mobilenet_v3_large"))
    with pytest.raises(UsageError, match=r"classifier\.3\.weight has shape \[1000, 1024\]"):
        from_torchvision(state, presets.build("mobilenet_v3_small", classes=10))
    with pytest.raises(UsageError, match="unexpected tensor extra"):
        from_torchvision(state | {"extra": torch.zeros(1)}, presets.build("mobilenet_v3_small"))


class Evil:
    """What a pickle may hold; loading must refuse it unread."""


def test_pickles_of_anything_else_are_refused(tmp_path: Path) -> None:
    arch = presets.build("mobilenet_v3_small")
    file = tmp_path / "evil.pth"
    torch.save({"a": Evil()}, file)
    with pytest.raises(UsageError, match="is not a plain state dict"):
        load(file, arch)
    file.write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="is not a plain state dict: it is damaged, or holds more"):
        load(file, arch)
    torch.save({"a": 3}, file)
    with pytest.raises(UsageError, match="is not a state dict of tensors"):
        load(file, arch)
    with pytest.raises(UsageError, match="no such file"):
        load(tmp_path / "none.pth", arch)


def test_what_is_not_a_weight_file_is_refused_without_torchs_advice(tmp_path: Path) -> None:
    file = tmp_path / "picture.pth"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(UsageError, match=r"picture\.pth is not a plain state dict") as caught:
        load(file, presets.build("mobilenet_v3_small"))
    assert "weights_only" not in str(caught.value)


def test_a_weight_file_that_was_cut_off_is_called_damaged(tmp_path: Path) -> None:
    file = tmp_path / "cut.pth"
    torch.save({"a": torch.zeros(1000)}, file)
    for end in (0, 100, file.stat().st_size - 10):
        (tmp_path / "part.pth").write_bytes(file.read_bytes()[:end])
        with pytest.raises(UsageError, match=r"part\.pth is not a plain state dict: it is damaged"):
            load(tmp_path / "part.pth", presets.build("mobilenet_v3_small"))


def test_the_class_count_is_that_of_the_last_tensor() -> None:
    assert classes(torchvision.models.mobilenet_v3_small(num_classes=7).state_dict()) == 7
    assert classes({"bias": torch.zeros(1)}) is None
    assert classes({"weight": torch.zeros(7, 3)}) is None
    assert classes({}) is None
