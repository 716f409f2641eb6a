"""A filter cut for the kernel part: what it takes, what is left, and that nothing admitted is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.address import address, network
from bothways.facts.filter_tree import All, Hosts, Node, Not, Ports, Protocol, Side, TcpFlags, admits
from bothways.facts.filter_tree import Any as AnyOf
from bothways.facts.kernel_event import KernelEvent
from bothways.facts.packet import ETH_IP, ETH_IP6, ICMP, TCP, UDP, Ethernet, Flag, Icmp, Ip, Packet, Tcp, Udp
from bothways.parse.filter import parse_filter
from bothways.trace.filter_plan import FilterError, FilterPlan, Term, plan_filter
from bothways.trace.session import Behind
from kernel_trace_samples import CLIENT, NAME, SERVER, Story, headers, reset_story


def plan(text: str) -> FilterPlan:
    return plan_filter(parse_filter(text))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("ip or ip6", [{"family": 4}, {"family": 6}]),
        ("tcp", [{"protocol": 6}]),
        ("tcp port 22", [{"protocol": 6, "port": [22, 22]}]),
        ("port 53", [{"port": [53, 53]}]),
        ("host 192.0.2.1", [{"family": 4, "host": "192.0.2.1/32"}]),
        (
            "src net 10.0.0.0/8 and dst port 80",
            [{"family": 4, "source": "10.0.0.0/8", "destination_port": [80, 80]}],
        ),
        ("ip6 and udp portrange 5000-6000", [{"family": 6, "protocol": 17, "port": [5000, 6000]}]),
        (
            "host 192.0.2.1 and host 192.0.2.2",
            [
                {"family": 4, "host": "192.0.2.1/32", "source": "192.0.2.2/32"},
                {"family": 4, "host": "192.0.2.1/32", "destination": "192.0.2.2/32"},
            ],
        ),
        (
            "tcp[tcpflags] & (tcp-syn|tcp-rst) != 0",
            [
                {"family": 4, "protocol": 6, "flags_mask": 2, "flags_value": 2},
                {"family": 4, "protocol": 6, "flags_mask": 4, "flags_value": 4},
            ],
        ),
        (
            "(host 192.0.2.1 or host 2001:db8::1) and tcp",
            [
                {"family": 4, "protocol": 6, "host": "192.0.2.1/32"},
                {"family": 6, "protocol": 6, "host": "2001:db8::1/128"},
            ],
        ),
        ("not (not tcp)", [{"protocol": 6}]),
        ("tcp or arp", [{"protocol": 6}]),
    ],
)
def test_what_the_kernel_part_takes_whole(text: str, terms: list[dict[str, Any]]) -> None:
    made = plan(text)

    assert made.exact
    assert made.as_json() == ([terms] if terms else [])


@pytest.mark.parametrize(
    ("text", "terms", "behind"),
    [
        ("tcp and not port 22", [{"protocol": 6}], ("not port 22",)),
        ("not host 192.0.2.1", [], ("not net 192.0.2.1/32",)),
        ("udp and greater 1000", [{"protocol": 17}], ("greater 1000",)),
        (
            " or ".join(f"host 192.0.2.{n}" for n in range(1, 12)),
            [{"family": 4}],
            ("more alternatives than 8",),
        ),
        (
            "tcp and (" + " or ".join(f"port {n}" for n in range(1, 12)) + ")",
            [{"protocol": 6}],
            ("more alternatives than 8",),
        ),
    ],
)
def test_what_is_left_for_us_is_said(text: str, terms: list[dict[str, Any]], behind: tuple[str, ...]) -> None:
    made = plan(text)

    assert not made.exact
    assert made.as_json() == ([terms] if terms else [])
    assert made.behind == behind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arp", "no packet of IPv4 or IPv6"),
        ("tcp and udp", "no packet"),
        ("ip and host 2001:db8::1", "no packet"),
        ("src host 192.0.2.1 and src host 192.0.2.2", "no packet"),
        ("icmp and port 22", "no packet"),
        ("ether host 02:00:00:00:00:01", "MAC addresses"),
        ("vlan 3", "VLAN tags"),
        ("tcp prot 22", "not understood"),
        ("host name.example", "not understood"),
        ("(tcp", "not understood"),
    ],
)
def test_what_cannot_be_traced_is_refused(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        plan(text)


def test_many_alternatives_of_alternatives_are_not_told_apart() -> None:
    wide = " and ".join(f"(port {n} or port {n + 1})" for n in range(1, 40, 2))
    made = plan(wide)

    assert not made.exact
    assert made.terms == ()


# -- against the tree itself
# --------------------------------------------------------------------------------------------

ADDRESSES = [address(text) for text in ("192.0.2.1", "192.0.2.130", "10.0.0.7", "2001:db8::1", "2001:db8::2")]
NETWORKS = [
    network(text) for text in ("192.0.2.0/24", "192.0.2.128/25", "192.0.2.1", "2001:db8::/64", "2001:db8::2")
]
PORTS = (1, 22, 53, 80)

sides = st.sampled_from(list(Side))
leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(
        Protocol,
        st.sampled_from([frozenset(), frozenset({ETH_IP}), frozenset({ETH_IP6}), frozenset({0x0806})]),
        st.sampled_from([None, TCP, UDP, ICMP]),
    ),
    st.builds(Hosts, sides, st.sampled_from(NETWORKS)),
    st.builds(
        Ports, sides, st.sampled_from(PORTS), st.just(90), st.sampled_from([frozenset(), frozenset({TCP})])
    ),
    st.builds(TcpFlags, st.sampled_from([2, 0x12, 4]), st.sampled_from([0, 2, 0x12]), st.booleans()),
)
trees: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    source = draw(st.sampled_from(ADDRESSES))
    destination = draw(st.sampled_from([each for each in ADDRESSES if each.version == source.version]))
    protocol = draw(st.sampled_from([TCP, UDP, ICMP]))
    ethernet = Ethernet(type=ETH_IP if source.version == 4 else ETH_IP6)
    packet = Packet(ethernet, ip=Ip(source, destination, protocol))
    sport, dport = draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS))
    if protocol == TCP:
        return replace(packet, tcp=Tcp(sport, dport, Flag(draw(st.integers(0, 255)))))
    return replace(packet, udp=Udp(sport, dport)) if protocol == UDP else replace(packet, icmp=Icmp(8, 0))


def fits(term: Term, packet: Packet) -> bool:
    """What the kernel part does with a term, as the contract of its option says."""
    assert packet.ip is not None
    ends = {
        "source": (packet.ip.src,),
        "destination": (packet.ip.dst,),
        "host": (packet.ip.src, packet.ip.dst),
    }
    transport = packet.tcp or packet.udp
    ports = () if transport is None else (transport.sport, transport.dport)
    of_side = {"source": ports[:1], "destination": ports[1:], "port": ports}
    flags = None if packet.tcp is None else int(packet.tcp.flags)
    return (
        term.family in (None, packet.ip.src.version)
        and term.protocol in (None, packet.ip.protocol)
        and all(any(each in net for each in ends[slot]) for slot, net in term.networks.items())
        and all(
            any(low <= each <= high for each in of_side[slot]) for slot, (low, high) in term.ports.items()
        )
        and (not term.flags_mask or (flags is not None and flags & term.flags_mask == term.flags_value))
    )


@given(trees, packets())
def test_no_packet_that_the_filter_admits_is_left_out(tree: Node, packet: Packet) -> None:
    wanted = admits(tree, packet)
    try:
        made = plan_filter(tree)
    except FilterError:
        assert not wanted
        return
    taken = not made.terms or any(fits(term, packet) for term in made.terms)
    assert taken or not wanted
    if made.exact:
        assert taken is bool(wanted)


# -- behind the kernel part
# -----------------------------------------------------------------------------------------------


def events(story: Story) -> list[KernelEvent]:
    (trace,) = story.traces()
    return list(trace.events)


def passed(text: str, story: Story, **more: bool) -> list[int]:
    behind = Behind(plan_filter(parse_filter(text), **more))
    return [event.number for event in events(story) if behind.admits(0, event)]


def test_behind_a_packet_passes_with_all_that_it_provoked() -> None:
    # The RST answers the ACK, which passes; the SYN does not.
    wanted = "tcp and not (tcp[tcpflags] & (tcp-syn|tcp-rst) != 0)"
    assert passed(wanted, reset_story()) == [5, 6, 7, 8, 9, 10]


def test_behind_a_packet_passes_under_its_names_beyond_nat() -> None:
    entry = {
        "original": {"source": CLIENT, "source_port": 1, "destination": NAME, "destination_port": 22},
        "reply": {"source": SERVER, "source_port": 22, "destination": CLIENT, "destination_port": 1},
    }
    story = Story().start()
    inside = headers(CLIENT, SERVER, "S", source_port=1)
    story.event("xmit", 1, "qr", "qr-1", inside, conntrack=entry).event("receive", 2, "vm", "eth0", inside)
    story.event("receive", 3, "vm", "eth0", headers(CLIENT, "10.0.0.9", "S", source_port=1))
    wanted = f"host {NAME} and not port 23"

    assert passed(wanted, story) == [1, 2]
    assert passed(wanted, story, follow_nat=False) == []


def test_behind_lengths_are_those_of_frames() -> None:
    story = Story().start()
    story.event("xmit", 1, "root", "eth0", headers(CLIENT, NAME, ".", length=986))
    story.event("xmit", 2, "root", "eth0", headers(CLIENT, NAME, ".", length=985))

    assert passed("greater 1000", story) == [1]
