from pathlib import Path

import pytest

from bneck.latency.model import LatencyModel, load


@pytest.fixture(scope="session")
def macs_model(macs_folder: Path) -> LatencyModel:
    return load(macs_folder / "latency.json")
