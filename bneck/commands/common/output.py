"""What commands print: one JSON object, or text."""

import json
from collections.abc import Mapping
from typing import Any

from bneck.stdout import results
from bneck.text import harmless


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object to stdout."""
    print(json.dumps(value, allow_nan=False), file=results())


def print_text(text: str) -> None:
    """Print text to stdout; what came from files in it is obeyed by no terminal."""
    print(harmless(text), file=results())


def print_result(as_json: bool, result: Mapping[str, Any], text: str) -> None:
    """Print one JSON object, or the text, to stdout.

    Args:
        as_json: which of the two.
        result: the object.
        text: the same in words.
    """
    if as_json:
        print_json(result)
    else:
        print_text(text)
