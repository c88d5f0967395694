"""The command line as a user meets it: help, JSON, one line for every mistake."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bneck
from bneck.cli import run
from bneck.derivation.command_options import OPTIONS
from bneck.latency.runtimes import RUNTIMES
from bneck.proxies.data.image_spec import NAMED_SETS
from bneck.proxies.proxy import PROXIES
from bneck.results.exports import EXPORTS
from bneck.search.reward import REWARDS
from bneck.search.samplers import SAMPLERS
from bneck.space.spaces import SPACES
from tests.command_line import said

COMMANDS = (
    "derive", "search", "shrink", "train", "calibrate", "show", "export", "predict", "report"
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = said(capsys, command, "--help")
    assert code == 0
    assert "Usage:" in out
    assert "--json" in out


def test_options_are_under_headings_and_words_come_from_the_tables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = said(capsys, "search", "--help")
    headings = [line for line in out.splitlines() if re.fullmatch(r"[A-Z].*:", line)]
    assert headings == ["Target:", "Data:", "Search:", "Training:", "Where it runs:", "Options:"]
    words = " ".join(out.split()).replace("- ", "-")  # words are broken at hyphens
    tables = (SPACES, RUNTIMES, SAMPLERS, REWARDS, NAMED_SETS)
    assert [word for table in tables for word in table if word not in words] == []
    assert [word for word in ("short-training", "shared-weights:RUN") if word not in words] == []
    _, out, _ = said(capsys, "proxies", "score", "--help")
    words = " ".join(out.split()).replace("- ", "-")
    assert [word for word in PROXIES if word not in words] == []
    _, out, _ = said(capsys, "export", "--help")
    words = " ".join(out.split()).replace("- ", "-")
    assert [word for word in EXPORTS if word not in words] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("shrink", ("Training steps of NET before", "a share of NET's", "one NetAdapt goes")),
        ("pretrain", ("Space whose largest network is trained",)),
        ("train", ("Trained network whose weights NET starts from: imagenet",)),
    ],
)
def test_options_are_explained_by_what_the_command_does(
    capsys: pytest.CaptureFixture[str], command: str, words: tuple[str, ...]
) -> None:
    out = " ".join(said(capsys, command, "--help")[1].split())
    assert all(text in out for text in words)
    assert "the search" not in out.replace("the network that the search finds", "")
    assert "all others" not in out
    assert "calibrate the device" not in out


def test_usage_has_one_kind_of_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    for command, usage in (
        ("predict", "[OPTIONS] RUN IMAGE..."),
        ("compare", "[OPTIONS] NET NET..."),
        ("runs", "[OPTIONS] [FOLDER]"),
        ("report", "[OPTIONS] RUN"),
        ("latency", "[OPTIONS] [NET]"),
    ):
        help_ = said(capsys, command, "--help")[1]
        assert help_.startswith(f"Usage: bneck {command} {usage}\n")
        name = usage.split()[1].strip("[]")
        assert f"Arguments:\n  {name}" in help_  # as the usage calls it


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == (0, f"{bneck.__version__}\n", "")


def test_the_command_is_a_module_too() -> None:
    command = [sys.executable, "-m", "bneck", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{bneck.__version__}\n"


@pytest.mark.parametrize("command", ["derive", "search", "shrink", "train"])
def test_every_option_of_a_run_reaches_its_plan(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    _, out, _ = said(capsys, command, "--help")
    for name in OPTIONS[command]:
        assert f"  --{name.removesuffix('_px').replace('_', '-')} " in out
    unknown = {"reward", "confidence", "finish"} - {*OPTIONS[command]}
    for name in unknown:
        assert f"--{name} " not in out


def test_help_needs_none_of_the_heavy_libraries() -> None:
    heavy = "{'torch', 'onnx', 'onnxruntime', 'optuna', 'ray', 'plotly', 'sklearn', 'numpy'}"
    code = (
        f"from bneck.cli import run; run(['--help']); import sys; print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_ones_own_module_may_lie_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise ImportError('mine was found')")
    script = "import sys; sys.path.insert(0, {!r}); from bneck.cli import main; main()"
    command = [sys.executable, "-P", "-c", script.format(str(Path(__file__).parents[1]))]
    done = subprocess.run(
        [*command, "calibrate", "--runtime=mine:Own", "--out=model.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "mine was found" in done.stderr


def test_a_mistake_is_answered_before_the_heavy_libraries_are_imported(tmp_path: Path) -> None:
    for name in ("page.html", "net.onnx"):
        (tmp_path / name).write_text("<!doctype html>")
    (here := tmp_path / "here").mkdir()
    (tmp_path / "folder.onnx").mkdir()
    mistakes = [
        "derive --out r --target soon",
        "derive --out r --target 2 --space v4",
        "derive --out r --target 2 --data folder:nowhere",
        "derive --out r --target 2 --sampler bayes",
        "derive --out r --target 2 --proxy shared-weights:nowhere",
        "derive --out r --target 2 --workers 0",
        "derive --out r --target 2 --ray nowhere",
        "derive --out r --target 2 --runtime tvm",
        "shrink mobilenet_v3_small --out r --target 2 --pretrained no.pth",
        "train mobilenet_v3_small --out r --epochs 0",
        "reproduce v3-small --out r --data imagenet",
        "export mobilenet_v1 x --to ncnn",
        "export mobilenet_v1 x.onnx --weights no.pth",
        "export mobilenet_v1 x.onnx --to onnx-int8",
        "report nowhere",
        "runs nowhere",
        "calibrate --out model.json --runtime tvm",
        "latency mobilenet_v1 --model no.json",
        "predict nowhere x.png",
        "evaluate nowhere",
        "evaluate ../page.html",
        "evaluate ../page.html --data digits",
        "evaluate ../page.html --data digits --weights ../page.html",
        "evaluate .. --data digits",
        "evaluate ../net.onnx",
        "evaluate ../folder.onnx --data digits",
        "compare nonet nonet",
        "proxies score --table no.csv",
        "pretrain --out w --elastic --space v4",
    ]
    heavy = "{'torch', 'onnx', 'onnxruntime', 'optuna', 'ray', 'plotly', 'sklearn', 'scipy'}"
    code = (
        f"from bneck.cli import run; codes = [run(each.split()) for each in {mistakes}]; "
        f"import sys; print({{*codes}}, {heavy} & {{*sys.modules}})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here)
    assert done.stdout.splitlines()[-1] == "{2} set()", done.stderr
    assert len(done.stderr.splitlines()) == len(mistakes)
    assert list(here.iterdir()) == []


def test_looking_at_a_run_needs_no_library_that_trains(tmp_path: Path) -> None:
    run = Path(shutil.copytree(Path(__file__).parent / "results" / "run_of_0.1", tmp_path / "run"))
    commands = [["runs", str(tmp_path)], ["report", str(run)]]
    heavy = "{'torch', 'onnx', 'onnxruntime', 'optuna', 'ray', 'sklearn', 'scipy', 'matplotlib'}"
    code = (
        f"from bneck.cli import run; codes = [run(each) for each in {commands}]; "
        f"import sys; print(codes, {heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0] set()", done.stderr


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["latency"], ["proxies"]):
        code, _, err = said(capsys, *arguments)
        assert code == 2
        assert err.startswith("Usage: ")
        assert len(err.splitlines()) > 5


def test_space_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = {*sys.modules}; import bneck.space.presets, bneck.space.spaces, "
        "bneck.space.cost, bneck.space.edits, bneck.space.codec; "
        "new = {name.split('.')[0] for name in {*sys.modules} - before}; "
        "print(new - {*sys.stdlib_module_names})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'bneck'}"


def test_the_list_of_commands_cuts_no_sentence_short(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "--help")
    assert [line for line in out.partition("Commands:")[2].splitlines() if "..." in line] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "mobilenet_v9"], "'mobilenet_v9' is not a network; expected a JSON file"),
        (["show", "mobilenet_v1", "--width", "99"], "width must be a number from 0.05 to 8"),
        (["show", "mobilenet_v1", "--width", "wide"], "--width"),
        (["show", "mobilenet_v1", "--resolution", "1"], "resolution must be .* got 1"),
        (["show"], "Missing argument 'NET'"),
        (["shw"], "No such command 'shw'"),
        (["show", "mobilenet_v1", "--blocks"], "No such option"),
        (["export", "mobilenet_v1", "x", "--to", "ncnn"], "unknown export format 'ncnn'"),
        (["export", "mobilenet_v1", "x.onnx", "--weights", "no.pth"], "no such file: no.pth"),
        (["export", "mobilenet_v1", "x.tflite"], "a file of onnx ends in .onnx, got 'x.tflite'"),
        (["export", "mobilenet_v1", "x", "--to", "pytorch"], "a file of pytorch ends in .py"),
        (["export", "mobilenet_v1", "x.tflite"], "; .tflite is written by --to tflite or tflite-i"),
        (["export", "mobilenet_v1", "x.onnx", "--to", "pytorch"], "by --to onnx or onnx-int8"),
        (["export", "mobilenet_v1", "x", "--to", "onnx"], "ends in .onnx, got 'x'$"),
        (
            ["export", "mobilenet_v1", "torchvision.py", "--to", "torchvision"],
            "torchvision.py would hide the module torchvision: use another name",
        ),
        (["derive", "--target", "2"], "Missing option '--out'"),
        (["derive", "--target", "2", "--space", "v4"], "unknown space 'v4'; known: v3-small"),
        (["derive", "--target", "2", "--data", "imagenet"], "unknown image data 'imagenet'"),
        (["derive", "--target", "2", "--data", "folder:nowhere"], "nowhere"),
        (["derive", "--target", "2", "--runtime", "tvm"], "unknown runtime 'tvm'; known: litert"),
        (["derive", "--target", "2", "--sampler", "bayes"], "unknown sampler 'bayes'"),
        (["derive", "--target", "2", "--evaluations", "0"], "evaluations must be .* got 0"),
        (["derive", "--target", "2", "--seed-factor", "0.5"], "seed-factor must be .* got 0.5"),
        (["derive", "--target", "2", "--seed-factor", "1"], "seed-factor must be above 1: the sea"),
        (["derive", "--target", "2", "--delta", "7"], "delta must be .* got 7"),
        (["derive", "--target", "2", "--reward-exponent", "1"], "reward-exponent must be .* got 1"),
        (["search", "--target", "2", "--reward", "big"], "unknown reward 'big'; known: soft, hard"),
        (["derive", "--target", "2", "--latency", "no.json"], "no such file: no.json"),
        (["derive", "--target", "2", "--latency", "macs"], "multiply-adds are --runtime macs"),
        (["derive", "--target", "2", "--from-scratch"], "no effect without --pretrained"),
        (["search", "--target", "2", "--proxy", "synflow"], "--proxy synflow scores on a scale of"),
        (["derive", "--targets", "0.9x:mobilenet_v1,0.90x:mobilenet_v1"], "names 0.90x:.* twice"),
        (
            ["derive", "--target", "2", "--latency", "no.json", "--calibrate", "anew"],
            "give either --latency no.json or --calibrate anew, not both",
        ),
        (
            ["derive", "--target=2", "--target-device=file:kit", "--calibration-minutes=3"],
            "--calibration-minutes has no effect on file:kit: leave it out",
        ),
        (["derive", "--target", "soon"], "target must be ms above 0 .* got 'soon'"),
        (["derive", "--target", "0.8x:nonet"], "'nonet' is not a network"),
        (["derive", "--target", "2", "--threads", "100000"], "threads must be .* got 100000"),
        (["derive", "--target", "2", "--search-steps", "0"], "search-steps must be .* got 0"),
        (["derive", "--target", "2", "--epochs", "nan"], "epochs must be a finite number, got nan"),
        (["derive", "--target", "2", "--seed", "9" * 23], "seed must be .* 4294967295, got 9"),
        (["train", "mobilenet_v1", "--ray", "auto"], "--ray has no effect without --gpus"),
        (["pretrain", "--out", "run", "--ray", "auto"], "--ray has no effect without --gpus"),
        (
            ["pretrain", "mobilenet_v2", "--out", "run", "--space", "mnasnet"],
            "--space has no effect with NET",
        ),
        (
            ["train", "mobilenet_v1", "--out", "run", "--teacher", "imagenet"],
            "imagenet does not say whose weights are meant, as torchvision has none for "
            "mobilenet_v1; name one of: mobilenet_v2, ",
        ),
        (["derive", "--target", "2", "--ray", "head"], "ray must be auto, local or ray://"),
        (["derive", "--target", "2", "--evaluations", "few"], "'--evaluations'.* 'few'"),
        (["images", "--seed", "-1"], "'--seed'.* '?-1"),
        (["derive", "--target", "2", "--space", "v3-smal"], "; did you mean v3-small\\?"),
        (["train", "mobilenet_v3_smal"], "; did you mean mobilenet_v3_small\\?"),
        (["train", "mobilenet_v1", "--pretrained", "imagnet"], "; did you mean imagenet\\?"),
        (
            ["train", "mobilenet_v1", "--augmentation", "crop-flip"],
            ", joined by \\+; did you mean crop-and-flip\\?",
        ),
        (["train", "mobilenet_v9"], "'mobilenet_v9' is not a network"),
        (["report", "nowhere"], "nowhere is not a run's folder"),
        (["show", "x" * 300], "^bneck: cannot use x{300}: File name too long$"),
        (
            ["export", "mobilenet_v1", f"{'x' * 300}.onnx"],
            "^bneck: cannot use x{300}.onnx: File name too long$",
        ),
        (["pretrain", "--out", "x" * 300], "^bneck: cannot use x{300}: File name too long$"),
        (["pretrain", "--out", "xxx/" * 2000], "cannot use (xxx/){1999}xxx: File name too long$"),
        (
            ["shrink", "mobilenet_v1", "--target", "2", "--out", "run", "--epochs", "3"],
            "--epochs has no effect without --finish: leave it out",
        ),
        (["calibrate", "--out", "m.json", "--target-device", "file:run.txt"], "is a file, not a"),
        (["images", "--seed", "3"], "--seed has no effect without DIR: leave it out"),
        (["images", "x", "--remove", "--verify"], "--verify and --remove exclude each other"),
        (["images", "x", "--remove", "--resolution=32"], "--resolution has no effect with --rem"),
        (["images", "typo", "--remove"], "no such folder: typo, and no squares of that name: `b"),
        (["images", "--remove"], "name the folder of images whose squares are meant"),
        (["images", "digits"], "digits is not a folder of images: it is prepared where --data f"),
        (["images", "npz:a.npz"], "npz:a.npz is not a folder of images: it is prepared where "),
        (["latency", "mobilenet_v1", "--model", "no.json"], "no such file: no.json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.txt").touch()
    if arguments[0] in ("derive", "search", "train") and arguments != ["derive", "--target", "2"]:
        arguments = [*arguments, "--out", "run"]
    code, _, err = said(capsys, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("bneck: ")]
    assert code == 2
    assert len(lines) == 1
    assert re.search(words, lines[0]), lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(("closed", "network", "code"), [("2", "nonet", 2), ("1", "mnasnet_a1", 0)])
def test_streams_may_be_closed_from_the_start(closed: str, network: str, code: int) -> None:
    """What is said to stderr went to stdout, where results are read."""
    command = ["sh", "-c", f'exec "$0" -m bneck.cli show {network} {closed}>&-', sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_options_of_the_first_version_are_read_in_todays_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["search", "--target=1", "--data=digits", "--out=nowhere", "--batch=0"]
    assert run([*arguments, "--accuracy", "params"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "bneck: --batch is called --parallel now"
    assert said[1] == "bneck: --accuracy is called --proxy now"
    assert "parallel must be" in said[2]
    assert run(["train", "mobilenet_v3_small", "--batch=2", "--out=nowhere"]) == 2
    assert "No such option: --batch" in capsys.readouterr().err
