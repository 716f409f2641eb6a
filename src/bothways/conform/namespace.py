"""A network namespace: being in one for a while, its sysctls, and programs that set it up."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["inside", "run", "write_sysctl"]

_CLONE_NEWNET: Final = 0x40000000


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let this thread be in a network namespace for a while; sockets that it makes stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "the namespace cannot be entered", name)
        try:
            yield
        finally:
            libc.setns(home, _CLONE_NEWNET)
    finally:
        os.close(there)
        os.close(home)


def write_sysctl(where: str, path: str, value: int) -> None:
    """Write a sysctl of a namespace, by its path below ``/proc/sys``."""
    with inside(where):
        Path("/proc/sys", path).write_text(f"{value}\n")


def run(*words: str, text: str | None = None) -> None:
    """
    Run a program, with *text* on its standard input.

    :raises OSError: with the first line of what it complains.
    """
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(words, input=text, text=True, capture_output=True, check=False, env=environment)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise OSError(None, said[0], " ".join(words))
