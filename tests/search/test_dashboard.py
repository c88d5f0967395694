"""`optuna-dashboard RUN/journal.log` opens a run's journal as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from bneck.results.record import Record
from bneck.search.objectives import Objective
from bneck.search.study import STUDY, Study
from bneck.space import spaces

pytestmark = pytest.mark.filterwarnings("default")  # the dashboard's own


def test_the_dashboard_opens_the_journal(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    from optuna_dashboard._storage_url import get_storage

    space = spaces.build("v3-small", resolution_px=32, classes=10)
    journal = tmp_path / "journal.log"
    study = Study(journal, space, sampler="random", seed=0)
    objective = Objective(lambda arch: 1.0, lambda accuracy, latency_ms: accuracy, 2.0, 0.0)
    candidate = study.ask(objective)
    study.accept(candidate)
    study.tell(Record(candidate.number, candidate.arch, 0.5, 1.0, 0.5, None, 1.0))

    app = dashboard.wsgi(get_storage(str(journal)))
    (shown,) = _get(app, "/api/studies")["study_summaries"]
    assert shown["study_name"] == STUDY
    detail = _get(app, f"/api/studies/{shown['study_id']}")
    (trial,) = detail["trials"]
    assert trial["values"] == [0.5]
    assert {param["name"] for param in trial["params"]} == {*candidate.values}


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
