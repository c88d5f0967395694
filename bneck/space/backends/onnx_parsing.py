"""ONNX files of any origin, parsed in one way wherever they are read."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from bneck.errors import UsageError


def read(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file of any origin; weights in other files are not read.

    Raises:
        UsageError: there is no such file, or it is not ONNX.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except DecodeError:
        raise UsageError(f"{path} is not an ONNX file") from None
    if not model.graph.node or not model.graph.input:
        raise UsageError(f"{path} is not an ONNX file")
    return model
