"""Events of kernels put together: packets through NAT, copies, tunnels and hosts; deeds; partings."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.correlate.kernel_account import account, latencies
from bothways.facts.kernel_account import Deed, DeedKind, KernelAccount, Known
from bothways.facts.kernel_event import Happening
from bothways.report.kernel_account import render_account
from kernel_trace_samples import (
    ANSWERED,
    CLIENT,
    DPORT,
    FORWARDED,
    NAME,
    RESET,
    ROUTER,
    SERVER,
    SPORT,
    START_NS,
    WALL_NS,
    Story,
    headers,
    reset_story,
)


def told(*stories: Story) -> KernelAccount:
    return account(trace for story in stories for trace in story.traces())


def places(made: KernelAccount, number: int) -> list[str]:
    return [each.event.place for each in made.packet(number).events]


def numbers(made: KernelAccount) -> list[list[int]]:
    """The events of every packet, by their numbers."""
    return [[each.event.number for each in packet.events] for packet in made.packets]


def deeds(made: KernelAccount, *, aside: bool = False) -> list[Deed]:
    return [deed for deed in made.deeds if deed.aside is aside]


def test_the_incident_is_told() -> None:
    made = told(reset_story())

    assert numbers(made) == [[1, 2, 3, 4], [5, 6, 7, 9], [8, 10]]
    (deed,) = deeds(made)
    assert (deed.kind, deed.packet, deed.function, deed.event.reason) == (
        DeedKind.RST,
        3,
        "tcp_v4_send_reset",
        "NO_SOCKET",
    )
    assert deed.event.place == f"h1/{ROUTER}:qg-1"
    assert deed.provoked_by is not None
    assert (deed.provoked_by.number, deed.provoked_by.known) == (2, Known.KERNEL)
    (freed,) = deeds(made, aside=True)
    assert (freed.kind, freed.packet, freed.function) == (DeedKind.DROP, 2, "tcp_v4_rcv")


def test_the_syn_and_the_ack_part() -> None:
    (parting,) = told(reset_story()).partings

    assert (parting.went, parting.ended) == (1, 2)
    assert parting.at.place == parting.ended_at.place == f"h1/{ROUTER}:qg-1"
    assert parting.went_to.place == f"h1/{ROUTER}:qr-1"
    assert parting.went_functions[0] == "ip_forward"
    assert parting.ended_functions[0] == "ip_local_deliver"
    assert parting.translated


def test_without_stacks_probes_tell_where_they_part() -> None:
    story = Story(tier="fentry").start()
    syn, ack = headers(CLIENT, NAME, "S", ip_id=1), headers(CLIENT, NAME, ".", seq=1001, ack=9, ip_id=2)
    inside = {**syn, "destination": SERVER}
    story.event("receive", 1, ROUTER, "qg-1", syn)
    story.event("ip-receive", 1, ROUTER, "qg-1", syn, function="ip_rcv")
    story.event("forward", 1, ROUTER, "qg-1", inside, before=syn, function="ip_forward")
    story.event("xmit", 1, ROUTER, "qr-1", inside)
    story.event("receive", 2, ROUTER, "qg-1", ack)
    story.event("ip-receive", 2, ROUTER, "qg-1", ack, function="ip_rcv")
    story.event("local-deliver", 2, ROUTER, "qg-1", ack, function="ip_local_deliver")
    story.event("drop", 2, ROUTER, "qg-1", ack, reason="NO_SOCKET", location="tcp_v4_rcv+0x1")
    (parting,) = told(story).partings

    assert (parting.went_functions, parting.ended_functions) == (("ip_forward",), ("ip_local_deliver",))


def test_a_reset_that_only_its_first_event_tells_of_has_an_author() -> None:
    """A rule's RST has no tracepoint: it begins at a device, and its stack names who made it."""
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=1)
    rst = headers(NAME, CLIENT, "R.", seq=0, ack=1001, ip_id=0, source_port=DPORT, destination_port=SPORT)
    made_by = ["dev_hard_start_xmit+0x1", "ip_output+0x1", "nf_send_reset+0x81", "nft_reject_ipv4_eval+0x1"]
    story.event("receive", 1, ROUTER, "qg-1", syn)
    story.event("xmit", 2, ROUTER, "qg-1", rst, stack=made_by)
    story.event("drop", 1, ROUTER, "qg-1", syn, reason="NETFILTER_DROP", location="nft_do_chain+0x9")
    made = told(story)

    (deed,) = deeds(made)
    assert (deed.kind, deed.function, deed.by_stack) == (DeedKind.RST, "nf_send_reset", True)
    # Nobody said what provoked it: its numbers do.
    assert deed.provoked_by is not None
    assert (deed.provoked_by.number, deed.provoked_by.known) == (1, Known.NUMBERS)
    assert [each.event.reason for each in deeds(made, aside=True)] == ["NETFILTER_DROP"]


