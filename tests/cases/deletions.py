"""Random deletions from a bundle: files, lines of dumps, rows of JSON, packets of captures."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["write_deleted"]

_KINDS: Final = (("files",), ("lines",), ("packets",), ("files", "lines", "packets"))
_PCAP_HEADER: Final = 24
_RECORD_HEADER: Final = 16


def write_deleted(bundle: Path, target: Path, seed: int) -> None:
    """Write what a seed leaves of a bundle: the same on every machine; it may be all, or next to nothing."""
    dice = random.Random(f"{bundle.name} {seed}")  # noqa: S311 - a sample, and no secret
    kinds = dice.choice(_KINDS)
    files, lines, packets = (
        dice.choice(shares)
        for shares in ((0.05, 0.2, 0.5, 0.8), (0.01, 0.05, 0.2, 0.5, 0.9), (0.03, 0.1, 0.3, 0.6, 0.9))
    )
    touched, end = dice.choice((0.1, 0.5, 1.0)), dice.random() < 0.3
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        file, data = path.relative_to(bundle).as_posix(), path.read_bytes()
        if file.startswith("hosts/"):
            if "files" in kinds and dice.random() < files:
                continue
            if dice.random() < touched:
                if file.endswith(".pcap"):
                    data = _fewer_packets(data, packets, dice, end=end) if "packets" in kinds else data
                elif "lines" in kinds:
                    data = _fewer_lines(file, data, lines, dice)
        out = target / file
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(data)


def _fewer_lines(file: str, data: bytes, share: float, dice: random.Random) -> bytes:
    rows = json.loads(data) if file.endswith(".json") and data.startswith(b"[") else None
    if isinstance(rows, list):
        return json.dumps([row for row in rows if dice.random() > share]).encode()
    return b"".join(line for line in data.splitlines(keepends=True) if dice.random() > share)


def _fewer_packets(data: bytes, share: float, dice: random.Random, *, end: bool) -> bytes:
    """*end*: all behind some packet are gone, as if the capture had been stopped there."""
    records = list(_records(data))
    kept = (
        records[: dice.randrange(len(records) + 1)] if end else [r for r in records if dice.random() > share]
    )
    return data[:_PCAP_HEADER] + b"".join(kept)


def _records(data: bytes) -> Iterator[bytes]:
    at = _PCAP_HEADER
    while at + _RECORD_HEADER <= len(data):
        size = _RECORD_HEADER + int(struct.unpack_from("<I", data, at + 8)[0])
        yield data[at : at + size]
        at += size
