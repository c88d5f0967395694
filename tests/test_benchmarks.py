"""Benchmarks run rarely: what they import from the package must still be there."""

import ast
import importlib
import os
import re
import subprocess
import sys
from argparse import ArgumentTypeError, Namespace
from importlib.util import find_spec
from pathlib import Path

import pytest

from bneck.cli import (
    exit_code_of,
    from_zero,
    new_file,
    new_folder,
    positive,
    whole_from_zero,
    whole_number,
)
from bneck.derivation.plan import Plan
from bneck.derivation.target import keep_targets
from bneck.errors import UsageError
from bneck.reproduction.plan import ReproductionPlan
from bneck.results.run import Run
from bneck.space import presets
from tests.proxies.data.pictures import draw

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(
    not BENCHMARKS.exists(), reason="benchmarks are not in this copy of the source"
)
SCRIPTS = [
    file
    for file in sorted(BENCHMARKS.rglob("*.py"))
    if "__main__" in file.read_text(encoding="utf-8")
]


def test_benchmarks_import_what_the_package_has() -> None:
    missing = []
    for file in sorted(BENCHMARKS.rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bneck"):
                module = importlib.import_module(node.module or "")
                missing += [
                    f"{file.name}: {node.module}.{name.name}"
                    for name in node.names
                    if not hasattr(module, name.name)
                    and find_spec(f"{node.module}.{name.name}") is None
                ]
    assert not missing


def test_benchmarks_answer_mistakes_in_one_line() -> None:
    """What is run as a script ends by ``exit_code_of``, as the command ``bneck`` does."""
    for file in SCRIPTS:
        text = file.read_text(encoding="utf-8")
        assert text.endswith("    sys.exit(exit_code_of(main))\n"), file.name


def test_benchmarks_remove_no_folder_that_a_user_named() -> None:
    """It may hold more than what the benchmark wrote."""
    found = []
    for file in SCRIPTS:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        parsers = {"asked", "arguments", "options"}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if "rmtree" in ast.unparse(call.func) and isinstance(call.args[0], ast.Attribute):
                found += [file.name] * (ast.unparse(call.args[0].value) in parsers)
    assert not found


@pytest.mark.parametrize("script", ["teacher", "pretrained"])
def test_a_benchmark_that_was_killed_while_it_wrote_resumes(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module, file = importlib.import_module(script), tmp_path / "records.jsonl"
    file.write_text('{"name": "a", "seconds": 1}\n{"name": "b", "sec')
    known = module.Records(file).known if script == "pretrained" else module.ended(file)
    assert known == {"a": {"name": "a", "seconds": 1}}


@pytest.mark.parametrize("eager", [False, True])
def test_simulated_workers_search(eager: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    asked = {"sampler": "random", "workers": 2, "parallel": None, "evaluations": 6, "eager": eager}
    lengths = {"mean": 1.0, "sigma": 1.0, "error": 0.3}
    found = importlib.import_module("busy_workers").busy(Namespace(**asked, **lengths))
    parts = ("busy_percent", "idle_at_the_start_percent", "idle_later_percent")
    assert sum(found[part] for part in parts) == pytest.approx(100, abs=0.2)


def test_numbers_that_no_benchmark_can_use_are_named() -> None:
    for read, texts in (
        (whole_number, ("", "0", "-1", "1.5")),
        (whole_from_zero, ("", "-1", "1.5")),
        (positive, ("x", "0", "nan", "inf")),
        (from_zero, ("x", "-1", "nan", "inf")),
    ):
        for text in texts:
            with pytest.raises(ArgumentTypeError, match=f"number .*, got '{text}'"):
                read(text)
    assert (whole_number("3"), positive("0.5")) == (3, 0.5)
    assert (whole_from_zero("0"), from_zero("0")) == (0, 0)


def test_benchmarks_take_no_number_that_they_cannot_use() -> None:
    """``int`` and ``float`` take -1 and nan; only the exponent w may be any number."""
    found = {}
    for file in SCRIPTS:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("add_argument"):
                types = [ast.unparse(one.value) for one in call.keywords if one.arg == "type"]
                if types in (["int"], ["float"]):
                    found[file.name, ast.literal_eval(call.args[0])] = types[0]
    assert found == {("likeness.py", "--weight"): "float"}


def test_places_where_no_benchmark_can_write_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for read, name in ((new_folder, "file"), (new_folder, "file/new"), (new_file, "file/new")):
        with pytest.raises(ArgumentTypeError, match="file is a file, not a folder"):
            read(str(tmp_path / name))
    with pytest.raises(ArgumentTypeError, match="is a folder: name a file"):
        new_file(str(tmp_path))
    for read in (new_folder, new_file):
        assert read(str(tmp_path / "new")) == tmp_path / "new"


def test_benchmarks_take_no_place_that_they_cannot_write_to() -> None:
    """``Path`` takes a file for a folder: only what is read may be any path."""
    read_only = {"--table", "--labels", "--latency", "--shared", "--models", "--large", "--images"}
    read_only |= {"--parent", "repro", "run", "figures"}
    found = []
    for file in SCRIPTS:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("add_argument"):
                option = ast.literal_eval(call.args[0])
                types = [ast.unparse(one.value) for one in call.keywords if one.arg == "type"]
                found += [(file.name, option)] * (types == ["Path"] and option not in read_only)
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", *(f'{{"curve a": {curve}}}' for curve in ("3", "{}", '{"x": 3}', '{"0": 3}'))],
)
def test_figures_without_curves_are_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("latency_curve")
    figures = tmp_path / "figures.json"
    figures.write_text(text)
    with pytest.raises(UsageError, match=r"figures\.json holds no curves: benchmarks/latency\.py"):
        module.curves_in(figures)
    figures.write_text('{"speed a": {"b": 1}, "curve a": {"1": 2.5, "10": 2}}')
    assert module.curves_in(figures) == {"a": {1.0: 2.5, 10.0: 2}}


def test_a_derivation_that_is_refused_is_not_measured_as_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "devices"))
    module = importlib.import_module("wrong_runtime")
    (tmp_path / "litert").mkdir()
    (tmp_path / "litert" / "result.json").write_text("{}")
    asked = Namespace(work=tmp_path, share=0.8, data="digits", options=["--evaluations", "0"])
    with pytest.raises(SystemExit, match="2"):
        module.derive("litert", asked)


