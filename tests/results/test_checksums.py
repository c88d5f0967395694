"""The seal of a run's files."""

from pathlib import Path

from bneck.files import read_json
from bneck.results import checksums
from bneck.results.run import Run
from tests.results.plans import PLAN


def test_what_was_changed_since_is_named(tmp_path: Path) -> None:
    Run.open(tmp_path / "run", PLAN).close()
    (tmp_path / "run" / "report.html").write_text("a page")
    (tmp_path / "run" / "network.json").write_text("{}")
    assert checksums.changed(tmp_path / "run") == ()  # nothing is sealed
    checksums.seal(tmp_path / "run")
    (tmp_path / "run" / "report.html").write_text("the page again")
    for folder in ("pictures", "targets/2ms/pictures"):
        (tmp_path / "run" / folder).mkdir(parents=True)
        (tmp_path / "run" / folder / "search.svg").write_text("a picture")
    assert checksums.changed(tmp_path / "run") == ()
    (tmp_path / "run" / "network.json").write_text("{ }")
    (tmp_path / "run" / "steps.jsonl").write_text("{}\n")
    (tmp_path / "run" / "made_with.jsonl").unlink()
    assert checksums.changed(tmp_path / "run") == (
        "made_with.jsonl", "network.json", "steps.jsonl",
    )  # fmt: skip


def test_a_targets_weights_are_sealed_as_the_runs_own_are(tmp_path: Path) -> None:
    """Of `shrink --targets`; exports are made by whoever looks at a run."""
    Run.open(tmp_path, PLAN).close()
    (tmp_path / "targets").mkdir()
    weights = ("targets/1ms.safetensors", "targets/2ms.safetensors", "weights.safetensors")
    for name in (*weights, "photos.safetensors"):
        (tmp_path / name).write_text("tensors")
    checksums.seal(tmp_path)
    for name in weights[1:]:
        (tmp_path / name).write_text("others")
    for name in (weights[0], "photos.safetensors"):
        (tmp_path / name).unlink()
    assert checksums.changed(tmp_path) == weights
    assert [*checksums.missing(tmp_path)] == [weights[0]]


def test_a_seal_is_what_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text("{}")
    checksums.seal(tmp_path)
    assert read_json(tmp_path / "checksums.json") == {
        "network.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    }
