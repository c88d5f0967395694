"""JSON that is nested deeply."""

from pathlib import Path

import pytest

from bneck import records
from bneck.errors import BneckError
from bneck.files import read_json
from bneck.json_text import parse_json
from bneck.results.stage_record import Training


def nested(depth: int) -> str:
    """So many lists, one in the other."""
    return "[" * depth + "]" * depth


def test_as_deep_as_can_be_shown_and_no_deeper() -> None:
    assert parse_json('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    assert len(repr(parse_json(nested(500)))) == 1000
    for text in (nested(501), nested(990), nested(100_000), '{"a":' * 501 + "1" + "}" * 501):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)
    with pytest.raises(ValueError, match="Expecting value"):
        parse_json("")


def test_a_file_nested_as_deep_as_python_reads_is_refused_in_one_line(tmp_path: Path) -> None:
    """Somewhere below 1,000 the value could be read, and not be named in the error."""
    file = tmp_path / "derived.json"
    for depth in range(940, 1010):
        file.write_text(f'{{"name": {nested(depth)}, "accuracy": null, "seconds": 1.0}}')
        with pytest.raises(BneckError, match=rf"^{file} is not valid JSON: nested too deeply$"):
            records.read(file, Training)
    file.write_text(nested(499))
    assert read_json(file) == parse_json(nested(499))
