"""
When a client sends an unanswered SYN again.

RFC 6298 waits one second at first, and twice as long each time. Linux since 6.5 waits the same time for the
first few (``net.ipv4.tcp_syn_linear_timeouts``, ``tcp_model_timeout`` in ``net/ipv4/tcp_timer.c``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bothways.facts.snapshot import Netns

__all__ = ["RETRANSMIT_NS", "syn_times"]

#: First retransmission of SYN and SYN/ACK, RFC 6298 section 2.1.
RETRANSMIT_NS: Final = 1_000_000_000
_SYSCTL: Final = "net.ipv4.tcp_syn_linear_timeouts"
_SINCE: Final = (6, 5)
_DEFAULT: Final = 4


def syn_times(netns: Netns | None, kernel: str | None, until_ns: int) -> Iterator[int]:
    """
    Yield the times of retransmissions, nanoseconds after the first SYN.

    :param netns: the client's namespace, None if it is not known.
    :param kernel: release of its host, None is taken for the newest.
    """
    equal, number, wait, moment = _equal(netns, kernel), 0, RETRANSMIT_NS, RETRANSMIT_NS
    while moment <= until_ns:
        yield moment
        number += 1
        wait = wait if number <= equal else wait * 2
        moment += wait


def _equal(netns: Netns | None, kernel: str | None) -> int:
    """How many retransmissions wait no longer than the first."""
    said = None if netns is None else netns.sysctl(_SYSCTL)
    if said is not None and said.value.strip().isdecimal():
        return int(said.value)
    found = re.search(r"(\d{1,4})\.(\d{1,4})", kernel or "")
    return 0 if found is not None and (int(found[1]), int(found[2])) < _SINCE else _DEFAULT