def test_results_of_other_options_answer_no_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    begun = importlib.import_module("asked").begun
    options = {"out": tmp_path / "out", "large": Path("many"), "parent": None, "px": 64, "seeds": 1}
    for changed in ({}, {"seeds": 3}, {"seeds": None}):
        begun(Namespace(**options | changed), "seeds").close()
    with pytest.raises(UsageError, match="--px was 64, now 32; use another --out or the same plan"):
        begun(Namespace(**options | {"px": 32}), "seeds")
    with pytest.raises(UsageError, match="--parent was not given, now runs/a"):
        begun(Namespace(**options | {"parent": Path("runs/a")}), "seeds")


def test_published_networks_of_one_runtime_answer_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("ai_edge_litert")
    monkeypatch.syspath_prepend(str(BENCHMARKS / "evidence"))
    module = importlib.import_module("front")
    (tmp_path / "published.csv").write_text("model,top1,source\n")
    monkeypatch.setattr(module, "PUBLISHED", tmp_path / "published.csv")
    records = (BENCHMARKS.parent / "docs" / "front.jsonl").read_text(encoding="utf-8")
    (tmp_path / "front.jsonl").write_text(records.splitlines()[0] + "\n")
    for words, networks in (((), 1), (("--runtime", "litert"), 0)):
        monkeypatch.setattr(sys, "argv", ["front.py", str(tmp_path), *words])
        module.main()
        assert capsys.readouterr().out.count("|\n") == networks


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        (
            "devices/wrong_runtime.py",
            ("--data", "digits", "--work", "{out}", "--", "--runtime=litert", "--evaluations", "4"),
            "--runtime behind --: this benchmark gives them",
        ),
        (
            "pretrained.py",
            ("--large", "{data}", "--images", "{data}/few", "--out", "{out}"),
            "no such folder: {data}/few/train",
        ),
        (
            "pretrained.py",
            ("--large", "{data}", "--images", "{data}", "--out", "{out}", "--parent", "{data}/a"),
            "no such file: {data}/a",
        ),
        (
            "pretrained.py",
            ("--large", "{data}", "--images", "{data}", "--out", "{out}", "--runtime", "none"),
            "unknown runtime 'none'",
        ),
        (
            "evidence/likeness.py",
            ("--labels", "{data}/macro.csv", "--device", "macs", "--out", "{out}"),
            "macro.csv has no networks of the space accel-nasbench",
        ),
        (
            "evidence/likeness.py",
            ("--labels", "{data}/macro.csv", "--device", "macs", "--out", "{out}", "--weight=nan"),
            "reward-exponent must be a number from -10 to 0, got nan",
        ),
    ],
)
def test_mistakes_are_answered_before_long_work(
    script: str,
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    networks = "".join(f"00000{number:03},45.3\n" for number in (0, 10, 20, 100, 200))
    (tmp_path / "macro.csv").write_text(f"arch,mean_acc\n{networks}")
    places = {"data": tmp_path, "out": tmp_path / "out"}
    path = BENCHMARKS / script
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [script, *(word.format(**places) for word in words)])
    module = importlib.import_module(path.stem)
    try:
        code = exit_code_of(module.main)
    except SystemExit as error:  # argparse's
        code = error.code
    assert code == 2
    assert said.format(**places) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_factor_that_a_reproduction_has_not_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "evidence"))
    module = importlib.import_module("repro_factors")
    with Run.open(tmp_path / "repro", ReproductionPlan(factors="1.0,0.6").as_dict()) as repro:
        assert module.factors_of(repro, None) == (1.0, 0.6)
        with pytest.raises(UsageError, match=r"unknown factor '0\.3'; known: 1, 0\.6"):
            module.factors_of(repro, "1.0,0.3")
        with pytest.raises(UsageError, match="repro has no trainings yet: finish its bneck reprod"):
            module.check_measured(repro)
        with pytest.raises(UsageError, match="no targets yet: its stage search-paper measures"):
            module.targets_of(repro, "0.6")
        with Run.open(repro.folder / "search-paper", {}) as search:
            keep_targets(search, [2.0, 1.2])
        assert module.targets_of(repro, "0.6") == {0.6: 1.2}


