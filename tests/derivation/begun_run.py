"""A run that an earlier version began with a plan that is refused for new runs."""

from pathlib import Path

import pytest

from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_session
from bneck.errors import UsageError
from bneck.results.run import Run


def assert_goes_on(plan: Plan, folder: Path, refused: str) -> None:
    """Check that such a run in ``folder`` is opened, and a new one refused with these words."""
    alone = Execution(workers=1)
    Run.open(folder / "run", plan.as_dict()).close()
    with open_session(plan, folder / "run", alone) as session:
        assert session.plan == plan
    with pytest.raises(UsageError, match=refused), open_session(plan, folder / "new", alone):
        pass
