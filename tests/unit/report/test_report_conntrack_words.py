"""Tracked connections in the words of conntrack-tools, read back by the parser."""

from __future__ import annotations

import pytest

from bothways.parse.conntrack import parse_entries, parse_events
from bothways.report.conntrack_words import entry_words, event_words

TCP = "src=192.0.2.1 dst=192.0.2.9 sport=1024 dport=22 src=198.51.100.4 dst=192.0.2.1 sport=22 dport=1024"
UDP = "src=::1 dst=::2 sport=68 dport=67 [UNREPLIED] src=::2 dst=::1 sport=67 dport=68"
PING = "src=192.0.2.1 dst=192.0.2.9 type=8 code=0 id=7 src=192.0.2.9 dst=192.0.2.1 type=0 code=0 id=7"
LINES = [
    f"tcp      6 431999 ESTABLISHED {TCP} [ASSURED] mark=7 zone=3",
    f"udp      17 30 {UDP}",
    f"icmp     1 29 {PING}",
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_reads_as_it_was_printed(line: str) -> None:
    (entry,) = parse_entries(line, file="conntrack.txt").rows
    assert entry_words(entry) == line


@pytest.mark.parametrize(
    "line",
    [
        f"    [NEW] tcp      6 120 SYN_SENT {TCP}",
        f" [UPDATE] tcp      6 60 SYN_RECV {TCP}",
        f"[DESTROY] tcp      6 CLOSE {TCP} [ASSURED]",
    ],
)
def test_an_event_reads_as_it_was_printed(line: str) -> None:
    (event,) = parse_events(line, file="conntrack-events.txt").rows
    assert event_words(event.kind, event.entry) == line
