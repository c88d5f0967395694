"""The content of LiteRT files: models packed as the schema asks, and the texts that they carry."""

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes that weights begin at multiples of, as the schema asks and its Python classes do not do."""
ROOM = 2**17
"""Bytes that a file takes besides its weights, about: too few only cost a copy."""


def packed(model: Any) -> bytes:
    """Return the content of a file of ``model``, a ``ModelT``."""
    weights = sum(buffer.data.size for buffer in model.buffers if buffer.data is not None)
    builder = _Builder(weights + ROOM)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Aligns buffers as the schema asks."""

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:
        if x.dtype != np.uint8:
            return int(super().CreateNumpyVector(x))
        self.StartVector(1, x.size, ALIGNMENT)
        self.head -= x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        self.vectorNumElems = x.size
        return int(self.EndVector())


def with_notes(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return a file's content with these texts added, by name."""
    model = schema.ModelT.InitFromPackedBuf(data)
    for buffer in model.buffers:
        if buffer.offset > 1:  # the quantiser puts large ones behind the tables
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    model.metadata = list(model.metadata or ())
    for name, text in metadata.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    return packed(model)