def test_what_lay_in_a_socket_that_is_closed_is_no_loss() -> None:
    story = Story().start().event("receive", 1, "root", "eth0", headers(CLIENT, NAME, "."))
    story.event("drop", 1, "root", None, None, reason="NOT_SPECIFIED", location="inet_sock_destruct+0x84")
    assert deeds(told(story)) == []


@pytest.mark.parametrize(
    ("others", "left_ns", "accused"),
    [(True, 1_000_000, False), (True, 200_000_000, True), (False, 1_000_000, True)],
    ids=["a copy was on its way", "there was time to go on", "nothing goes on there"],
)
def test_a_copy_that_was_not_read_yet_at_the_end_is_nobodys_drop(
    others: bool,  # noqa: FBT001 (a table)
    left_ns: int,
    accused: bool,  # noqa: FBT001
) -> None:
    """A switch in user space reads copies of what the kernel's own stack then drops."""
    story = Story().start()
    dropped = {"reason": "NETFILTER_DROP", "location": "nft_do_chain+0x9"}
    if others:
        syn = headers(CLIENT, NAME, "S", ip_id=1)
        story.event("receive", 1, "root", "tap1", syn)
        story.event("drop", 1, "root", "tap1", syn, **dropped)
        story.event("socket", 2, "root", None, syn, clone_of=1)
        story.event("xmit", 3, "root", "tap2", syn)
    last = headers(CLIENT, NAME, "S", ip_id=2, seq=7000)
    story.event("receive", 4, "root", "tap1", last)
    story.event("drop", 4, "root", "tap1", last, **dropped)
    story.stop(clock={"monotonic_ns": story.at + left_ns, "wall_ns": story.wall, "width_ns": 1})
    made = told(story)

    assert [each.event.packet_id for each in deeds(made)] == ([4] if accused else [])
    assert [each.late for each in made.deeds if each.event.packet_id == 4] == [not accused]
    sheet = render_account(made, width=100, colour=False)
    assert ("Not told to the end" in sheet) is not accused


@pytest.mark.parametrize(("ack", "linked"), [(1001, True), (1002, False)])
def test_a_reset_is_linked_by_its_numbers_only_if_they_fit(ack: int, linked: bool) -> None:  # noqa: FBT001 (a table)
    story = Story().start()
    rst = headers(NAME, CLIENT, "R.", seq=0, ack=ack, ip_id=0, source_port=DPORT, destination_port=SPORT)
    story.event("receive", 1, "root", "eth0", headers(CLIENT, NAME, "S", ip_id=1))
    story.event("xmit", 2, "root", "eth0", rst)

    assert (told(story).packet(2).provoked_by is not None) is linked


def test_a_reset_from_elsewhere_is_nobodys_here() -> None:
    story = Story().start()
    rst = headers(NAME, CLIENT, "R", seq=5, source_port=DPORT, destination_port=SPORT)
    story.event("receive", 1, "root", "eth0", rst)
    (deed,) = told(story).deeds

    assert deed.foreign
    assert deed.function is None


