"""What a network argument means, and what is said of a file that is no network."""

from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.results.networks import load_network
from bneck.results.run import Run
from tests.command_line import said
from tests.small_networks import saved, three_stages

EXPECTED = "expected a preset, a network's JSON file or a run's folder"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tflite", b"\x1c\0\0\0TFL3\xff", f"is a LiteRT file, which bneck .* read; {EXPECTED}$"),
        (
            "a.pt",
            b"PK\3\4\0\0\xff",
            f"is a file of weights; {EXPECTED}; --weights and --pretrained",
        ),
        ("a.json", b"\x08\x0a\0\xff", f"is a binary file; {EXPECTED}$"),
        ("a.bin", b"\x08\x0a\0\xff", f"is a binary file; {EXPECTED}$"),
        ("a.onnx", b"\x08", f"is an ONNX file; {EXPECTED}; `bneck latency --onnx FILE --measure`"),
        ("a.txt", b"\xff", "is not text in UTF-8: invalid start byte"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"/{name} {said}"):
        load_network(str(tmp_path / name))


def test_of_a_file_in_a_run_the_runs_folder_is_named(tmp_path: Path) -> None:
    """Other text says what is expected, and a file named .json what is wrong in it."""
    net, page, facts = (tmp_path / name for name in ("net.txt", "report.html", "images.json"))
    page.write_text("<!doctype html>")
    facts.write_text("{}")
    unread = f"^{page} is not valid JSON: .*; {EXPECTED}"
    with pytest.raises(UsageError, match=f"{unread}$"):
        load_network(str(page))
    with pytest.raises(UsageError, match=f"^{facts}: architecture lacks the key 'classes'$"):
        load_network(str(facts))
    (tmp_path / "plan.toml").touch()
    for file, begins in ((page, unread), (facts, f"^{facts}: .*; {EXPECTED}")):
        with pytest.raises(UsageError, match=f"{begins}, which is {tmp_path} here$"):
            load_network(str(file))
    (tmp_path / "weights.pt").write_bytes(b"PK\0")
    with pytest.raises(UsageError, match=f"{EXPECTED}, which is {tmp_path} here; --weights and"):
        load_network(str(tmp_path / "weights.pt"))
    assert load_network(str(saved(three_stages(), net))) == three_stages()


@pytest.mark.parametrize(
    "command",
    [
        "show {}", "export {} x.onnx", "predict {} .", "latency kit --network {} --out kit",
        "train mobilenet_v3_small --pretrained {} --out new",
    ],
)  # fmt: skip
def test_of_a_reproduction_the_runs_of_its_stages_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    """It has no network of its own, however often its command is run again."""
    monkeypatch.chdir(tmp_path)
    Run.open(Path("all"), {"data": "digits"}, command="bneck reproduce v3-small --out all").close()
    message = (
        "bneck: all holds a run of `bneck reproduce`: name the folder of one of its stages, such "
        "as search-paper or netadapt/1x\n"
    )
    assert said(capsys, *command.format("all").split()) == (2, "", message)
