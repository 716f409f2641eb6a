"""How kernel events read: lines, and the account."""

from __future__ import annotations

from typing import Any

import pytest

from bothways.correlate.kernel_account import account
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.report.kernel_account import render_account
from bothways.report.kernel_lines import chain_words, event_line, event_words, packet_words, since
from bothways.report.kernel_live import LiveSheet
from kernel_trace_samples import CLIENT, NAME, SERVER, Story, headers, reset_story


def event(word: str, **more: Any) -> KernelEvent:
    packet = more.pop("packet", headers(CLIENT, NAME, "S"))
    (trace,) = Story().event(word, 1, "root", "eth0", packet, **more).traces()
    (made,) = trace.events
    return made


def rendered(story: Story) -> str:
    return " ".join(render_account(account(story.traces()), width=120, colour=False).split())


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (event("receive"), "received"),
        (
            event("drop", reason="NO_SOCKET", location="tcp_v4_rcv+0x9"),
            "DROPPED  NO_SOCKET at tcp_v4_rcv+0x9",
        ),
        (event("drop", reason="MISS", reason_subsystem="openvswitch"), "DROPPED  MISS (openvswitch)"),
        (event("drop"), "DROPPED  the kernel gave no reason"),
        (event("hook", hook="FORWARD", verdict="DROP"), "hook  FORWARD DROP"),
        (
            event(
                "hook",
                hook="FORWARD",
                verdict="DROP",
                rule={"family": "ip", "table": "f", "chain": "c", "handle": 4},
            ),
            "hook  FORWARD DROP  by rule ip f c handle 4",
        ),
        (
            event("hook", verdict="DROP", rule={"text": "-A FORWARD -j DROP"}),
            "hook  DROP  by rule -A FORWARD -j DROP",
        ),
        (event("conntrack", conntrack={"info": "INVALID"}), "tracker  ct INVALID"),
        (
            event("conntrack", conntrack={"info": None}),
            "tracker  no entry: INVALID or untracked, this tier does not tell which",
        ),
        (
            event("conntrack", conntrack={"info": "NEW", "state": "SYN_SENT", "zone": 3}),
            "tracker  ct NEW SYN_SENT zone 3",
        ),
        (
            event("nat", before=headers(CLIENT, SERVER, "S"), conntrack={"status": ["DST_NAT", "CONFIRMED"]}),
            "translation  ct [DST_NAT]  destination 10.0.0.4:22 → 192.0.2.100:22",
        ),
        (event("forward", before=headers(CLIENT, NAME, "S", ttl=65)), "routed on  TTL 65 → 64"),
        (event("xmit", stack=["dev_hard_start_xmit+0x1", "ip_forward+0x1"]), "sent  by ip_forward"),
        (
            event("xmit", stack=["ip_output+0x1", "tcp_v4_send_reset+0x1", "tcp_v4_rcv+0x1"]),
            "sent  by tcp_v4_send_reset",
        ),
        (event("rst-sent", stack=["a+0x1", "b+0x2"], reason="TIMEOUT"), "RST SENT  TIMEOUT  a < b"),
        (
            event("socket", detail={"of": "socket", "what": "state", "from": "A", "to": "B"}),
            "socket  state from A to B",
        ),
        (
            event("ovs-action", detail={"action": "output", "port": 3}),
            "Open vSwitch action  action output port 3",
        ),
    ],
)
def test_what_happened_in_words(made: KernelEvent, words: str) -> None:
    assert event_words(made) == words


def test_packets_in_words() -> None:
    def words(packet: Any) -> str:
        return packet_words(event("receive", packet=packet).packet)

    assert (
        words(headers(CLIENT, NAME, "S", seq=5)) == "IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S], seq 5"
    )
    tunnel = headers("10.1.0.1", "10.1.0.2", "", protocol="udp", vni=7, inner=headers(CLIENT, NAME, "."))
    assert words(tunnel).endswith("Flags [.], ack 0 (in a tunnel with VNI 7: 10.1.0.1 > 10.1.0.2)")
    error = {
        "family": 4,
        "protocol": "icmp",
        "source": NAME,
        "destination": CLIENT,
        "icmp_type": 3,
        "icmp_code": 4,
        "quoted": headers(CLIENT, NAME, "", seq=77),
    }
    about = "about tcp 192.0.2.10:17350 > 192.0.2.100:22 seq 77"
    assert words(error) == f"IP {NAME} > {CLIENT}: ICMP type 3 code 4, {about}"
    assert packet_words(None) == "a packet whose headers were not read"
    assert words({"family": 4}) == "a packet without an IP header"


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [(0, "+0.0 µs"), (1_500, "+1.5 µs"), (-2_000_000, "-2.000 ms"), (3_200_000_000, "+3.200 s")],
)
def test_distances(nanoseconds: int, words: str) -> None:
    assert since(nanoseconds) == words


def test_stacks_begin_with_who_did_it() -> None:
    stack = ("sk_skb_reason_drop+0x1", "nft_do_chain+0x1", "ip_forward+0x1", "ip_rcv+0x1")

    assert chain_words(stack) == "nft_do_chain < ip_forward < ip_rcv"
    assert chain_words(stack, 2) == "nft_do_chain < ip_forward < …"
    assert chain_words(stack, beginning="ip_forward") == "ip_forward < ip_rcv"
    assert chain_words(None) == ""