def test_an_icmp_error_has_an_author_and_a_provoker() -> None:
    story = Story().start()
    syn = headers(CLIENT, "198.51.100.7", "S", ip_id=1, ttl=1)
    error = {
        "family": 4,
        "protocol": "icmp",
        "source": "192.0.2.1",
        "destination": CLIENT,
        "icmp_type": 11,
        "icmp_code": 0,
        "quoted": syn,
        "ip_id": 9,
        "length": 88,
        "ttl": 64,
    }
    story.event("receive", 1, ROUTER, "qg-1", syn)
    story.event("icmp-sent", 1, ROUTER, "qg-1", syn, function="__icmp_send")
    story.event("xmit", 2, ROUTER, "qg-1", error)
    story.event("drop", 1, ROUTER, "qg-1", syn, reason="IP_INHDR", location="ip_forward+0x1")
    made = told(story)

    (deed,) = deeds(made)
    assert (deed.kind, deed.packet, deed.function) == (DeedKind.ICMP, 2, "__icmp_send")
    assert deed.provoked_by is not None
    assert deed.provoked_by.number == 1


def test_a_packet_leaves_its_buffer_and_is_the_same() -> None:
    """A switch in user space takes the frame out of the kernel and puts another one in."""
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    story.event("xmit", 1, "client", "c0", syn)
    story.event("receive", 1, "root", "tap0", syn)
    story.event("consume", 1, "root", "tap0", syn)
    story.event("xmit", 2, "root", "qg-1", syn)
    story.event("receive", 2, ROUTER, "qg-1", syn)

    assert numbers(told(story)) == [[1, 2, 3, 4, 5]]


def test_a_retransmission_is_another_packet() -> None:
    """Also without an identification, as in IPv6: the same device does not send one packet twice."""
    story = Story().start()
    syn = headers("2001:db8::1", "2001:db8::2", "S", ip_id=None)
    for number in (1, 2):
        story.event("xmit", number, "client", "c0", syn, clone_of=9)
        story.event("receive", number, ROUTER, "qg-1", {**syn, "ttl": 64})
        story.event("xmit", number, ROUTER, "qr-1", {**syn, "ttl": 63})
        story.at += 1_000_000_000

    assert numbers(told(story)) == [[1, 2, 3], [4, 5, 6]]


def test_datagrams_that_look_alike_keep_their_order() -> None:
    story = Story().start()
    query = headers(CLIENT, NAME, "none", protocol="udp", ip_id=0)
    story.event("xmit", 1, "client", "c0", query).event("xmit", 2, "client", "c0", query)
    story.event("receive", 3, ROUTER, "qg-1", query).event("receive", 4, ROUTER, "qg-1", query)

    assert numbers(told(story)) == [[1, 3], [2, 4]]


def test_a_loop_is_one_packet() -> None:
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    for ttl in (64, 63, 62):
        story.event("receive", 1, "a", "a0", {**syn, "ttl": ttl}).event(
            "receive", 70 + ttl, "b", "b0", {**syn, "ttl": ttl}
        )

    assert len(told(story).packets) == 1


def test_a_buffer_that_is_used_again_carries_another_packet() -> None:
    """Tiers that number no lives tell of a buffer's address only."""
    story = Story(tier="tracefs").start()
    for flags, seq in (("S", 1), (".", 2)):
        packet = headers(CLIENT, NAME, flags, seq=seq, ip_id=seq)
        story.event("receive", None, "root", "eth0", packet, skb="0xffff1")
        story.event("consume", None, "root", "eth0", packet, skb="0xffff1")

    assert numbers(told(story)) == [[1, 2], [3, 4]]


