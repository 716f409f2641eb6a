"""tshark and tcpdump asked about the same frames; captures are joined, so that each is started once."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["OWN", "SHARED", "Joined", "joined", "own_captures", "tcpdump", "third_party", "tshark"]

SHARED: Final = Path(__file__).resolve().parents[4] / "shared"
#: link types of which the recorded evidence holds more than a handful
OWN: Final = (1, 276)
_MICRO_LITTLE: Final = b"\xd4\xc3\xb2\xa1"


@dataclass(frozen=True)
class Joined:
    """Captures of one link type as one file; *places* names the file and frame that each frame was."""

    link: int
    data: bytes
    places: tuple[tuple[str, int], ...]

    def write(self, folder: Path) -> Path:
        path = folder / f"joined-{self.link}.pcap"
        path.write_bytes(self.data)
        return path


def _records(data: bytes) -> Iterator[bytes]:
    at = 24
    while at + 16 <= len(data):
        end = at + 16 + struct.unpack_from("<I", data, at + 8)[0]
        if end > len(data):
            return
        yield data[at:end]
        at = end


def joined(paths: Sequence[Path]) -> Mapping[int, Joined]:
    """Captures in little endian and microseconds, by link type; others are left out."""
    found: dict[int, list[tuple[tuple[str, int], bytes]]] = defaultdict(list)
    for path in paths:
        data = path.read_bytes()
        if data.startswith(_MICRO_LITTLE) and len(data) >= 24:
            link = struct.unpack_from("<I", data, 20)[0] & 0xFFFF
            for frame, body in enumerate(_records(data), start=1):
                found[link].append(((str(path.relative_to(SHARED)), frame), body))
    return {
        link: Joined(
            link,
            _MICRO_LITTLE
            + struct.pack("<HHiIII", 2, 4, 0, 0, 262144, link)
            + b"".join(body for _, body in rows),
            tuple(place for place, _ in rows),
        )
        for link, rows in found.items()
    }


@cache
def own_captures() -> Mapping[int, Joined]:
    """What was recorded for this project: the bundles, and packetdrill's runs."""
    captures = sorted((SHARED / "bundles").rglob("*.pcap"))
    return joined([*captures, *sorted((SHARED / "oracles" / "packetdrill" / "captures").glob("*.pcap"))])


@cache
def third_party(step: int = 1) -> Mapping[int, Joined]:
    """The test captures of libpcap, tcpdump and Zeek, or one of *step* of them."""
    index = json.loads((SHARED / "oracles" / "pcap" / "index.json").read_text())
    return joined([SHARED / "oracles" / "pcap" / row["file"] for row in index[::step]])


Row = Mapping[str, list[str]]
_OPTIONS: Final = (
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.relative_sequence_numbers:FALSE",
    "tcp.check_checksum:TRUE",
)


def tshark(path: Path, fields: Sequence[str]) -> list[Row]:
    """Every frame's fields, each with all its occurrences from the outside in."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t"]
    command += ["-E", "occurrence=a", "-E", "aggregator=|"]
    command += [word for option in _OPTIONS for word in ("-o", option)]
    command += [word for field in fields for word in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [
        {
            field: value.split("|") if value else []
            for field, value in zip(fields, line.split("\t"), strict=True)
        }
        for line in done.stdout.split("\n")[:-1]
    ]


_NUMBERED: Final = re.compile(r" *(\d+)  (?=\d\d:\d\d:\d\d|\d{4}-|\d{9,}\.|\[Err)")


@dataclass(frozen=True)
class Printed:
    """What tcpdump printed, and which frame each line is about."""

    text: str
    frames: tuple[int, ...]

    def by_frame(self) -> Mapping[int, str]:
        """The lines of a frame as one, without its number and without the blanks at the lines' ends."""
        said: dict[int, str] = {}
        for frame, line in zip(self.frames, self.text.split("\n"), strict=True):
            bare = _NUMBERED.sub("", line, count=1)
            said[frame] = f"{said[frame]} {bare.strip()}".rstrip() if frame in said else bare
        return said


def tcpdump(path: Path, options: str) -> Printed:
    """:param options: without the dash, ``--number`` is added."""
    command = ["tcpdump", f"-{options}", "--number", "-r", str(path)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/usr/sbin:/sbin:/bin"},
    )
    frames, frame = [], 0
    for line in done.stdout.split("\n"):
        numbered = _NUMBERED.match(line)
        frame = int(numbered[1]) if numbered else frame
        frames.append(frame)
    return Printed(done.stdout, tuple(frames))
