"""What a plan says that was edited by hand, or is somebody else's."""

from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.results.run import Run


@pytest.mark.parametrize("value", ['"many"', "true", "1.5", "0", "-3", "[1]"])
def test_what_a_run_settled_is_a_count(tmp_path: Path, value: str) -> None:
    (tmp_path / "plan.toml").write_text(f"layer_macs = {value}\n")
    run = Run.read(tmp_path)
    for settled in (lambda: run.settled("layer_macs"), lambda: run.settle("layer_macs", 1)):
        with pytest.raises(
            UsageError, match=r"plan\.toml: layer-macs must be a whole number from 1 on, got"
        ):
            settled()