def test_a_translation_of_both_ends_is_followed_by_the_trackers_entry() -> None:
    story = Story().start()
    before = headers(CLIENT, NAME, "none", protocol="udp", ip_id=5)
    after = headers(
        "10.0.0.1", SERVER, "none", protocol="udp", ip_id=5, source_port=40000, destination_port=53
    )
    entry = {
        "original": {"source": CLIENT, "source_port": SPORT, "destination": NAME, "destination_port": DPORT},
        "reply": {"source": SERVER, "source_port": 53, "destination": "10.0.0.1", "destination_port": 40000},
    }
    story.event("receive", 1, ROUTER, "qg-1", before)
    story.event("xmit", 1, ROUTER, "qr-1", after, conntrack=entry)
    story.event("receive", 2, "vm", "eth0", after)
    story.event("receive", 3, "vm", "eth0", {**after, "source_port": 40001})

    assert numbers(told(story)) == [[1, 2, 3], [4]]


def test_a_tunnel_does_not_hide_a_packet() -> None:
    story = Story().start()
    syn = headers(CLIENT, SERVER, "S", ip_id=5)
    outer = headers("10.1.0.1", "10.1.0.2", "none", protocol="udp", ip_id=77, vni=9, inner=syn, length=110)
    story.event("receive", 1, "root", "tap1", syn).event("xmit", 2, "root", "eth0", outer)
    story.event("receive", 3, "root", "eth1", outer).event("receive", 4, "root", "tap2", syn)

    assert numbers(told(story)) == [[1, 2, 3, 4]]


def test_a_dropped_copy_is_no_loss() -> None:
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    story.event("receive", 1, "root", "br0", syn)
    story.event("drop", 2, "root", "p2", syn, clone_of=1, reason="OTHERHOST")
    story.event("xmit", 1, "root", "p1", syn)
    made = told(story)

    assert deeds(made) == []
    assert made.packet(1).copies == 1


def test_the_last_word_of_a_packet_is_a_loss() -> None:
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    story.event("receive", 1, ROUTER, "qg-1", syn)
    story.event("drop", 1, ROUTER, "qg-1", syn, reason="IP_RPFILTER", location="ip_rcv_finish_core+0x7")
    (deed,) = deeds(told(story))

    assert (deed.kind, deed.function, deed.event.reason) == (
        DeedKind.DROP,
        "ip_rcv_finish_core",
        "IP_RPFILTER",
    )


def test_a_reset_that_was_taken_is_no_drop() -> None:
    story = reset_story()
    rst = headers(NAME, CLIENT, "R", seq=5001, ip_id=0, length=40, source_port=DPORT, destination_port=SPORT)
    story.event("drop", 4, "client", "c0", rst, reason="TCP_RESET")

    assert [deed.kind for deed in told(story).deeds] == [DeedKind.RST, DeedKind.DROP]


# -- several hosts
# ---------------------------------------------------------------------------------------------------------

OUTER = {"protocol": "udp", "ip_id": 77, "vni": 9, "length": 110}


def two_hosts(ahead_ns: int, **clock: Any) -> tuple[Story, Story]:
    """A packet that h1 routes and h2 receives half a millisecond later; h2's clock is ahead."""
    syn = headers(CLIENT, SERVER, "S", ip_id=5, ttl=63)
    one, two = Story("h1").start(), Story("h2", wall=WALL_NS + ahead_ns)
    two.at = START_NS + 500_000
    two.start()
    one.event("receive", 1, ROUTER, "qg-1", {**syn, "ttl": 64}).event("xmit", 1, ROUTER, "qr-1", syn)
    two.event("receive", 1, "root", "tap1", {**syn, "ttl": 62}).event(
        "xmit", 1, "root", "tap2", {**syn, "ttl": 62}
    )
    if clock:
        two.lines.insert(2, {"type": "clock", "host": "h2", "relative_to": "h1", **clock})
    return one, two


