"""Packets between the namespaces of a bed, traced into a bundle, and what was done to those of one port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bothways.facts.kernel_account import Deed, KernelAccount
from bothways.facts.packet import Packet

ROOT = Path(__file__).resolve().parents[2]
BOTHWAYS = Path(sys.executable).with_name("bothways")


@contextmanager
def traced(folder: Path, *words: str) -> Iterator[None]:
    """Trace what happens meanwhile into a bundle, from when the tracer is ready."""
    tracing = subprocess.Popen(
        [str(BOTHWAYS), "trace", *words, "-o", str(folder), "--timeout", "60"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert tracing.stderr is not None
    try:
        for line in tracing.stderr:
            if line.startswith("ready:"):
                break
        yield
    finally:
        tracing.terminate()  # what is under way is told before it ends
        tracing.communicate(timeout=30)


def deeds_of_port(told: KernelAccount, port: int) -> list[Deed]:
    """What was done to packets from or to a port, or because of them."""
    found = []
    for deed in told.deeds:
        numbers = [deed.packet, deed.provoked_by.number if deed.provoked_by else None]
        headers = [told.packet(number).headers for number in numbers if number is not None]
        if not deed.aside and any(port in _ports(each.packet) for each in headers if each is not None):
            found.append(deed)
    return found


def _ports(packet: Packet) -> set[int | None]:
    ports = {end.port for end in (packet.source, packet.destination) if end is not None}
    quoted = None if packet.icmp is None else packet.icmp.inner
    return ports if quoted is None else ports | _ports(quoted)
