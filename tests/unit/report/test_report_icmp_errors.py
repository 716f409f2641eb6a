"""ICMP errors in words."""

from __future__ import annotations

import pytest

from bothways.correlate.kernel_account import account
from bothways.report.kernel_account import render_account
from kernel_trace_samples import CLIENT, NAME, ROUTER, Story, headers

V6 = ("2001:db8::1", "2001:db8::2")


@pytest.mark.parametrize(
    ("ends", "protocol", "kind", "code", "said"),
    [
        ((CLIENT, NAME), "icmp", 3, 3, "nobody listens on this port"),
        ((CLIENT, NAME), "icmp", 3, 13, "communication is prohibited"),
        ((CLIENT, NAME), "icmp", 3, 7, "the destination cannot be reached"),
        ((CLIENT, NAME), "icmp", 11, 0, "the TTL has run out"),
        (V6, "icmpv6", 3, 0, "the hop limit has run out"),
        (V6, "icmpv6", 1, 3, "nobody answers for the address"),
        (V6, "icmpv6", 1, 99, None),
    ],
)
def test_the_account_says_what_an_error_says(
    ends: tuple[str, str], protocol: str, kind: int, code: int, said: str | None
) -> None:
    one, other = ends
    syn = headers(one, other, "S")
    error = headers(other, one, "", protocol=protocol, icmp_type=kind, icmp_code=code, quoted=syn)
    error.update(flags=None, seq=None, ack=None, window=None, source_port=None, destination_port=None)
    story = Story().start().event("receive", 1, ROUTER, "qg-1", syn)
    story.event("xmit", 2, ROUTER, "qg-1", error, provoked_by=1)
    sheet = render_account(account(story.traces()), width=200, colour=False)
    assert "ICMP error sent by h1" in sheet
    assert (f"it says: {said}" in sheet) if said else ("it says" not in sheet)