@pytest.mark.parametrize("ahead", [0, 40_000_000, -40_000_000])
def test_hosts_are_in_order_whatever_their_clocks_say(ahead: int) -> None:
    made = told(*two_hosts(ahead))

    assert places(made, 1) == [f"h1/{ROUTER}:qg-1", f"h1/{ROUTER}:qr-1", "h2:tap1", "h2:tap2"]
    assert [each.sure for each in made.packet(1).events] == [True] * 4
    (clock,) = made.clocks
    assert (clock.host, clock.relative_to) == ("h2", "h1")
    # Nothing but the packet bounds it: it did not arrive before it left.
    assert clock.high_ns == ahead + 490_000
    assert clock.low_ns is None


def test_measured_bounds_narrow_the_clocks_and_the_latency() -> None:
    ahead = 40_000_000
    made = told(*two_hosts(ahead, low_ns=ahead - 100_000, high_ns=ahead + 100_000))

    (clock,) = made.clocks
    assert (clock.low_ns, clock.high_ns) == (ahead - 100_000, ahead + 100_000)
    between = latencies(made.packet(1))[2]
    assert between == (390_000, 590_000)
    assert latencies(made.packet(1))[1] == (10_000, 10_000)


def test_an_order_that_nothing_tells_is_said_to_be_uncertain() -> None:
    """Both hosts only bridge: the TTL is the same, and the clocks are not known so exactly."""
    syn = headers(CLIENT, SERVER, "S", ip_id=5)
    one, two = Story("h1").start(), Story("h2").start()
    one.event("receive", 1, "root", "a0", syn).event("xmit", 1, "root", "a1", syn)
    two.event("receive", 1, "root", "b0", syn).event("xmit", 1, "root", "b1", syn)
    two.lines.insert(
        2, {"type": "clock", "host": "h2", "relative_to": "h1", "low_ns": -900_000, "high_ns": 900_000}
    )
    made = told(one, two)

    assert [each.sure for each in made.packet(1).events] == [True, True, False, True]


def test_clocks_that_contradict_the_packets_are_a_problem() -> None:
    made = told(*two_hosts(0, low_ns=3_000_000_000, high_ns=3_000_100_000))

    assert any("contradict" in problem.message for problem in made.problems)


def test_one_buffer_number_on_two_hosts_is_two_buffers() -> None:
    one, two = Story("h1").start(), Story("h2").start()
    one.event("receive", 1, "root", "eth0", headers(CLIENT, NAME, "S", ip_id=1))
    two.event("receive", 1, "root", "eth0", headers(CLIENT, SERVER, "S", seq=7, ip_id=2))

    assert len(told(one, two).packets) == 2


def test_two_names_of_one_kernel_tell_a_thing_once() -> None:
    one, two = reset_story(host="a", boot="x"), reset_story(host="b", boot="x")
    made = told(one, two)

    assert numbers(made) == numbers(told(one))
    assert {each.event.host for packet in made.packets for each in packet.events} == {"a"}
    assert len(made.traces) == 2


def test_a_host_that_was_traced_twice_tells_both() -> None:
    one, two = reset_story(boot="x"), reset_story(boot="x", at=START_NS + 60_000_000_000)

    assert len(told(one, two).packets) == 6


def test_nothing_makes_an_empty_account() -> None:
    assert told() == KernelAccount()
    assert told(Story().start().stop()).packets == ()


def test_events_without_headers_are_kept() -> None:
    story = Story().start()
    story.event("drop", 1, "root", "eth0", None, reason="NOMEM").event("drop", None, "root", None, None)
    made = told(story)

    assert len(made.packets) == 2
    assert [deed.event.happening for deed in made.deeds] == [Happening.DROP] * 2


def test_stacks_of_samples_are_those_that_the_story_needs() -> None:
    assert ANSWERED[-len(RESET) :] == RESET
    assert FORWARDED[-1] == RESET[-1]


# -- what real networks taught
# ---------------------------------------------------------------------------------------------