def test_lines_are_cut_to_the_terminal_and_hostile_names_are_spelt_out() -> None:
    long = event("drop", reason="R" * 300)
    assert len(event_line(long, None, width=100)) == 100
    assert len(event_line(long, None, width=0)) > 300
    evil = event("drop", reason="\x1b[2J")
    assert "\x1b" not in event_line(evil, None, width=0)
    assert event_line(evil, None, width=0, colour=True).count("\x1b") == 2


def test_a_line_tells_the_distance_or_the_time() -> None:
    (trace,) = reset_story().traces()
    first, second = trace.events[:2]

    assert event_line(first, None, width=0).split()[0] == "22:13:20.000010"
    assert event_line(second, first, width=0).split()[:2] == ["+10.0", "µs"]
    assert event_line(second, first, width=0, sure=False).split()[0] == "~+10.0"


def test_packets_that_take_turns_are_named_again() -> None:
    story = Story().start()
    for number in (1, 2, 1):
        story.event("receive", number, "root", f"eth{number}", headers(CLIENT, NAME, "S", seq=number))
    (trace,) = story.traces()
    sheet = LiveSheet()
    lines = [line for each in trace.events for line in sheet.lines([(0, each, each.time_ns)])]

    assert [line for line in lines if line.startswith("#")] == [
        "#1 IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S], seq 1",
        "#2 IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S], seq 2",
        "#1 IP 192.0.2.10.17350 > 192.0.2.100.22: Flags [S], seq 1  (again)",
    ]


def test_events_that_are_not_to_be_shown_are_known_all_the_same() -> None:
    story = Story().start()
    for word, number in (("receive", 1), ("consume", 1), ("consume", 2), ("receive", 3)):
        story.event(word, number, "root", "eth0", headers(CLIENT, NAME, "S", seq=number))
    (trace,) = story.traces()
    sheet = LiveSheet(unsaid=frozenset({Happening.CONSUME}))
    lines = [line for each in trace.events for line in sheet.lines([(0, each, each.time_ns)])]

    assert [line.partition(" ")[0] for line in lines if line.startswith("#")] == ["#1", "#3"]
    assert not any("freed" in line for line in lines)


def test_what_was_sent_again_and_dropped_again_is_told_once() -> None:
    story = Story().start()
    for number in (1, 2, 3):
        syn = headers(CLIENT, NAME, "S", seq=7, ip_id=number)
        story.event("receive", number, "r", "eth0", syn)
        story.event(
            "drop",
            number,
            "r",
            "eth0",
            syn,
            reason="NETFILTER_DROP",
            location="nft_do_chain+0x1",
            stack=["sk_skb_reason_drop+0x1", "nft_do_chain+0x1", "ip_forward+0x1"],
        )
    text = rendered(story)

    assert text.count("dropped by h1, namespace r") == 1
    assert "and 2 times more: #2, #3" in text
    assert "by a rule or a policy of nftables, which iptables-nft writes too" in text


def test_a_process_that_writes_packets_is_named() -> None:
    story = Story().start()
    rst = headers(NAME, CLIENT, "R", seq=5)
    story.event("xmit", 1, "root", "eth0", rst, stack=["packet_sendmsg+0x1"], task="ovs-vswitchd")

    assert (
        "by a process that writes packets itself: a switch in user space, or a tool (ovs-vswitchd)"
        in rendered(story)
    )


def test_an_empty_account_says_so() -> None:
    assert "no RST, no ICMP error and no drop was seen" in rendered(Story().start().stop())


def test_a_trace_that_broke_off_says_so() -> None:
    story = Story().start().event("receive", 1, "root", "eth0", headers(CLIENT, NAME, "S"))

    assert "h1: the trace broke off: what it lost is not known" in rendered(story)


def test_drops_without_headers_accuse_nobody_of_this_connection() -> None:
    """A tier that reads no headers cannot hold the filter against them."""
    story = Story(tier="tracefs").start()
    for number in (1, 2):
        story.event("drop", number, "r", "eth0", None, reason="OTHERHOST", location="ip_rcv_core+0x1")
    text = rendered(story)

    assert "no RST, no ICMP error and no drop of a packet whose headers are known was seen" in text
    assert "h1/r:eth0: OTHERHOST in ip_rcv_core, 2 times" in text.partition("whose packets is not known")[2]


def test_addresses_without_numbers_are_no_null_segment() -> None:
    ends = headers(CLIENT, NAME, "none", seq=None)

    assert packet_words(event("rst-sent", packet=ends).packet) == "IP 192.0.2.10.17350 > 192.0.2.100.22: TCP"


def test_what_hung_on_a_packet_when_it_was_freed_is_no_verdict() -> None:
    """The entry of a refused connection is in CLOSE by then; the tracker's own event says what it thought."""
    syn = headers(CLIENT, NAME, "S", ip_id=1)

    def story(word: str) -> str:
        made = Story().start().event("receive", 1, "r", "eth0", syn)
        made.event(word, 1, "r", "eth0", syn, conntrack={"info": "NEW", "state": "CLOSE"})
        return rendered(made.event("drop", 1, "r", "eth0", syn, reason="X", location="f+0x1"))

    assert "the tracker took" not in story("local-deliver")
    assert "the tracker took #1 as NEW, the entry was in CLOSE" in story("conntrack")


def test_frames_of_tracing_itself_are_left_out() -> None:
    stack = ("nf_hook_slow+0x3e", "bpf_trampoline_6442553592+0x6c", "nf_hook_slow+0x5", "ip_forward+0x1")

    assert chain_words(stack) == "nf_hook_slow < ip_forward"
