"""The phone's side of adb, for the real client: a server on the loopback that runs a shell here."""

import socket
import struct
import subprocess
import threading
from pathlib import Path

VERSION = b"0029"
"""What the client asks of its server: 41, as `adb version` says behind the last point."""


class Phones:
    """An adb server with phones whose files are in a folder here.

    Attributes:
        serials: phones that are plugged in.
        state: of the phones, as adb calls it.
        cut: whether a shell's answer ends in the middle from now on.
        refusals: why the next files are not taken, which leaves a part of each; None: no answer.
    """

    def __init__(self, folder: Path, *serials: str) -> None:
        self.folder, self.serials, self.cut = folder, list(serials), False
        self.state = "device"
        self.refusals: list[bytes | None] = []
        self.commands: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def local(self, text: str) -> str:
        """The same text with the phone's paths as paths here."""
        return text.replace("/data/local/tmp", str(self.folder))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        stream = client.makefile("rwb", 0)
        with client, stream:
            while size := stream.read(4):
                request = stream.read(int(size, 16)).decode()
                if not self._answered(request, stream):
                    return

    def _answered(self, request: str, stream: object) -> bool:
        """Answer one request; returns whether the connection goes on."""
        write, read = stream.write, stream.read  # type: ignore[attr-defined]

        def okay(text: bytes | None = None) -> None:
            write(b"OKAY" + (b"" if text is None else b"%04x" % len(text) + text))

        kind, _, rest = request.partition(":")
        if request == "host:version":
            okay(VERSION)
        elif request == "host:devices":
            okay("".join(f"{serial}\t{self.state}\n" for serial in self.serials).encode())
        elif "features" in request:
            okay(b"")
        elif kind == "host" and rest.startswith(("transport", "tport")):
            serial = rest.rpartition(":serial:")[2] if "tport" in rest else rest.split(":", 1)[-1]
            if rest not in ("transport-any", "tport:any") and serial not in self.serials:
                message = f"device '{serial}' not found".encode()
                write(b"FAIL%04x" % len(message) + message)
                return False
            okay()
            if rest.startswith("tport"):
                write(struct.pack("<Q", 1))
            return True
        elif kind == "shell":
            okay()
            write(self._shell(rest))
        elif kind == "sync":
            okay()
            self._sync(read, write)
        else:
            write(b"FAIL0007unknown")
        return False

    def _shell(self, command: str) -> bytes:
        self.commands.append(command)
        done = subprocess.run(
            ["sh", "-c", self.local(command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=self.folder,
        )
        return done.stdout[: len(done.stdout) // 3] if self.cut else done.stdout

    def _sync(self, read, write) -> None:  # type: ignore[no-untyped-def]
        """Version 1 of adb's file transfer: STAT, SEND, DATA, DONE, QUIT."""
        while len(head := read(8)) == 8:
            word, number = struct.unpack("<4sI", head)
            if word == b"STAT":
                read(number)
                write(struct.pack("<4sIII", b"STAT", 0, 0, 0))
            elif word == b"SEND":
                path = self.local(read(number).decode().rpartition(",")[0])
                content = b""
                while (part := struct.unpack("<4sI", read(8)))[0] == b"DATA":
                    left = part[1]
                    while left:
                        piece = read(left)
                        content, left = content + piece, left - len(piece)
                if self.refusals:
                    Path(path).write_bytes(content[:100])
                    refusal = self.refusals.pop(0)
                    if refusal is None:
                        return
                    write(struct.pack("<4sI", b"FAIL", len(refusal)) + refusal)
                    continue
                Path(path).write_bytes(content)
                write(struct.pack("<4sI", b"OKAY", 0))
            else:
                return
