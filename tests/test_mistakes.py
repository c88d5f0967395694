"""A user's mistakes, in every documented command: one line, exit code 2, no traceback."""

import ast
import os
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

import bneck
from bneck import records
from bneck.cli import run
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.latency.model import load
from bneck.reproduction.plan import ReproductionPlan
from bneck.space import presets
from tests.command_line import said

NET = "mobilenet_v3_small"
NOT_UTF8 = os.fsdecode(b"n\xff")
HUGE = "9" * 5000
"""More digits than Python reads as a whole number."""
NO_NETWORKS = ("", "nonet", "none.json", "empty.json", "binary", "nothing", "folder", NOT_UTF8)

RUNS = {
    "--seed": ("-1", "x", "9" * 23),
    "--resolution": ("-3", "4", "100000", "x"),
    "--data": (
        "", "imagenet", "folder:", "npz:", "folder", "nothing", "folder:folder", "folder:none",
        "npz:nothing", "npz:none", "npz:columns.csv", NOT_UTF8, f"folder:{NOT_UTF8}",
    ),
}  # fmt: skip
DEVICES = {"--device": ("", "tpu", "cuda:x", "cuda:-1", f"cuda:{HUGE}")}
EPOCHS = {"--epochs": ("-1", "0", "inf", "nan", "", "x")}
DEVICE = {
    "--space": ("", "v9", "nomodule:attr", "os:path", ":"),
    "--runtime": ("", "x", "nomodule:attr", "os:nope", ":x"),
    "--threads": ("0", "-1", "1.5", "100000"),
    "--latency": ("", "none.json", "empty.json", "binary", "folder", "nothing", NOT_UTF8),
    "--calibration-minutes": ("0", "-1", "nan", "inf", "x"),
    "--workers": ("0", "-2", "x"),
    "--ray": ("", "x", "ray://"),
    "--gpus-per-trial": ("-1", "1", "1.5", "0.3", "nan"),
    "--cpus-per-trial": ("0", "2", "0.6", "inf"),
    "--time-limit": ("0", "-1", "nan"),
}
TARGET_DEVICES = (
    (("--target-device", "adb:"), "a phone is measured with --runtime litert or litert-int8"),
    (("--target-device", "ssh:-x"), r"expected ssh:USER@HOST\[:PORT\]\[/PYTHON\], got ssh:-x"),
    (("--target-device", "ssh:u@h", "--runtime", "torch"), "'torch' runs on this machine only"),
    (("--target-device", "file:kit", "--runtime", "macs"), "'macs' runs on this machine only"),
    (("--target-device", "file:columns.csv"), "columns.csv is a file, not a folder"),
    (("--target-device", "file:kit", "--calibrate", "anew"), "--calibrate has no effect on file:k"),
    (("--target-device", "table:t.csv", "--threads", "2"), "--threads has no effect on table:t.c"),
    (("--target-device", "table:t.csv", "--accept-version"), "--accept-version has no effect on t"),
)
TARGETS = {
    "--target": (
        "", "0", "-1", "nan", "inf", "1e9", "soon", "2ms", "1,2", NOT_UTF8, "0.8x:", "0.8x:nonet",
        f"0x:{NET}", f"0.8x:{NET}@0", f"0.8x:{NET}@99999", f"0.8x:{NET}@{HUGE}",
    ),
    "--targets": ("", ",", "1,", "1,,2", "1,-2", "1,1", "a,b"),
}  # fmt: skip
SEARCH = {
    "--sampler": ("", "x", "nomodule:attr", "os:path"),
    "--evaluations": ("0", "-1", "1e3"),
    "--parallel": ("0", "-1"),
    "--proxy": (
        "", "x", "nomodule:attr", "shared-weights:", "shared-weights:none",
    ),
    "--reward-exponent": ("1", "-11", "nan"),
    "--seed-factor": ("0", "-1", "nan", "1"),
    "--search-steps": ("0", "-1"),
    "--folds": ("0", "-1", "21", "x"),
}  # fmt: skip
NETADAPT = {"--delta": ("0", "-1", "nan", "1"), "--fine-tune-steps": ("0", "-1")}
WEIGHTS = {"--weights": ("", "none.pth", "folder", "loop", "binary", "pickled", NOT_UTF8)}
TEACHER = {"--teacher": ("", "none", "none.onnx", "folder")}
PRETRAINED = {"--pretrained": ("", "none", "none.pth", "folder", "loop", NOT_UTF8)}
FRONT = {
    "--reward": ("", "x", "nomodule:attr", "os:getcwd"),
    "--confidence": ("0", "1", "-1", "nan"),
    "--data": (
        "table:",
        "table:none",
        "table:columns.csv",
        "table:nothing",
        "table:binary",
        "table:~no-such-user/a.csv",
    ),
}
COMMANDS = {
    "derive": (("--target", "2"), (RUNS, EPOCHS, DEVICES, DEVICE, SEARCH, NETADAPT, PRETRAINED)),
    "search": (("--target", "2"), (RUNS, DEVICE, SEARCH, FRONT)),
    "shrink": ((NET, "--target", "2"), (RUNS, EPOCHS, DEVICE, NETADAPT, PRETRAINED)),
    "train": ((NET,), (RUNS, EPOCHS, DEVICES, PRETRAINED, TEACHER)),
}
SIZES = {
    "--width": ("", "0", "-1", "nan", "99"),
    "--resolution": ("0", "-1", "1", "x"),
    "--classes": ("0", "1", "-1", "100000000"),
}
OTHERS: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {
    ("search", "--target", "2", "--out", "r", "--eager"): {"--parallel": ("2",)},
    ("show", NET): SIZES,
    ("export", NET, "x.onnx"): SIZES | {"--to": ("", "X", "pytorch", "onnx-int8"), **WEIGHTS},
    ("export", NET): {"nothing/x.onnx": (), "loop/x.onnx": ()},
    ("latency", NET, "--measure"): SIZES
    | {"--runtime": ("", "x"), "--threads": ("0", "-1"), "--model": ("none", "table:", "binary")},
    ("latency", "--measure"): {"--onnx": ("", "none", "nothing", "binary", "folder")},
    ("latency", "kit"): {"--out": ("nothing", "nothing/kit", "loop"), "--space": ("v9",)},
    ("latency", "kit", "--out", "kit"): {"--runtime": ("", "x", "torch", "macs")},
    ("latency", NET, "--onnx", "none"): {"--model": ("",)},
    ("calibrate",): {
        "--out": (
            "folder",
            "nothing/m.json",
            "nothing/a/m.json",
            "loop/m.json",
            "m.html",
            "columns.csv",
            "binary",
            "/dev/null",
        )
    },
    ("calibrate", "--out", "m.json", "--wait-quiet", "1"): {
        "--target-device": ("adb:", "file:folder", "table:columns.csv")
    },
    ("calibrate", "--out", "m.json"): {
        "--space": ("", "v9", "v3-small,"),
        "--runtime": ("", "x"),
        "--threads": ("0",),
        "--minutes": ("0", "-1", "nan", "inf", "1e9"),
        "--wait-quiet": ("-1", "nan", "inf"),
        "--target-device": ("", "x", "table:none", "ssh:"),
        "--seed": ("-1",),
        "--from": ("none", "empty.json", "binary", "nothing"),
    },
    ("compare", NET, "--no-measure"): {
        "--model": ("none", "binary"),
        "--plot": ("x.gif", "", "nothing/x.svg"),
    },
    ("likeness", NET, "--latency", "macs", "--space", "v3-small"): {
        "--to": ("", "nonet"),
        "--networks": ("3", "x", "9" * 30),
        "--out": ("nothing", "nothing/below", "loop", "loop/below"),
        "--space": ("v9",),
        "--latency": ("none", "empty.json"),
    },
    ("reproduce", "v3-small", "--out", "r"): {
        "--stage": ("", "x", "train-7", "netadapt"),
        "--factors": ("", "a", "-1", "0"),
        "--repeated": ("", "7"),
        "--seeds": ("0",),
        "--random-networks": ("1",),
        "--workers": ("0",),
        "--delta": ("9",),
        "--calibration-minutes": ("-1",),
        "--sampler": ("x",),
        "--evaluations": ("0",),
    },
    ("proxies", "score", "--table", "columns.csv"): {
        "--table": ("none", "nothing", "columns.csv", "binary", "folder"),
        "--space": ("v9",),
        "--networks": ("1",),
        "--steps": ("0",),
        "--plot": ("folder", "nothing/x.html"),
    },
    ("pretrain", "--elastic", "--out", "w"): {
        NET: (),
        "--branches": (),
        "--teacher": (NET,),
        "--gpus": ("2",),
        "--space": ("v9",),
        "--data": ("x",),
        "--resolution": ("1",),
    },
    ("evaluate", NET, "--data", "digits"): {"--weights": ("", "none.pth", "folder", NOT_UTF8)},
    ("images",): {
        "nothing": (),
        "none": (),
        "loop": (),
        "folder": (),
        "--resolution": ("32",),
        "--seed": ("1",),
        "--skip-unreadable": (),
    },
    ("runs", "--break-lock"): {"folder": (), "nothing": (), "none": ()},
    ("predict",): {"nothing": ("none.png",), "folder": ("nothing",), "none.onnx": ("nothing",)},
    (): {"nope": (), "derive": ("--nope",), "shw": (NET,), "--nope": (), "show": ("a b",)},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a user may name by mistake."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "nothing").touch()
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "pickled").write_bytes(b"\x80\x02\x85.")  # a tuple of nothing
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> list[str]:
    """What is wrong with how a mistake was answered."""
    before = {*folder.iterdir()}
    code = run(list(arguments))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    wrong = [f"exit code {code}"] * (code != 2) + ["printed to stdout"] * bool(out)
    if len(lines) != 1 or not lines[0].startswith("bneck: ") or "Traceback" in err:
        wrong.append(f"said {err[-300:]!r}")
    wrong += [f"left {path.name!r}" for path in {*folder.iterdir()} - before]
    return [f"{arguments}: {one}" for one in wrong]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_make_a_run(
    capsys: pytest.CaptureFixture[str], folder: Path, command: str
) -> None:
    arguments, tables = COMMANDS[command]
    wrong = []
    for table in tables:
        for option, values in table.items():
            for value in values:
                wrong += check(capsys, folder, command, *arguments, "--out", "run", option, value)
    for out in ("nothing", "nothing/below", "folder/../columns.csv"):
        wrong += check(capsys, folder, command, *arguments, "--out", out)
    wrong += check(capsys, folder, command, *arguments)
    if "--target" in arguments:
        start = [command, *arguments[: arguments.index("--target")], "--out", "run"]
        wrong += check(capsys, folder, *start)
        wrong += check(capsys, folder, *start, "--target", "1", "--targets", "1,2")
        for option, values in TARGETS.items():
            for value in values:
                wrong += check(capsys, folder, *start, option, value)
    if NET in arguments:
        for net in NO_NETWORKS:
            rest = arguments[1:]
            wrong += check(capsys, folder, command, net, *rest, "--out", "run")
    assert wrong == []


