"""What a target means in milliseconds."""

import math
import re
from collections.abc import Callable

from bneck.errors import UsageError

MAX_MS = 1e6


def parse(text: str) -> tuple[float, str | None]:
    """(ms, None) of "2.0", (factor, network) of "0.8x:NET".

    Raises:
        UsageError: neither form, or not above 0.
    """
    match = re.fullmatch(r"([0-9.eE+-]+)(?:x:(.+))?", text)
    try:
        number = float(match.group(1)) if match else math.nan
    except ValueError:
        number = math.nan
    if match is None or not 0 < number < MAX_MS:
        raise UsageError(
            f"target must be ms above 0 like 2.0 or a factor like 0.8x:NET, got {text!r}"
        )
    return number, match.group(2)


def resolve(text: str, measured_ms: Callable[[str], float]) -> float:
    """A target in ms: "2.0" is itself, "0.8x:NET" is a factor of NET's measured latency.

    Raises:
        UsageError: neither form, or not above 0.
    """
    number, network = parse(text)
    return number if network is None else number * measured_ms(network)
