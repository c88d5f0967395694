"""``bneck show``."""

import json

import pytest
import torch
import torchvision

from tests.command_line import said


def test_show_prints_the_papers_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "show", "mobilenet_v3_small")
    assert code == 0
    assert "2,542,856 parameters, 56.5 M multiply-adds" in out
    # The stem's input and output: (3 x 224^2 + 16 x 112^2) x 4 bytes.
    assert ", 1.40 MB of activations at once, at 224 px\n" in out
    assert "s5.b3            7x7x96      bneck 5x5   576        96    SE  HS   1" in out


def test_show_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(
        capsys, "show", "mobilenet_v2", "--width", 0.75, "--resolution", 192, "--json"
    )
    shown = json.loads(out)
    assert code == 0
    assert list(shown)[:6] == [
        "name",
        "params",
        "macs",
        "peak_activation_bytes",
        "resolution_px",
        "blocks",
    ]
    with torch.device("meta"):
        theirs = torchvision.models.mobilenet_v2(width_mult=0.75)
    assert shown["params"] == sum(parameter.numel() for parameter in theirs.parameters())
    assert shown["resolution_px"] == 192
