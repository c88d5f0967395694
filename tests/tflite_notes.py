"""What a LiteRT file says about itself, as others would read it."""

from contextlib import suppress

from ai_edge_litert import schema_py_generated as schema


def notes_in(data: bytes) -> dict[str, str]:
    """Return the texts that a file carries, by name; what is not text is left out."""
    model = schema.ModelT.InitFromPackedBuf(data)
    found = {}
    for entry in model.metadata or ():
        content = model.buffers[entry.buffer].data
        with suppress(UnicodeDecodeError):
            found[entry.name.decode()] = bytes(() if content is None else content).decode()
    return found
