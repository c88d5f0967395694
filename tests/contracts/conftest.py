"""One Ray for a module's tests, gone before another module's begin."""

import logging
import os
from collections.abc import Iterator

import pytest

CPUS = 3


@pytest.fixture(scope="module")
def ray_started() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    ray.init("local", num_cpus=CPUS, **quiet)
    yield
    ray.shutdown()
