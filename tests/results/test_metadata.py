"""What a run's files say of it."""

import json
import shutil
from pathlib import Path

from bneck.quantities import Accuracy, Latency
from bneck.results import metadata
from bneck.results.run import Run


def test_what_a_file_says_of_its_images_names_no_local_path(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs" / "done", of_a_folder := tmp_path / "run")
    about = json.loads((of_a_folder / "images.json").read_text())
    for name in ("photos", "photos:v2"):
        (of_a_folder / "images.json").write_text(
            json.dumps({**about, "name": f"folder:/home/ada/{name}"})
        )
        assert metadata.notes(Run.read(of_a_folder))["images"] == f"folder:{name} (123)"


def test_latencies_in_a_files_notes_have_six_digits() -> None:
    """Whatever their size: a network on a GPU takes hundredths of a millisecond."""
    noted = metadata.measured(Accuracy(0.91), Latency(0.01234567))
    assert noted == {"accuracy": "0.9100", "latency_ms": "0.0123457"}
    assert metadata.measured(None, Latency(12.345678)) == {"latency_ms": "12.3457"}
