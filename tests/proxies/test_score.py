"""The tool that scores proxies, on tables whose order is known."""

import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bneck.cli import run
from bneck.errors import ProxyFailed, UsageError
from bneck.latency.model import load as load_model
from bneck.proxies.proxy import find_proxy
from bneck.proxies.score import score_columns, score_proxies, zero_cost_words
from bneck.proxies.score_cache import ScoreCache
from bneck.proxies.score_page import page
from bneck.proxies.surrogate.correlation import in_band
from bneck.proxies.surrogate.table import Table, load
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost
from tests.small_networks import small_space

SPACE = small_space("of three blocks", 16, 10)
ARCHS = [SPACE.decode(SPACE.sample(seed)) for seed in range(40)]


def params(arch: Architecture) -> float:
    return float(cost(arch).params)


def table(**columns: Any) -> Table:
    """Accuracy rises with the number of parameters."""
    return Table("made up", SPACE, {a: 1 - 1e5 / (params(a) + 1e5) for a in ARCHS}, columns)


def no_image_proxies(*words: str) -> dict[str, Any]:
    return {word: find_proxy(word)() for word in words}


def test_a_signal_of_the_same_order_agrees_fully() -> None:
    found = score_proxies(table(), no_image_proxies("params", "synflow"), networks=8)
    perfect = found["params"]
    assert [perfect.spearman.value, perfect.kendall, perfect.in_band.value] == [1, 1, 1]
    assert perfect.spearman.low == 1
    assert len(perfect.scores) == 40
    assert len(found["synflow"].scores) == 8
    assert found["synflow"].spearman.low <= found["synflow"].spearman.value < 1
    assert all(one.seconds is not None and one.seconds > 0 for one in found.values())


def test_bands_are_those_of_the_cost_that_is_asked_for() -> None:
    """Of equal parameters nearly, they rank nothing; a cost that says nothing leaves all order."""
    found = [
        score_proxies(table(), no_image_proxies("macs"), band=cost_of)["macs"].in_band.value
        for cost_of in (params, lambda arch: 0.0)
    ]
    scores, truth = [float(cost(a).macs) for a in ARCHS], [table().accuracies[a] for a in ARCHS]
    for in_bands, costs in zip(found, ([params(a) for a in ARCHS], [0.0] * 40), strict=True):
        assert in_bands == pytest.approx(in_band(scores, truth, costs))
    assert found[0] != pytest.approx(found[1], abs=0.01)


def test_sharing_passes_changes_no_score() -> None:
    proxies = no_image_proxies(*zero_cost_words(images=False))
    found = score_proxies(table(), proxies, networks=7, seed=4)
    arch = list(found["zen"].scores)[-1]
    for word in ("synflow", "zen", "expressivity", "trainability"):
        assert found[word].scores[arch] == pytest.approx(proxies[word](arch, seed=4), rel=1e-6)


def test_an_interrupted_scoring_resumes_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    scored: list[Architecture] = []

    def signal(arch: Architecture, *, seed: int) -> float:
        if len(scored) == 3 and arch not in scored:
            scored.append(arch)
            raise KeyboardInterrupt
        scored.append(arch)
        return params(arch)

    def all_scores() -> dict[Architecture, float]:
        with ScoreCache("asked") as cache:
            found = score_proxies(table(), {"mine": signal}, networks=8, cache=cache)
        return dict(found["mine"].scores)

    with pytest.raises(KeyboardInterrupt):
        all_scores()
    found = all_scores()
    assert len(scored) == 9  # the one that was interrupted is scored again, the three before not
    assert found == {arch: params(arch) for arch in found}
    assert len(found) == 8


def test_the_sample_depends_on_the_seed() -> None:
    one, same, other = (
        set(score_proxies(table(), no_image_proxies("zen"), networks=6, seed=s)["zen"].scores)
        for s in (1, 1, 2)
    )
    assert one == same != other


def fails_on(*hopeless: Architecture) -> Any:
    def proxy(arch: Architecture, *, seed: int) -> float:
        if arch in hopeless:
            raise ProxyFailed(f"network {codec.key(arch)} is nan")
        return params(arch)

    return proxy


def test_a_failure_is_named_and_the_rest_is_scored() -> None:
    found = score_proxies(table(), {"mine": fails_on(ARCHS[3])})["mine"]
    assert found.failures == (f"network 4: network {codec.key(ARCHS[3])} is nan",)
    assert len(found.scores) == 39
    assert found.spearman.value == 1
    with pytest.raises(
        ProxyFailed, match=r"mine scores 4 of 40 networks: network \d+: network [0-9a-f]+ is"
    ):
        score_proxies(table(), {"mine": fails_on(*ARCHS[4:])})


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None, "high"])
def test_a_score_that_is_no_number_is_a_failure_and_not_compared(score: Any) -> None:
    def proxy(arch: Architecture, *, seed: int) -> Any:
        return score if arch == ARCHS[3] else params(arch)

    found = score_proxies(table(), {"mine": proxy})["mine"]
    assert found.failures == (f"network 4: it gave {score!r}, not a finite number",)
    assert found.spearman.value == 1
    with pytest.raises(ProxyFailed, match=r"mine scores 0 of 40 networks: .*not a finite number"):
        score_proxies(table(), {"mine": lambda arch, *, seed: score})


