"""A connection whose ends stand on a bridge, a VLAN device and a bond: frames go down and come up again."""

from dataclasses import replace

import pytest
from linux_samples import device, netns

from bothways.facts.address import address
from bothways.facts.device import Device
from bothways.facts.diagnosis import Fate
from bothways.facts.prediction import Walk
from bothways.facts.question import Question
from bothways.facts.snapshot import Host, Member, Segment, Snapshot
from bothways.facts.span import Span
from bothways.model.world import predict

QUESTION = Question("tcp", address("192.0.2.1"), address("192.0.2.2"), 22)
SPAN = Span("bundle.toml", 1)
LISTENS = "State Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0 128 *:22 *:*"

PLAIN = (device("eth0", "192.0.2.1/24", number=0x11),)
SERVERS = {
    "the device itself": (device("eth0", "192.0.2.2/24", number=0x21),),
    "a bridge above it": (
        device("br0", "192.0.2.2/24", number=0x22, kind="bridge"),
        device("eth0", number=0x21, master="br0"),
        device("tap0", number=0x23, master="br0"),
    ),
    "a bond above it": (
        device("bond0", "192.0.2.2/24", number=0x22, kind="bond"),
        device("eth0", number=0x22, master="bond0"),
    ),
}


def walked(client: tuple[Device, ...], server: tuple[Device, ...]) -> Walk:
    """Two hosts, joined by their ``eth0``; the server listens."""
    hosts = {
        name: Host(name, {"root": replace(netns(*held, ss=LISTENS, sysctls={}, name="root"), host=name)})
        for name, held in (("a", client), ("b", server))
    }
    wire = Segment("wire", (Member("a", "root", "eth0"), Member("b", "root", "eth0")), SPAN)
    return predict(Snapshot(hosts, (wire,)), QUESTION).walks[0]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_it_works_whatever_the_address_stands_on(server: tuple[Device, ...]) -> None:
    walk = walked(PLAIN, server)

    assert (walk.fate, walk.unknown) == (Fate.WORKS, ()), walk.why


@pytest.mark.parametrize("tag", [7, 8])
def test_a_vlan_is_heard_by_the_same_vlan_only(tag: int) -> None:
    def tagged(last: int, number: int) -> tuple[Device, ...]:
        above = device(f"eth0.{number}", f"192.0.2.{last}/24", number=0x10 * last + 2, kind="vlan")
        below = device("eth0", number=0x10 * last + 2)
        return (replace(above, lower="eth0", info={"id": number}), below)

    walk = walked(tagged(1, 7), tagged(2, tag))

    assert (walk.fate is Fate.WORKS) is (tag == 7), walk.why


def test_a_bridge_floods_what_it_has_not_learned_and_the_copies_are_told_apart() -> None:
    walk = walked(PLAIN, SERVERS["a bridge above it"])
    (syn,) = [j for j in walk.journeys if j.name == "SYN"]

    assert {s.place.device for b in syn.branches for s in b.steps} >= {"eth0", "br0"}