WRITTEN = ["dev_hard_start_xmit+0x1", "__dev_queue_xmit+0x1", "packet_sendmsg+0x1", "__sys_sendto+0x1"]


def test_a_reset_that_a_process_wrote_is_no_stacks() -> None:
    """A switch in user space puts frames on the wire that nobody here made."""
    story = Story().start()
    rst = headers(NAME, CLIENT, "R", seq=5, source_port=DPORT, destination_port=SPORT)
    story.event("xmit", 1, "root", "eth0", rst, stack=WRITTEN, task="ovs-vswitchd")
    (deed,) = told(story).deeds

    assert (deed.function, deed.by_stack) == ("packet_sendmsg", True)


def test_a_reset_that_was_first_seen_when_it_was_freed_has_no_author() -> None:
    story = Story().start()
    rst = headers(NAME, CLIENT, "R", seq=5, source_port=DPORT, destination_port=SPORT)
    story.event("drop", 1, "root", "eth0", rst, reason="NETFILTER_DROP", location="nf_hook_slow+0x1")

    assert [deed.kind for deed in told(story).deeds] == [DeedKind.DROP]


def test_questions_to_two_servers_are_two_packets() -> None:
    """Without identification two datagrams of one client look alike but for whom they are for."""
    story = Story().start()
    for number, server in ((1, "10.0.0.53"), (2, "10.0.1.53")):
        query = headers(CLIENT, server, "none", protocol="udp", ip_id=0)
        story.event("receive", number, "root", f"eth{number}", query)

    assert numbers(told(story)) == [[1], [2]]


def test_a_name_that_another_connection_had_joins_nothing() -> None:
    """Two entries bear one name one after the other: the first one's other name is none of the second's."""
    story = Story().start()

    def entry(source: str, server: str) -> dict[str, Any]:
        return {
            "original": {"source": source, "source_port": 9, "destination": NAME, "destination_port": 53},
            "reply": {"source": server, "source_port": 53, "destination": "10.0.9.9", "destination_port": 9},
        }

    first = headers("10.0.9.9", SERVER, "none", protocol="udp", ip_id=0, source_port=9, destination_port=53)
    story.event("xmit", 1, ROUTER, "qr-1", first, conntrack=entry("10.1.1.1", SERVER))
    second = headers("10.2.2.2", NAME, "none", protocol="udp", ip_id=0, source_port=9, destination_port=53)
    story.event("receive", 2, ROUTER, "qg-2", second, conntrack=entry("10.2.2.2", "10.0.0.5"))
    other = headers("10.1.1.1", NAME, "none", protocol="udp", ip_id=0, source_port=9, destination_port=53)
    story.event("receive", 3, ROUTER, "qg-3", other)

    assert numbers(told(story)) == [[1, 3], [2]]


def test_what_is_told_of_a_socket_is_one_row() -> None:
    story = Story().start()
    for source_port in (0, SPORT, SPORT):
        ends = headers(CLIENT, NAME, "none", seq=None, ip_id=None, source_port=source_port)
        story.event("socket", None, "client", None, ends, skb=None)
        story.at += 3_000_000_000
    made = told(story)

    assert numbers(made) == [[1, 2, 3]]
    assert not made.packet(1).first.buffer


def test_a_flooded_copy_for_another_station_is_no_loss() -> None:
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    story.event("xmit", 1, "root", "p0", syn)
    story.event("receive", 2, "vm", "eth0", syn)
    story.event("receive", 3, "other", "eth0", syn)
    story.event("drop", 3, "other", "eth0", syn, reason="OTHERHOST")
    story.event("drop", 4, "third", "eth0", syn, reason="NETFILTER_DROP")

    assert deeds(told(story)) == []


def test_a_frame_for_another_station_that_nobody_took_is_a_loss() -> None:
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    story.event("receive", 1, "vm", "eth0", syn).event("drop", 1, "vm", "eth0", syn, reason="OTHERHOST")

    assert [deed.event.reason for deed in deeds(told(story))] == ["OTHERHOST"]


