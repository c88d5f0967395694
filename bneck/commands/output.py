"""What commands print: one JSON object, or text."""

import json
from collections.abc import Mapping
from typing import Any


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object to stdout."""
    print(json.dumps(value, allow_nan=False))


def print_result(as_json: bool, result: Mapping[str, Any], text: str) -> None:
    """Print one JSON object, or the text, to stdout."""
    if as_json:
        print_json(result)
    else:
        print(text)
