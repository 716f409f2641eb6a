"""``ct()`` and what comes back, with each of the trackers that may stand behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from openflow_samples import Asked, arrival, bridge, ports

from bothways.facts.openflow import Bridge, Port
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.openflow.given_tracker import GivenTracker
from bothways.model.openflow.kernel_tracker import KernelTracker
from bothways.model.openflow.passage import Passage
from bothways.model.openflow.pipeline import MacTable, process
from bothways.model.openflow.tracker import CtState, Tracker
from bothways.model.openflow.userspace_tracker import UserspaceTracker

MACS = "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
SHOWN = "table=9 actions=move:NXM_NX_CT_STATE[]->NXM_OF_ETH_SRC[0..31],output:3"
PLAIN = f"table=0,ip actions=ct(commit,zone=5,table=9)\n{SHOWN}"
TRANSLATED = f"""table=0,in_port=1,ip actions=ct(commit,zone=5,table=9,nat(src=10.0.9.1))
table=0,in_port=2,ip actions=ct(zone=5,table=9,nat)
{SHOWN}"""


def kernel() -> Tracker:
    return KernelTracker(ConntrackTable(Netns("h", "root"), oracle=Asked(), kernel=None), Asked())


def userspace() -> Tracker:
    return UserspaceTracker(Asked())


def client(flags: str, target: str = "10.0.0.2") -> str:
    ends = f"nw_src=10.0.0.1,nw_dst={target},nw_ttl=9,tp_src=1000,tp_dst=22"
    return f"tcp,in_port=1,{MACS},{ends},tcp_flags={flags}"


def server(flags: str, target: str = "10.0.0.1") -> str:
    ends = f"nw_src=10.0.0.2,nw_dst={target},nw_ttl=9,tp_src=22,tp_dst=1000"
    return f"tcp,in_port=2,{MACS},{ends},tcp_flags={flags}"


def through(of: Bridge, what: str, tracker: Tracker | None) -> Passage:
    return process(of, arrival(what), MacTable(), Asked(), tracker, 1)


def came_back(passage: Passage) -> Packet:
    assert passage.unknown == ()
    assert len(passage.outputs) == 1
    return passage.outputs[0].packet


def state_of(packet: Packet) -> str:
    return str(CtState(int(packet.ethernet.src.replace(":", "")[4:], 16)))


#: segments -> what the kernel's tracker says of the last one, and what Open vSwitch's own says
CONVERSATIONS = {
    "the first segment": ((client("syn"),), "+trk+new", "+trk+new"),
    "the answer": ((client("syn"), server("syn|ack")), "+trk+est+rpl", "+trk+est+rpl"),
    "a handshake": ((client("syn"), server("syn|ack"), client("ack")), "+trk+est", "+trk+est"),
    "a SYN sent again": ((client("syn"), client("syn")), "+trk+new", "+trk+new"),
    # The two differ most where it matters here: an answer that took another way.
    "an ACK whose SYN/ACK passed elsewhere": ((client("syn"), client("ack")), "+trk+inv", "+trk+est"),
    "a SYN/ACK whose SYN passed elsewhere": ((server("syn|ack"),), "+trk+inv", "+trk+inv"),
    "an ACK midway": ((client("ack"),), "+trk+new", "+trk+new"),
    "a RST of nothing": ((client("rst"),), "+trk+inv", "+trk+new"),
}


@pytest.mark.parametrize("about", CONVERSATIONS)
def test_a_state_comes_back_with_the_packet(about: str) -> None:
    packets, *expected = CONVERSATIONS[about]
    for made, state in zip((kernel, userspace), expected, strict=True):
        tracker = made()
        passages = [through(bridge(PLAIN), packet, tracker) for packet in packets]
        assert state_of(came_back(passages[-1])) == state, made.__name__


@pytest.mark.parametrize("made", [kernel, userspace])
def test_a_translated_source_gets_its_name_back(made: type) -> None:
    tracker: Tracker = made()
    there = came_back(through(bridge(TRANSLATED), client("syn"), tracker))
    back = came_back(through(bridge(TRANSLATED), server("syn|ack", "10.0.9.1"), tracker))

    assert str(there.source) == "10.0.9.1:1000"
    assert state_of(there) == "+trk+new+snat"
    assert str(back.destination) == "10.0.0.1:1000"
    assert state_of(back) == "+trk+est+rpl+dnat"


@pytest.mark.parametrize("made", [kernel, userspace])
def test_without_a_table_the_packet_goes_out_translated_and_untracked(made: type) -> None:
    flows = f"""table=0,ip actions=ct(commit,zone=1,nat(src=10.0.9.1)),resubmit(,1)
    table=1,priority=2,ip,nw_src=10.0.0.1,ct_state=-trk actions=output:2
    table=1,priority=1 actions=output:3
    {SHOWN}"""
    passage = through(bridge(flows), client("syn"), made())

    assert [output.port.number for output in passage.outputs] == [2]
    assert str(passage.outputs[0].packet.source) == "10.0.9.1:1000"


@pytest.mark.parametrize("made", [kernel, userspace])
def test_what_is_not_committed_is_new_again(made: type) -> None:
    tracker: Tracker = made()
    looked_up = bridge(f"table=0,ip actions=ct(zone=5,table=9)\n{SHOWN}")
    assert state_of(came_back(through(looked_up, client("syn"), tracker))) == "+trk+new"
    assert state_of(came_back(through(looked_up, server("syn|ack"), tracker))) == "+trk+inv"


@pytest.mark.parametrize("made", [kernel, userspace])
def test_zones_know_nothing_of_each_other(made: type) -> None:
    tracker: Tracker = made()
    by_register = bridge(
        "table=0,in_port=1 actions=load:5->NXM_NX_REG6[],resubmit(,1)\n"
        "table=0,in_port=2 actions=load:6->NXM_NX_REG6[],resubmit(,1)\n"
        f"table=1,ip actions=ct(commit,zone=NXM_NX_REG6[0..15],table=9)\n{SHOWN}"
    )
    through(by_register, client("syn"), tracker)
    assert state_of(came_back(through(by_register, server("syn|ack"), tracker))) == "+trk+inv"


@pytest.mark.parametrize("made", [kernel, userspace])
def test_a_mark_stays_with_the_connection(made: type) -> None:
    tracker: Tracker = made()
    flows = bridge(
        "table=0,in_port=1,ip actions=ct(commit,zone=5,"
        "exec(load:7->NXM_NX_CT_MARK[],load:1->NXM_NX_CT_LABEL[3]))\n"
        "table=0,in_port=2,ip actions=ct(zone=5,table=1)\n"
        "table=1,ct_mark=7,ct_label=0x8,ip actions=output:3\n"
    )
    through(flows, client("syn"), tracker)
    assert [o.port.number for o in through(flows, server("syn|ack"), tracker).outputs] == [3]


def test_the_steps_tell_what_the_tracker_did() -> None:
    tracker = kernel()
    through(bridge(PLAIN), client("syn"), tracker)
    passage = through(bridge(PLAIN), client("ack"), tracker)
    steps = [(step.did, step.function) for step in passage.outputs[0].steps]

    assert steps[0] == (Did.MATCHED, "table=0")
    assert (Did.INVALID, "nf_conntrack_in") in steps
    assert steps[-1][1] == "table=9"


def test_a_switch_and_the_host_share_the_kernels_table() -> None:
    table = ConntrackTable(Netns("h", "root"), oracle=Asked(), kernel=None)
    through(bridge(PLAIN), client("syn"), KernelTracker(table, Asked()))

    assert [(entry.zone, str(entry.original)) for entry in table.entries()] == [
        (5, "10.0.0.1:1000 > 10.0.0.2:22")
    ]


def test_given_states_come_back_one_after_the_other() -> None:
    flows = f"table=0,ip actions=ct(table=1)\ntable=1,ip actions=ct(table=9,nat(dst=10.0.7.7:80))\n{SHOWN}"
    packet = came_back(through(bridge(flows), client("syn"), GivenTracker([0x21, 0x2A])))

    assert state_of(packet) == "+trk+est+rpl"
    assert str(packet.destination) == "10.0.7.7:80"


def test_without_a_tracker_nobody_knows() -> None:
    passage = through(bridge(PLAIN), client("syn"), None)
    assert passage.outputs == ()
    assert passage.steps[-1].did is Did.UNKNOWN


@pytest.mark.parametrize(("traced", "sent"), [(None, 1), (lambda _bridge, _port: None, 0)])
def test_only_a_trace_takes_the_end_of_a_tunnel_for_its_own(
    traced: Callable[[Bridge, Port], None] | None, sent: int
) -> None:
    """A datapath sends it: `dpctl/dump-flows` of 3.1.0 has ``tnl_push`` where its trace has nothing."""
    tunnel = Port("gn", 4, Span("ports", 1), kind="geneve", options={"remote_ip": "flow", "key": "flow"})
    flows = "table=0,ip actions=set_field:172.31.0.4->tun_dst,ct(table=1)\ntable=1 actions=output:4"
    passage = process(
        bridge(flows, ports(1, tunnel)),
        arrival(client("syn")),
        MacTable(),
        Asked(),
        GivenTracker([0x21]),
        1,
        traced=traced,
    )

    assert [str(output.tun_dst) for output in passage.outputs] == ["172.31.0.4"] * sent
