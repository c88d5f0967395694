"""What ``report --pictures`` draws: the report's pictures, those with something in them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.report import report_data, write_pictures, write_report
from bneck.derivation.session import open_run
from bneck.errors import UsageError
from bneck.progress import silent
from bneck.quantities import Accuracy, Latency
from bneck.results import static_figures
from bneck.results.image_facts import ImageFacts
from bneck.results.page import report
from bneck.results.record import Outcome, Targets
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult, SelectedNetwork
from bneck.space import spaces
from tests.command_line import said
from tests.results import demo
from tests.search.journals import write_trials


def run_of(folder: Path, outcome: Outcome) -> Run:
    """A derivation for two targets as it could have ended."""
    data = demo.finished(20)
    with Run.open(folder, {"data": "digits", "target": "0.2", "space": "v3-small"}) as run:
        for step in data.steps:
            records.append(run.steps, step)
        records.write(run.target, Targets(0.2, (0.2, 0.25)))
        records.write(run.result, outcome)
    return run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    monkeypatch.setattr(
        static_figures, "save", lambda figure, path: found.update({path.stem: figure})
    )
    return found


@pytest.mark.parametrize("lacking", ["measured", "accuracy"])
def test_an_outcome_without_a_point_is_not_drawn(
    tmp_path: Path, drawn: dict[str, Figure], lacking: str
) -> None:
    outcome = demo.finished(20).outcome
    assert outcome is not None
    run = run_of(tmp_path / "run", replace(outcome, **{lacking: None}))
    assert [path.name for path in write_pictures(run)] == ["netadapt.png", "netadapt.svg"]
    assert drawn.keys() == {"netadapt"}


@pytest.mark.parametrize(
    ("proxy", "count"),
    [(None, 4000), ("short-training", 4000), ("shared-weights:runs/x", 2000), ("own:Proxy", None)],
)
def test_an_error_is_that_of_the_images_that_the_proxy_counts_on(
    tmp_path: Path, proxy: str | None, count: int | None
) -> None:
    """Shared weights classify 2,000 images at most; what a proxy of one's own does is its own."""
    asked = {} if proxy is None else {"proxy": proxy}
    with Run.open(tmp_path / "run", {"data": "digits", "target": "0.2", **asked}) as run:
        facts = ImageFacts("digits", "0123", ("a", "b"), training=20_500, training_left_out=500)
        records.write(run.images, facts)
    assert report_data(run).counted_on == count


def test_folds_judge_by_all_training_images(tmp_path: Path) -> None:
    """With 5,000 images of each part at most, five parts of 4,000 are 20,000."""
    with Run.open(tmp_path / "run", {"data": "digits", "target": "0.2", "folds": 5}) as run:
        records.write(run.images, ImageFacts("digits", "0123", ("a", "b"), training=20_000))
    data = report_data(run)
    assert (data.folds, data.counted_on) == (5, 20_000)


@pytest.mark.parametrize(("targets_ms", "ceiling_ms"), [((0.2,), 0.3), ((0.2, 0.25), None)])
def test_the_search_is_drawn_up_to_its_ceiling_and_with_the_front_where_w_is_its_slope(
    tmp_path: Path, targets_ms: tuple[float, ...], ceiling_ms: float | None
) -> None:
    """A w that was given is no slope of a front; of several targets each has its own ceiling."""
    outcome = demo.finished(20).outcome
    assert outcome is not None
    given = SelectedNetwork(7, outcome.arch, 0.2, Accuracy(0.8), Latency(0.21), Latency(0.22), 0.8)
    derived = replace(given, weight=-0.12, front_accuracy=0.75)
    with Run.open(tmp_path / "run", {"data": "digits", "target": "0.2", "seed_factor": 1.5}) as run:
        records.write(run.target, Targets(0.2, targets_ms))
        records.write(run.winners, SearchResult((given, replace(derived, target_ms=0.25))))
    shown = report_data(run)
    assert shown.ceiling_ms == (None if ceiling_ms is None else pytest.approx(ceiling_ms))
    assert shown.target_ms == 0.2
    assert shown.tangents == ((0.25, 0.75, -0.12),)
    assert [(one.accuracy, one.measured) for one in shown.found.networks] == [
        (Accuracy(0.8), Latency(0.22))
    ] * 2


@pytest.mark.parametrize("lacking", ["result.json", "journal.log"])
def test_a_copy_without_images_json_is_told_so(
    tmp_path: Path, digits_latency: Path, lacking: str
) -> None:
    """The trials need the side of the images to be read, the model card its classes."""
    outcome = demo.finished(20).outcome
    assert outcome is not None
    run = run_of(tmp_path / "run", outcome)
    shutil.copy(digits_latency, run.latency)
    write_trials(run.journal, spaces.build("v3-small", resolution_px=16, classes=10), (0, 0, None))
    (run.folder / lacking).unlink()
    if lacking == "journal.log":
        run.latency.unlink()
    with pytest.raises(UsageError, match=r"images\.json is missing: copy all files of the run$"):
        write_report(run)
    assert not run.report.exists()


