"""
Measures how fast captures are read: the same frames as pcap and as pcapng, in pairs.

The ratio of a pair travels between machines; what a packet costs is printed beside it.
"""

from __future__ import annotations

import statistics
import struct
import sys
import time

from bothways.capture.capture_file import read_capture_file
from bothways.facts.sighting import Tap

FRAMES = 20_000
PAIRS = 5
TAP = Tap("host", "root", "eth0")


def frame(number: int) -> bytes:
    """One TCP segment in Ethernet; only its sequence number differs."""
    ethernet = bytes.fromhex("0200000000020200000000010800")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02")
    return ethernet + ip + struct.pack("!HHIIBBHHH", 40000, 22, number, 1, 5 << 4, 0x10, 64240, 0, 0)


def pcap(frames: list[bytes]) -> bytes:
    """A classic capture file with nothing but headers and records."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    records = (struct.pack("<IIII", 1, n, len(f), len(f)) + f for n, f in enumerate(frames))
    return head + b"".join(records)


def block(kind: int, body: bytes) -> bytes:
    """One block of pcapng, padded."""
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(frames: list[bytes]) -> bytes:
    """The same as pcapng: a section, one interface, enhanced packet blocks."""
    blocks = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    blocks.append(block(1, struct.pack("<HHI", 1, 0, 262144)))
    blocks += [block(6, struct.pack("<IIIII", 0, 0, n, len(f), len(f)) + f) for n, f in enumerate(frames)]
    return b"".join(blocks)


def seconds(data: bytes) -> float:
    """CPU time of reading one file. Raises RuntimeError if frames are missing."""
    start = time.process_time()
    captures, _ = read_capture_file(data, tap=TAP, file="bench.pcap", names=None)
    passed = time.process_time() - start
    if [len(c.sightings) for c in captures] != [FRAMES]:
        raise RuntimeError(f"{FRAMES} frames were written, {captures} were read")
    return passed


def main() -> int:
    """Print what a packet costs in both formats, and the median ratio of the pairs."""
    frames = [frame(number) for number in range(FRAMES)]
    classic, modern = pcap(frames), pcapng(frames)
    pairs = [(seconds(classic), seconds(modern)) for _ in range(PAIRS)]
    for name, column in (("pcap", 0), ("pcapng", 1)):
        each = statistics.median(pair[column] for pair in pairs) / FRAMES
        print(f"{name}: {each * 1e6:.0f} µs a packet")
    print(f"pcapng takes {statistics.median(b / a for a, b in pairs):.2f} times as long as pcap")
    return 0


if __name__ == "__main__":
    sys.exit(main())
