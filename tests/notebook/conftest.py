"""A run as it could have ended."""

import json
from pathlib import Path

import pytest

from bneck import records
from bneck.results.run import Run
from tests.results import demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as it could have ended."""
    data = demo.finished(60)
    assert data.outcome is not None
    folder = tmp_path_factory.mktemp("notebook") / "<b>run</b>"
    plan = {"data": "digits", "target": "0.2", "space": "v3-small"}
    with Run.open(folder, plan, command="bneck derive") as run:
        for step in data.steps:
            records.append(run.steps, step)
        for baseline in data.baselines:
            records.append(run.baselines, baseline)
        records.write(run.result, data.outcome)
        about = {"name": "digits", "fingerprint": "0" * 12, "class_names": ["a", "b"]}
        run.images.write_text(json.dumps(about))
    return folder
