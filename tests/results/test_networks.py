"""What a network argument means, and what is said of a file that is no network."""

from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.results.networks import load_network

EXPECTED = "expected a preset, a network's JSON file or a run's folder"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tflite", b"\x1c\0\0\0TFL3\xff", f"is a LiteRT file, which bneck .* read; {EXPECTED}$"),
        (
            "a.pt",
            b"PK\3\4\0\0\xff",
            f"is a file of weights; {EXPECTED}; --weights and --pretrained",
        ),
        ("a.json", b"\x08\x0a\0\xff", f"is a binary file; {EXPECTED}$"),
        ("a.bin", b"\x08\x0a\0\xff", f"is a binary file; {EXPECTED}$"),
        ("a.onnx", b"\x08", f"is an ONNX file; {EXPECTED}; `bneck latency --onnx FILE --measure`"),
        ("a.txt", b"\xff", "is not text in UTF-8: invalid start byte"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"/{name} {said}"):
        load_network(str(tmp_path / name))
