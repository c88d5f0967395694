"""Images that several tests of accuracies share."""

import pytest

from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load


@pytest.fixture(scope="session")
def digits() -> ImageSource:
    """The digits at 16 px."""
    return load("digits", resolution_px=16, seed=0)
