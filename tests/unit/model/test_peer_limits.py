"""How often a stack complains to one sender, and what a fate is told then."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from linux_samples import Told, device, did, dids, frame, netns, route, stack

from bothways.facts.address import IPAddress, address
from bothways.facts.packet import Icmp
from bothways.facts.step import Did
from bothways.model.linux.peer import Peer, Peers

SECOND = 1_000_000_000
OUT = device("out0", "192.0.2.1/24", number=2)
ROUTES = (
    route("192.0.2.0/24 dev out0"),
    route("192.0.2.1 dev out0", table="local", kind="local"),
)


@pytest.mark.parametrize(
    ("times", "sent"),
    [
        ([0] * 6, "11111."),  # five at once
        ([0] * 5 + [0.9, 1.0, 1.5, 2.1], "11111.1.1"),  # and one for each second
        ([100.0] * 6, "11111."),  # a long silence earns no more than five
        ([0, 1, 2, 3, 4, 5, 6, 7], "11111111"),  # one a second goes on for ever
    ],
)
def test_an_error_costs_a_second(times: list[float], sent: str) -> None:
    peer = Peer()

    assert "".join("1" if peer.spend(int(at * SECOND)) else "." for at in times) == sent


@pytest.mark.parametrize(
    ("times_ms", "sent"),
    [
        ([0, 1, 39, 41], "1..1"),  # the second waits for twice the load of 20 ms
        ([0, 41, 100, 122], "11.1"),  # the third for four times as much
        ([5000], "1"),
        ([0, 50, 200, 400, 800, 1500, 3000, 6000, 12000, 30000], "111111111."),  # nine at most
        ([0, 50, 30000, 30030], "111."),  # a silence forgets them
    ],
)
def test_redirects_become_rare(times_ms: list[int], sent: str) -> None:
    peer = Peer()

    assert "".join("1" if peer.redirect(at * SECOND // 1000) else "." for at in times_ms) == sent


def test_every_address_has_an_account_of_its_own() -> None:
    peers = Peers()
    one, other = address("192.0.2.9"), address("192.0.2.10")

    assert [peers.of(one).spend(0) for _ in range(6)] == [True] * 5 + [False]
    assert peers.of(other).spend(0)


def test_the_sixth_packet_without_a_route_is_told_nothing_and_the_step_says_why() -> None:
    space = stack(netns(OUT, routes=ROUTES, sysctls={}))
    told = [
        space.receive("out0", frame("192.0.2.9:4000", "203.0.113.7:22", to=OUT), at * SECOND // 10)
        for at in range(6)
    ]

    assert [[type(t.packet.icmp) for t in each.transmissions] for each in told] == [[Icmp]] * 5 + [[]]
    assert "5 times at once, then once a second" in did(told[0], Did.ANSWERED).reason
    assert did(told[-1], Did.DROPPED).reason.endswith("it was told too often, and is not told now")


@dataclass
class Saw(Told):
    """An oracle that saw what the kernel did."""

    kept: bool = False
    spent: bool | None = None

    def kept_back(self, peer: IPAddress, *, spent: bool) -> bool:
        assert peer == address("192.0.2.9")
        self.spent = spent
        return self.kept


@pytest.mark.parametrize(("kept", "end"), [(True, Did.DROPPED), (False, Did.ANSWERED)])
def test_whoever_saw_the_kernel_is_believed(end: Did, *, kept: bool) -> None:
    saw = Saw(kept=kept)
    passage = stack(netns(OUT, routes=ROUTES, sysctls={}), saw).receive(
        "out0", frame("192.0.2.9:4000", "203.0.113.7:22", to=OUT), 0
    )

    assert end in dids(passage)
    assert saw.spent is False


def test_redirects_of_one_moment_are_one() -> None:
    routes = (*ROUTES, route("203.0.113.0/24 via 192.0.2.254 dev out0"))
    space = stack(netns(OUT, routes=routes, sysctls={"net.ipv4.conf.all.send_redirects": "1"}))
    sent = [
        [
            t.packet.icmp.type
            for t in space.receive(
                "out0", frame("192.0.2.9:4000", "203.0.113.7:22", to=OUT), at
            ).transmissions
            if t.packet.icmp is not None
        ]
        for at in (0, 1, SECOND)
    ]

    assert sent == [[5], [], [5]]