def test_what_a_proxy_of_ones_own_raises_is_a_failure_of_that_network() -> None:
    """As in a search; else it would end hours of scoring."""

    def proxy(arch: Architecture, *, seed: int) -> float:
        return {}["width"] if arch == ARCHS[3] else params(arch)

    found = score_proxies(table(), {"mine": proxy})["mine"]
    assert found.failures == ("network 4: KeyError: 'width'",)
    assert len(found.scores) == 39


def test_mistakes_of_the_whole_are_no_failures_of_each_network() -> None:
    def proxy(arch: Architecture, *, seed: int) -> float:
        raise UsageError("trained for 5 classes")

    with pytest.raises(UsageError, match="trained for 5 classes"):
        score_proxies(table(), {"mine": proxy})


def test_columns_say_how_a_shorter_training_agrees() -> None:
    backwards = {arch: -params(arch) for arch in ARCHS[:30]}
    few = dict.fromkeys(ARCHS[:3], 1.0)
    found = score_columns(table(**{"accuracy@5": backwards, "accuracy@1": few}))
    assert list(found) == ["accuracy@5"]
    assert found["accuracy@5"].spearman.value == found["accuracy@5"].kendall == -1
    assert found["accuracy@5"].seconds is None


def test_the_page_needs_nothing_else_and_escapes() -> None:
    scored = score_proxies(table(), {"<b>mine": fails_on()})
    text = page(table(), scored, band=params, band_name="params")
    data = text[text.index("Plotly.newPlot") :]
    assert data.count("scattergl") >= 1
    assert "&lt;b&gt;mine" in data.replace(r"\u0026", "&")
    assert "<b>mine" not in data
    assert re.search('<(script|link|img)[^>]*"http', text) is None


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    rows = [
        {"arch": codec.to_json(arch), "accuracy": accuracy, "accuracy@9": accuracy / 2}
        for arch, accuracy in table().accuracies.items()
    ]
    return write(tmp_path / "mine.jsonl", rows)