def test_changed_headers_are_told_even_if_the_kernel_part_did_not_compare() -> None:
    story = Story().start()
    syn = headers(CLIENT, NAME, "S", ip_id=5)
    story.event("receive", 1, ROUTER, "qg-1", syn).event(
        "xmit", 1, ROUTER, "qr-1", {**syn, "destination": SERVER}
    )
    changed = told(story).packet(1).events[1].event.before

    assert changed is not None
    assert str(changed.packet.destination) == f"{NAME}:{DPORT}"


def test_a_reset_of_a_socket_is_told_with_its_reason_and_is_no_answer() -> None:
    rst = {
        **headers(SERVER, CLIENT, "R.", seq=5001, ack=1001),
        "source_port": DPORT,
        "destination_port": SPORT,
    }
    ends = {
        **dict.fromkeys(rst),
        **{key: rst[key] for key in ("family", "protocol", "source", "source_port")},
    }
    ends |= {"destination": rst["destination"], "destination_port": rst["destination_port"]}
    stack = ["tcp_send_active_reset+0x160", "__tcp_close+0x12b", "tcp_close+0x1f"]
    story = Story().start()
    story.event("socket", None, "vm", None, ends, skb=None, detail={"of": "socket"})
    story.event("xmit", 7, "vm", "eth0", rst, stack=["dev_hard_start_xmit+0x1", *stack])
    story.event(
        "rst-sent", None, "vm", None, ends, skb=None, reason="TCP_ABORT_ON_CLOSE", reason_subsystem="rst",
        stack=stack, detail={"of": "socket"},
    )  # fmt: skip
    made = told(story.stop())

    (deed,) = deeds(made)
    assert (deed.kind, deed.event.reason, deed.function) == (
        DeedKind.RST,
        "TCP_ABORT_ON_CLOSE",
        "tcp_send_active_reset",
    )
    assert deed.provoked_by is None
    assert deed.packet is not None
    assert [each.event.number for each in made.packet(deed.packet).events] == [2]


@pytest.mark.parametrize(("later_us", "linked"), [(10, True), (5000, False)])
def test_what_waited_long_is_linked_to_its_error_as_it_is_freed_behind_it(
    later_us: int, *, linked: bool
) -> None:
    question = {
        **headers("fd00::1", "fd00::2", ".", ip_id=None), "protocol": "udp",
        "flags": None, "seq": None, "ack": None,
    }  # fmt: skip
    error = {
        **question, "protocol": "icmpv6", "source": "fd00::9", "destination": "fd00::1", "source_port": None,
        "destination_port": None, "icmp_type": 1, "icmp_code": 3, "quoted": question, "length": 108,
    }  # fmt: skip
    story = Story().start().event("receive", 1, ROUTER, "qg-1", question)
    story.at += 3_000_000_000
    story.event("xmit", 2, ROUTER, "qg-1", error, stack=["icmp6_send+0x1", "neigh_invalidate+0x1"])
    story.at += (later_us - 10) * 1000
    story.event("drop", 1, ROUTER, "qr-1", question, reason="NOT_SPECIFIED", location="neigh_invalidate+0x1")
    made = told(story.stop())

    provoked = {deed.kind: deed.provoked_by for deed in made.deeds}[DeedKind.ICMP]
    assert (provoked is not None) is linked
    assert [deed.kind for deed in deeds(made)] == [DeedKind.ICMP] + [DeedKind.DROP] * (not linked)


