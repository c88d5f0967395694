"""`optuna-dashboard RUN/journal.log` opens a run's journal as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from bneck.executors.serial import Serial
from bneck.search.journal import STUDY, read_journal
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import spaces
from tests.closed_form import MacsDevice, accuracy

pytestmark = pytest.mark.filterwarnings("default")  # the dashboard's own


def test_the_dashboard_opens_the_journal(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    from optuna_dashboard._storage_url import get_storage

    space = spaces.build("v3-small", resolution_px=32, classes=10)
    journal = tmp_path / "journal.log"
    study = Study(journal, space, sampler="random", seed=0)
    objectives = Objectives(space, MacsDevice(), [Target(Soft(1.0), 1.0)])
    (record,) = search(study, accuracy, objectives=objectives, evaluations=1, executor=Serial())

    app = dashboard.wsgi(get_storage(str(journal)))
    (shown,) = _get(app, "/api/studies")["study_summaries"]
    assert shown["study_name"] == STUDY
    detail = _get(app, f"/api/studies/{shown['study_id']}")
    (trial,) = detail["trials"]
    assert trial["values"] == [record.reward]
    assert {param["name"] for param in trial["params"]} == {*read_journal(journal).trials[0].params}


def _get(app: Any, path: str) -> Any:
    """The JSON that the application answers with, asked without a server."""
    from io import BytesIO
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": path, "wsgi.input": BytesIO()}
    setup_testing_defaults(environ)
    statuses = []
    body = b"".join(app(environ, lambda status, *_: statuses.append(status)))
    assert statuses == ["200 OK"]
    return json.loads(body)