def test_command_as_json(table_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = table_file.with_name("plot.html")
    arguments = f"--table {table_file} --no-images --networks 6 --plot {plot} --json"
    assert run(["proxies", "score", *arguments.split()]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["table"], result["networks"], result["band"]) == ("mine.jsonl", 40, "macs")
    words = zero_cost_words(images=False)
    assert list(result["proxies"]) == [*words, "column:accuracy@9"]
    assert set(result["proxies"]["zen"]) == {
        "spearman",
        "kendall",
        "in_band",
        "seconds_per_network",
    }
    assert result["proxies"]["params"]["spearman"] == 1
    assert result["proxies"]["column:accuracy@9"]["kendall"] == 1
    assert set(result["surrogate"]) == {"20", "50", "100"}
    assert set(result["surrogate"]["20"]) == {"spearman", "in_band", "within_2_std"}
    assert result["surrogate"]["100"] is None
    drawn = plot.read_text()
    assert all(f"{word}\\u003cbr\\u003eSpearman" in drawn for word in result["proxies"])


def test_command_in_words(table_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = f"--table {table_file} --proxy naswot --proxy macs --networks 6 --images digits"
    assert run(["proxies", "score", *arguments.split()]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine.jsonl: 40 networks, in bands of macs\n")
    assert "naswot" in out
    assert "surrogate from 100 labels: the table is too small to say" in out


def test_a_proxy_that_was_edited_meanwhile_is_scored_anew(
    table_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Ctrl-C in the first call keeps its scores, which are of other code."""
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code = """
from bneck.space.cost import cost
scored = []
def make(images, recipe=None, *, compute=None):
    def proxy(arch, *, seed):
        scored.append(arch)
        if len(scored) > LIMIT:
            raise KeyboardInterrupt
        return SIGN * float(cost(arch).params)
    return proxy
"""
    arguments = f"--table {table_file} --no-images --proxy edited_proxy:make --networks 8 --json"

    def score(limit: int, sign: int) -> int:
        Path("edited_proxy.py").write_text(f"LIMIT, SIGN = {limit}, {sign}\n{code}")
        sys.modules.pop("edited_proxy", None)
        importlib.invalidate_caches()
        return run(["proxies", "score", *arguments.split()])

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert score(limit=6, sign=1) == 130
    assert score(limit=8, sign=-1) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["proxies"]["edited_proxy:make"]["spearman"] == -1  # accuracy rises with parameters


def test_scores_outlive_an_interruption_of_what_follows_them(
    table_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A surrogate of 100 labels is fitted ten times, which takes longer than many a proxy."""
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    code = """
from bneck.space.cost import cost
def make(images, recipe=None, *, compute=None):
    def proxy(arch, *, seed):
        with open("scored", "a") as file:
            file.write("1")
        return float(cost(arch).params)
    return proxy
"""
    Path("counted_proxy.py").write_text(code)
    arguments = f"--table {table_file} --no-images --proxy counted_proxy:make --networks 8"

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bneck.proxies.score_surrogate.score_surrogate", stopped)
        assert run(["proxies", "score", *arguments.split()]) == 130
    assert run(["proxies", "score", *arguments.split()]) == 0
    assert Path("scored").read_text() == 8 * "1"
    assert list((tmp_path / "cache" / "scores").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--proxy naswot --no-images", "the proxy Naswot needs images"),
        ("--proxy nasty", "unknown proxy 'nasty'; known: params, macs,"),
        ("--networks 3", "Invalid value for '--networks'"),
        ("--images nowhere", "unknown image data 'nowhere'"),
        ("--space v9", "unknown space 'v9'"),
        ("--resolution 32", "--resolution has no effect without --space: leave it out"),
        ("--no-images --images cifar10", "--images has no effect with --no-images: leave it out"),
        ("--proxy zen --steps 9", "--steps has no effect without --proxy short-training: leave it"),
        ("--model nowhere.json", "no such file: nowhere.json"),
    ],
)
def test_command_mistakes(
    table_file: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert run(["proxies", "score", "--table", str(table_file), *arguments.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--space v3-small", "holds networks of nas-bench-macro, not of v3-small\n"),
        ("--space nas-bench-macro --resolution 64", "holds networks for 32 px, not 64\n"),
        ("--space nas-bench-macro --classes 100", "holds networks of 10 classes, not 100\n"),
        ("--space nas-bench-macro --resolution 32 --proxy params", ""),
    ],
)
def test_a_published_table_is_of_its_own_space_and_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    table = tmp_path / "macro.csv"
    codes = ("00000001", "00000002", "00000011", "00000012", "00000021")
    rows = [f"{code},{60 + number}" for number, code in enumerate(codes)]
    table.write_text("\n".join(["arch,mean_acc", *rows]))
    command = ["proxies", "score", f"--table={table}", "--no-images", *arguments.split()]
    assert run(command) == (2 if message else 0)
    assert not message or capsys.readouterr().err == f"bneck: {table} {message}"


def test_a_model_of_another_side_is_refused_before_anything_is_scored(
    table_file: Path, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "latency.json"
    replace(load_model(digits_latency), resolution_px=32).save(file)
    arguments = f"--table {table_file} --no-images --model {file}"
    assert run(["proxies", "score", *arguments.split()]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("bneck: this latency model was calibrated at 32 px, not at ")
    assert error.endswith("give a model of that side")  # --resolution is refused without --space


def test_networks_of_a_csv_take_the_side_of_a_model_as_it_is_said(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    drawn = [space.sample(seed) for seed in range(6)]
    rows = [",".join(str(one.get(name, "")) for name in space.choices) for one in drawn]
    table = tmp_path / "table.csv"
    lines = (f"{row},{0.5 + number / 20}" for number, row in enumerate(rows))
    table.write_text("\n".join([",".join([*space.choices, "accuracy"]), *lines]))
    command = ["proxies", "score", f"--table={table}", "--no-images", "--proxy=params"]
    command += [f"--model={digits_latency}", "--space=v3-small"]
    assert run(command) == 2
    assert "not at 224 px; give --resolution 16, or a model" in capsys.readouterr().err
    assert run([*command, "--resolution=16"]) == 0


def test_duplicates_that_disagree_are_one_line_of_warning(
    table_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads(table_file.read_text().splitlines()[0])
    with table_file.open("a") as file:
        file.write(json.dumps({**first, "accuracy": 0.5}) + "\n")
    arguments = f"--table {table_file} --no-images --proxy params"
    assert run(["proxies", "score", *arguments.split()]) == 0
    warning = capsys.readouterr().err.splitlines()[0]
    assert warning.startswith("warning: ")
    assert "line 1, 0.5000 in line 41" in warning


def test_published_references_on_accel_nasbench(shared_data: Path) -> None:
    """Parameters and multiply-adds against ImageNet top-1, as the table's notes have them."""
    with pytest.warns(UserWarning, match="one network"):
        truth = load(shared_data / "accel_nasbench_sample.csv")
    found = score_proxies(truth, no_image_proxies("params", "macs"))
    assert found["params"].spearman.value == pytest.approx(0.81, abs=0.02)
    assert found["macs"].spearman.value == pytest.approx(0.617, abs=0.03)
    assert found["params"].in_band.value > 0.6 > 0.3 > found["macs"].in_band.value