@pytest.mark.parametrize("told_by", ["stack", "socket"])
def test_a_reset_that_a_socket_sent_as_it_was_closed_answers_nobody(told_by: str) -> None:
    data = headers(CLIENT, SERVER, "P.", seq=1001, ack=5001, length=60, payload=8)
    rst = {
        **headers(SERVER, CLIENT, "R.", seq=5001, ack=1009),
        "source_port": DPORT,
        "destination_port": SPORT,
    }
    stack = ["tcp_send_active_reset+0x160", "__tcp_close+0x12b"] if told_by == "stack" else None
    story = Story().start().event("receive", 1, "vm", "eth0", data)
    story.event("xmit", 2, "vm", "eth0", rst, stack=stack, provoked_by=1)
    if told_by == "socket":
        ends = {
            **rst,
            **dict.fromkeys(("flags", "seq", "ack", "window", "ip_id", "ttl", "length", "payload")),
        }
        story.event("rst-sent", None, "vm", None, ends, skb=None, reason="TCP_STATE")
    (deed,) = deeds(told(story.stop()))

    assert (deed.kind, deed.packet, deed.provoked_by) == (DeedKind.RST, 2, None)


@pytest.mark.parametrize(
    ("reason", "where", "loss"),
    [
        ("NO_SOCKET", "tcp_v4_rcv+0x99", False),
        ("NOT_SPECIFIED", "tcp_v4_rcv+0x99", False),
        (None, "tcp_v6_rcv+0x99", False),
        ("NOT_SPECIFIED", "ip_error+0x94", True),
        ("NETFILTER_DROP", "nft_do_chain+0x1", True),
    ],
)
def test_a_reset_that_met_no_connection_is_missed_by_nobody(
    reason: str | None, where: str, *, loss: bool
) -> None:
    rst = headers(SERVER, CLIENT, "R", seq=5001)
    story = Story().start().event("receive", 1, "client", "c0", rst)
    story.event("drop", 1, "client", "c0", rst, reason=reason, location=where)

    assert any(deed.kind is DeedKind.DROP for deed in deeds(told(story.stop()))) is loss


def test_an_echo_reply_that_no_ping_socket_wants_went_to_raw_sockets() -> None:
    reply = {**headers(SERVER, CLIENT, ""), "protocol": "icmp", "icmp_type": 0, "icmp_code": 0}
    story = Story().start().event("receive", 1, "client", "c0", reply)
    story.event("drop", 1, "client", "c0", reply, reason="NO_SOCKET", location="ping_rcv+0xb3")

    assert not [deed for deed in deeds(told(story.stop())) if not deed.aside]


def test_a_reject_on_the_way_out_answers_what_is_dropped_behind_it() -> None:
    syn = headers(CLIENT, SERVER, "S")
    rst = {**headers(SERVER, CLIENT, "R.", seq=0, ack=1001), "source_port": DPORT, "destination_port": SPORT}
    story = Story().start()
    story.event("xmit", 1, "client", "lo", rst, stack=["nf_send_reset+0x1", "nft_reject_inet_eval+0x1"])
    story.event("drop", 2, "client", None, syn, reason="NETFILTER_DROP", location="nft_do_chain+0x1")
    made = told(story.stop())

    (deed,) = deeds(made)
    assert (deed.kind, deed.provoked_by and deed.provoked_by.number) == (DeedKind.RST, 2)


@pytest.mark.parametrize(
    ("only", "lost", "unsent"), [({}, 0, True), ({}, 1, False), ({"events": ["rst-sent"]}, 0, False)]
)
def test_an_answer_that_was_made_and_not_sent(only: dict[str, Any], lost: int, *, unsent: bool) -> None:
    syn = headers(CLIENT, NAME, "S")
    story = Story().start(only=only).event("receive", 1, "vm", "eth0", syn)
    story.event("rst-sent", 1, "vm", "eth0", syn, reason="NO_SOCKET", stack=RESET)
    clock = {"monotonic_ns": story.at + 1_000_000_000, "wall_ns": WALL_NS, "width_ns": 0}
    made = told(story.stop(lost=lost, clock=clock))

    (deed,) = deeds(made)
    assert deed.unsent is unsent
    sheet = " ".join(render_account(made, width=200, colour=False).split())
    assert ("its transmission was not seen" in sheet) is unsent