@pytest.mark.parametrize(("options", "expected"), TARGET_DEVICES)
def test_a_target_device_that_cannot_be_is_answered_before_images_are_loaded(
    capsys: pytest.CaptureFixture[str], folder: Path, options: tuple[str, ...], expected: str
) -> None:
    (folder / "t.csv").write_text("block,ms\nstem.conv,1\n")
    before = {*folder.iterdir()}
    code, out, err = said(capsys, "derive", "--target", "2", "--out", "run", *options)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert re.search(expected, err), err
    assert {*folder.iterdir()} == before


@pytest.mark.parametrize("command", OTHERS, ids=" ".join)
def test_other_commands(
    capsys: pytest.CaptureFixture[str], folder: Path, command: tuple[str, ...]
) -> None:
    wrong = []
    for option, values in OTHERS[command].items():
        for value in values or ("",):
            wrong += check(capsys, folder, *command, option, *([value] if values else []))
    assert wrong == []


@pytest.mark.parametrize("command", ["show", "export", "likeness", "compare", "report", "predict"])
def test_names_of_no_network(
    capsys: pytest.CaptureFixture[str], folder: Path, command: str
) -> None:
    rest = {"export": ("x.onnx",), "predict": ("nothing",), "compare": ("--no-measure",)}
    wrong = []
    for net in NO_NETWORKS:
        wrong += check(capsys, folder, command, net, *rest.get(command, ()))
    assert wrong == []