def test_the_command_is_that_of_the_plan_as_it_is(tmp_path: Path) -> None:
    """A plan may be changed; a change by mistake is taken back, and its command with it."""
    folder = tmp_path / "run"
    short = Plan(target="0.2", epochs=1.0)
    for plan, command in ((short, "one"), (replace(short, epochs=2.0), "two")):
        with open_run(plan, folder, silent, command=command) as run:
            (folder / "result.work").write_text(command)
    mistaken = replace(short, epochs=3.0)
    with pytest.raises(UsageError), open_run(mistaken, folder, silent, command="three"):
        raise UsageError("a mistake")
    data = report_data(run)
    assert [one.command for one in data.sessions] == ["one", "two"]
    assert data.command == "two"
    page = report.build(data)
    assert "<pre><code>two</code></pre>" in page
    assert "<pre><code>one" not in page


def test_netadapts_way_leads_to_the_runs_own_target(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    """The other targets of a derivation have runs, and ways, of their own."""
    outcome = demo.finished(20).outcome
    assert outcome is not None
    run = run_of(tmp_path / "run", outcome)
    for_other = Run.open(run.folder / "targets" / "0.25ms", {"data": "digits", "target": "0.25"})
    with for_other:
        records.write(for_other.result, outcome)
    write_pictures(run)
    assert drawn.keys() == {"outcome", "netadapt"}
    lines = drawn["netadapt"].axes[0].get_lines()
    assert [line.get_xdata()[0] for line in lines if line.get_linestyle() == "--"] == [0.2]


def test_the_outcome_shows_every_network_by_a_marker_of_its_own(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    """As the report's own picture does: all baselines, and the networks for other targets."""
    data = demo.finished(20)
    (baseline, *_), outcome = data.baselines, data.outcome
    assert outcome is not None
    run = run_of(tmp_path / "run", replace(outcome, target_ms=0.2))
    for name in ("mobilenet_v2", "mobilenet_v3_small"):
        records.append(run.baselines, replace(baseline, name=name))
    other = {"data": "digits", "target": "0.25"}
    with Run.open(run.folder / "targets" / "0.25ms", other) as for_other:
        records.write(for_other.result, replace(outcome, target_ms=0.25))
    write_pictures(run)
    axes = drawn["outcome"].axes[0]
    legend = axes.get_legend()
    assert legend is not None
    names = ["target", "mobilenet_v2", "mobilenet_v3_small", "derived for 0.25 ms", "derived"]
    assert [text.get_text() for text in legend.get_texts()] == names
    points = [bars[0] for bars in axes.containers]
    looks = {(one.get_marker(), one.get_markerfacecolor()) for one in points}
    assert len(looks) == len(points) == 4
    lines = [line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert lines == [0.2, 0.25]


def test_a_run_with_nothing_to_draw_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.open(tmp_path / "run", {"data": "digits", "space": "v3-small"}).close()
    nothing = "no pictures: the run has no search, NetAdapt's steps or outcome to draw yet"
    for options, lines in (([], []), (["--pictures"], [nothing])):
        code, out, _ = said(capsys, "report", tmp_path / "run", *options)
        assert (code, out.splitlines()) == (0, [f"{tmp_path}/run/report.html", *lines])


def test_pictures_are_not_written_through_a_link(tmp_path: Path) -> None:
    """Somebody else's run may have one that leads to a folder of the user's."""
    outcome = demo.finished(20).outcome
    assert outcome is not None
    run = run_of(tmp_path / "run", outcome)
    (tmp_path / "own").mkdir()
    (run.folder / "pictures").symlink_to(tmp_path / "own")
    with pytest.raises(UsageError, match="pictures is a symbolic link, which a run does not write"):
        write_pictures(run)
    assert not any((tmp_path / "own").iterdir())


def test_a_run_of_another_version_says_which(folder: Path, tmp_path: Path) -> None:
    from bneck.derivation.report import report_data

    shutil.copytree(folder / "runs" / "done", tmp_path / "old")
    old = Run.read(tmp_path / "old")
    (session,) = old.read_sessions()
    (tmp_path / "old" / "made_with.jsonl").unlink()
    records.append(
        tmp_path / "old" / "made_with.jsonl",
        replace(session, versions={**session.versions, "bneck": "0.0.3"}),
    )
    with (tmp_path / "old" / "plan.toml").open("a") as plan:
        plan.write("warmth = 3\n")
    with pytest.raises(UsageError, match=r"made by bneck 0\.0\.3 and this is .*: unknown name .*"):
        report_data(Run.read(tmp_path / "old"))
