"""What is measured or estimated, each with how sure it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one forward pass, with their standard deviation in ms.

    ``std_ms`` is None where nothing says how much they vary, as in a published table.
    """

    ms: float
    std_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of images that are classified right, from 0 to 1, with its standard error.

    ``stderr`` is None where nothing says how sure the share is, as in a published table.
    """

    value: float
    stderr: float | None = None