def test_a_bare_path_is_offered_as_folder(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert run(["train", NET, "--out", "run", "--data", "folder"]) == 2
    assert "unknown image data 'folder'; did you mean folder:folder?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("train", "", "--out", "x"), "NET"),
        (("train", NET, "--out="), "--out"),
        (("report", ""), "RUN"),
        (("runs", ""), "FOLDER"),
        (("images", ""), "DIR"),
        (("predict", "run", "a.png", ""), "IMAGE"),
        (("compare", NET, ""), "NET"),
        (("latency", "", "--measure"), "NET"),
        (("latency", NET, "--measure", "--model", ""), "--model"),
        (("export", NET, ""), "FILE"),
        (("proxies", "score", "--table", "a.csv", "--proxy", ""), "--proxy"),
    ],
)
def test_an_empty_value_is_refused_by_name_even_where_a_run_is_at_work(
    capsys: pytest.CaptureFixture[str], folder: Path, arguments: tuple[str, ...], name: str
) -> None:
    """An empty path would be the working directory, which may be a run's folder."""
    (folder / "plan.toml").touch()
    before = {*folder.rglob("*")}
    assert said(capsys, *arguments) == (2, "", f"bneck: {name} must not be empty\n")
    assert {*folder.rglob("*")} == before


def test_a_value_of_the_wrong_type_is_called_as_the_option_is(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Whether it was typed or is in a plan edited by hand, whose file is named."""
    asked = ("derive", "--target", "2", "--out", "run", "--calibration-minutes", "nan")
    message = "calibration-minutes must be a finite number, got nan"
    assert said(capsys, *asked) == (2, "", f"bneck: {message}\n")
    (folder / "plan.toml").write_text('search_steps = "many"\n')
    message = f"{folder / 'plan.toml'}: search-steps must be a whole number, got 'many'"
    code, _, err = said(capsys, "report", folder)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_likeness_is_not_sought_where_its_run_cannot_take_it(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "folder" / "plan.toml").write_text('space = "v3-small"\n')
    records.write(folder / "folder" / "network.json", presets.build(NET))
    (folder / "folder").chmod(0o555)
    message = f"bneck: {folder / 'folder'} is not writable\n"
    assert said(capsys, "likeness", "folder", "--latency", "macs") == (1, "", message)
    given = ("--latency", "macs", "--networks", "10", "--out", "new")
    assert said(capsys, "likeness", "folder", *given)[0] == 0


def test_options_are_named_as_they_are_typed() -> None:
    """No sentence or error calls --search-steps search_steps, as the field of a plan is called."""
    plans = (Plan, Execution, ReproductionPlan)
    names = {one.name for plan in plans for one in fields(plan) if "_" in one.name}
    found = []
    for file in sorted(Path(bneck.__file__).parent.rglob("*.py")):
        for text in said_to_users(ast.parse(file.read_text(encoding="utf-8"))):
            words = names.intersection(re.findall(r"\w+", text.value))
            found += [f"{file.name}:{text.lineno}: {word}" for word in words]
    assert found == []


def said_to_users(tree: ast.AST) -> list[ast.Constant]:
    """The texts of several words that are not docstrings, and whatever an error is made of."""
    nodes = list(ast.walk(tree))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    errors: list[ast.AST] = [node for node in nodes if isinstance(node, ast.Raise)]
    checks = ("check_range", "check_word")
    errors += [one for one in nodes if isinstance(one, ast.Call) and named(one.func) in checks]
    of_errors = {id(part) for error in errors for part in ast.walk(error)}
    texts = [node for node in nodes if isinstance(node, ast.Constant)]
    return [
        text
        for text in texts
        if isinstance(text.value, str)
        and (id(text) in of_errors or (" " in text.value and id(text) not in docstrings))
    ]


def named(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def test_a_latency_model_of_another_resolution_is_refused_before_images_are_loaded(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["derive", "--target=2", "--resolution=32", f"--latency={digits_latency}"]
    assert run([*command, f"--out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "was calibrated at 16 px, not at 32 px" in error
    assert error.endswith("; give --resolution 16, or a model calibrated at 32 px\n")
    assert not (tmp_path / "run").exists()


def test_a_latency_model_of_another_side_than_the_images_is_refused_before_any_is_decoded(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
        (photos / name / "0.png").write_text("not an image")
    words = ("--runtime=macs", f"--latency={digits_latency}", f"--data=folder:{photos}")
    assert run(["derive", "--target=2", *words, f"--out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("; give --resolution 16, or a model calibrated at 224 px\n")


def test_a_latency_model_of_another_device_is_refused_before_images_are_loaded(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(digits_latency)
    elsewhere = tmp_path / "pi.json"
    replace(model, device=replace(model.device, cpu="Cortex-A72")).save(elsewhere)
    older = tmp_path / "older.json"
    replace(model, device=replace(model.device, version="0")).save(older)
    macs = ("--runtime", "macs")
    for latency, options, expected in (
        (digits_latency, (), r"was calibrated on \[.* macs 1, .*\] and this is \[.* onnxruntime "),
        (elsewhere, macs, r"was calibrated on \[Cortex-A72, .*\] and this is \["),
        (digits_latency, (*macs, "--threads", "2"), r" 1 thread\] and this is .* 2 threads\]"),
        (older, macs, r"calibrated with macs 0, and local has 1: .* --accept-version"),
    ):
        command = ("derive", "--target", "2", "--latency", latency, *options)
        code, out, err = said(capsys, *command, "--out", tmp_path / "run")
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert re.search(expected, err), err
    assert not (tmp_path / "run").exists()
