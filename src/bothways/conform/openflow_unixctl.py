"""
The control socket of ``ovs-vswitchd``, spoken without ``ovs-appctl``.

JSON-RPC 1.0 over a stream socket, one request at a time (``unixctl_client_transact`` of ``lib/unixctl.c``). A
process for each question would take twenty times as long.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["PATIENCE", "ControlSocket", "RefusedError"]

#: how long an answer is waited for, in seconds
PATIENCE: Final = 5.0
_STARTING: Final = 20.0
_PIECE: Final = 1 << 18


class RefusedError(Exception):
    """The daemon did not do what it was asked; the text is its own."""


class ControlSocket:
    """A connection to a daemon."""

    def __init__(self, path: Path, *, timeout: float = PATIENCE) -> None:
        deadline = time.monotonic() + _STARTING
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.settimeout(timeout)
                self._socket.connect(str(path))
            except OSError as error:
                self._socket.close()
                # The file is there a moment before the daemon listens.
                if not isinstance(error, ConnectionRefusedError) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                break
        self._next = 0
        self._decoder = json.JSONDecoder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, method: str, *words: str) -> str:
        """
        Ask one question.

        :raises RefusedError: with the daemon's words.
        :raises TimeoutError: if it does not answer in time; the socket is of no use then.
        :raises OSError: if it hangs up.
        """
        self._next += 1
        request = {"id": self._next, "method": method, "params": list(words)}
        self._socket.sendall(json.dumps(request).encode())
        answer = self._answer()
        if answer.get("error") is not None:
            raise RefusedError(str(answer["error"]).strip())
        return str(answer.get("result") or "")

    def _answer(self) -> dict[str, object]:
        text = b""
        while True:
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise ConnectionResetError("the daemon hung up")
            text += piece
            if not text.rstrip().endswith(b"}"):
                continue
            try:
                answer, _ = self._decoder.raw_decode(text.decode())
            except ValueError:
                continue
            if isinstance(answer, dict):
                return answer