def test_a_runtime_that_times_no_networks_of_other_libraries_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "evidence"))
    module = importlib.import_module("onnx_timed")
    module.check_takes_onnx(Plan(runtime="onnxruntime"))
    with pytest.raises(UsageError, match="'macs' counts our own networks only, not ONNX files"):
        module.check_takes_onnx(Plan(runtime="macs"))


def test_benchmarks_take_the_numbers_that_they_speak_of() -> None:
    """Those that follow an option in the script's own words."""
    types = {one.__name__: one for one in (whole_number, whole_from_zero, positive, from_zero)}
    seen = {}
    for file in SCRIPTS:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        said = dict(re.findall(r"(--[a-z-]+) ([\d.]*\d)", ast.get_docstring(tree) or ""))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("add_argument"):
                option = ast.literal_eval(call.args[0])
                for one in call.keywords:
                    name = ast.unparse(one.value)
                    if one.arg == "type" and option in said and name in types:
                        seen[file.name, option] = types[name](said[option])
    assert seen["latency.py", "--minutes"] == 0


def test_a_benchmark_ends_with_the_command_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code 1 is also that of a target that is missed, of which there is JSON."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("pretrained")
    draw(tmp_path, "a", "b", count=6)
    images = ("images", tmp_path, "--resolution", 32)
    assert module.bneck(*images)["classes"] == {"a": {"train": 6}, "b": {"train": 6}}
    file = tmp_path / "a" / "3.png"
    before = file.stat()
    file.write_bytes((tmp_path / "b" / "3.png").read_bytes().ljust(before.st_size, b"\0"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SystemExit, match="1"):
        module.bneck(*images, "--verify")


def test_the_table_of_stages_has_errors_from_two_plan_seeds_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "evidence"))
    module = importlib.import_module("stages")
    arch = presets.build("mobilenet_v3_small")
    both = [module.Judged("both", 1.0, seed, arch, 2.0, 1.9, 0.7 + seed / 50, 9) for seed in (0, 1)]
    null = [module.Judged("random", 1.0, seed, arch, 2.0, 1.8, 0.6, 0) for seed in (0, 1)]
    one, two = module.table((both[0], null[0])), module.table((*both, *null))
    assert "| 1x | both | 0.950 | 70.0 % | +10.0 | 9 |" in one
    assert one.endswith("\n\nOne plan seed.\n")
    assert "| 1x | both | 0.950 | 71.0 ± 1.0 % | +11.0 ± 1.0 | 9 |" in two
    assert two.endswith("\n\nMeans over 2 plan seeds, with standard errors.\n")


def test_accuracies_and_gains_by_a_teacher_have_their_spreads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("teacher")
    names = [*module.WAYS, *(f"alone as long as {way}" for way in list(module.WAYS)[1:])]
    rows = {
        f"{name} {seed}": {"accuracy": accuracy, "steps": 9, "cpu_s": 3.0}
        for name in names
        for seed, accuracy in enumerate((0.5, 0.52) if name == "alone" else (0.6, 0.6))
    }
    module.summary(rows, 2)
    alone, teacher, *_ = capsys.readouterr().out.splitlines()
    assert alone == f"{'alone':28} 51.0 ± 1.4 %, gain 0.0 ± 0.0 points, 9 steps, 3 s"
    assert teacher == f"{'teacher':28} 60.0 ± 0.0 %, gain +9.0 ± 1.4 points, 9 steps, 3 s"


def test_a_run_without_networks_is_compared_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch_pruning")
    monkeypatch.syspath_prepend(str(BENCHMARKS / "evidence"))
    module = importlib.import_module("netadapt")
    with (
        Run.open(tmp_path / "cut", {}) as run,
        pytest.raises(UsageError, match="cut has no network yet: finish its bneck shrink first"),
    ):
        module.shrunk_by(run)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_benchmarks_explain_themselves(script: Path) -> None:
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    if done.returncode == 1 and "pip install" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
