"""What a program is told where its packet goes no further."""

import pytest

from bothways.facts.address import address
from bothways.facts.packet import ICMP, ICMP6, TCP, Flag, Icmp, Ip, Packet, Tcp
from bothways.facts.step import Did, Place, Step
from bothways.model.world.complaint import pathless, told_by

ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


def error(version: int, kind: int, code: int, *, quoting: bool = True) -> Packet:
    here, there = (address(text) for text in ENDS[version])
    inner = Packet(ip=Ip(here, there, TCP), tcp=Tcp(1, 2, Flag.SYN))
    protocol = ICMP if version == 4 else ICMP6
    return Packet(ip=Ip(there, here, protocol), icmp=Icmp(kind, code, inner=inner if quoting else None))


@pytest.mark.parametrize(
    ("version", "kind", "code", "told"),
    [
        (4, 3, 0, "Network is unreachable"),
        (4, 3, 1, "No route to host"),
        (4, 3, 3, "Connection refused"),
        (4, 3, 4, None),
        (4, 3, 13, "No route to host"),
        (4, 11, 0, "No route to host"),
        (4, 5, 1, None),
        (4, 0, 0, None),
        (6, 1, 0, "Network is unreachable"),
        (6, 1, 1, "Permission denied"),
        (6, 1, 4, "Connection refused"),
        (6, 2, 0, None),
        (6, 3, 0, "No route to host"),
        (6, 129, 0, None),
    ],
)
def test_an_icmp_error_means_an_error_to_who_connects(
    version: int, kind: int, code: int, told: str | None
) -> None:
    assert told_by(error(version, kind, code)) == told
    assert told_by(error(version, kind, code, quoting=False)) is None


def step(function: str, did: Did, reason: str) -> Step:
    packet = error(4, 3, 0)
    return Step(Place("h", "root"), function, did, packet, None, reason)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (
            step("ip_route_output_flow", Did.DROPPED, "no route: told (Network is unreachable)"),
            "Network",
        ),
        (step("ip6_route_output_flags", Did.DROPPED, "prohibited (Permission denied)"), "Permission"),
        (step("ip_route_output_flow", Did.UNKNOWN, "(Network is unreachable)"), None),
        (step("ipt_do_table", Did.DROPPED, "(Network is unreachable)"), None),
    ],
)
def test_a_stack_without_a_way_says_so_at_once(last: Step, told: str | None) -> None:
    found = pathless([[last]])

    assert (None if found is None else found.split()[0]) == told
    assert pathless([]) is None
