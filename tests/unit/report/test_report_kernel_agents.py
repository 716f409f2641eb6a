"""Whose decision it was, in words."""

from __future__ import annotations

import pytest

from bothways.correlate.kernel_account import account
from bothways.report.kernel_agents import agent_of
from kernel_trace_samples import CLIENT, NAME, RESET, ROUTER, Story, headers

TABLES = ["nft_do_chain+0x1", "nf_hook_slow+0x1", "ip_rcv+0x1"]
ERROR = ["ip_error+0x94", "__netif_receive_skb_one_core+0x8b"]
CLOSED = ["dev_hard_start_xmit+0x1", "tcp_send_active_reset+0x1", "__tcp_close+0x1", "tcp_close+0x1"]


@pytest.mark.parametrize(
    ("reason", "stack", "told"),
    [
        ("NETFILTER_DROP", TABLES, "by a rule or a policy of nftables"),
        ("NETFILTER_DROP", ["nf_hook_slow+0x1", "ip_rcv+0x1"], "by a rule or a policy of the firewall"),
        # The reason says more than the function, which serves both.
        ("IP_INADDRERRORS", ERROR, "forwarding is off here"),
        ("NOT_SPECIFIED", ERROR, "by routing: no route"),
        ("NOT_SPECIFIED", ["veth_xdp_rcv_skb+0x1", "veth_poll+0x1"], "by an XDP program"),
        ("SOCKET_RCVBUFF", ["udp_queue_rcv_one_skb+0x1"], "the process reads too slowly"),
        ("OTHERHOST", None, "another MAC address"),
        ("NOT_SPECIFIED", ["br_handle_frame_finish+0x1"], "a port does not take it"),
        ("NOT_SPECIFIED", ["br_nf_dev_queue_xmit+0x1"], "too long for the port"),
        ("NETFILTER_DROP", ["nft_do_chain+0x1", "br_handle_frame_finish+0x1"], "nftables"),
        ("QDISC_DROP", None, "by a queueing discipline"),
        ("NEW_AND_UNKNOWN", ["ip_rcv_core+0x1"], None),
        (None, None, None),
    ],
)
def test_a_drop_is_explained(reason: str | None, stack: list[str] | None, told: str | None) -> None:
    syn = headers(CLIENT, NAME, "S")
    story = Story().start().event("receive", 1, ROUTER, "qg-1", syn)
    story.event(
        "drop", 1, ROUTER, "qg-1", syn, reason=reason, stack=stack, location=(stack or ["ip_rcv+0x1"])[0]
    )
    (deed,) = account(story.traces()).deeds
    agent = agent_of(deed)
    assert (agent is None) if told is None else told in str(agent)


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        (CLOSED, "by the application: it closed its socket"),
        (
            ["dev_hard_start_xmit+0x1", "tcp_send_active_reset+0x1", "tcp_disconnect+0x1"],
            "off the connection",
        ),
        ([*CLOSED[:2], "tcp_disconnect+0x1", *CLOSED[2:]], "SO_LINGER"),
        ([*CLOSED[:2], "tcp_disconnect+0x1", "inet_csk_listen_stop+0x1", *CLOSED[2:]], "its listener"),
        ([*CLOSED, "task_work_run+0x1", "do_exit+0x1", "get_signal+0x1"], "a signal killed it"),
        ([*CLOSED, "task_work_run+0x1", "do_exit+0x1", "__x64_sys_exit_group+0x1"], "when it ended"),
        (RESET, None),
    ],
)
def test_a_reset_that_a_socket_sent_by_itself(stack: list[str], told: str | None) -> None:
    story = Story().start()
    story.event("xmit", 1, ROUTER, "qg-1", headers(NAME, CLIENT, "R."), stack=stack)
    (deed,) = account(story.traces()).deeds
    agent = agent_of(deed)
    assert (agent is None) if told is None else told in str(agent)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("NO_SOCKET", "nobody listens"),
        ("TCP_TIMEWAIT_SOCKET", "TIME-WAIT"),
        ("TCP_ABORT_ON_DATA", "data still came"),
        ("NOT_SPECIFIED", None),
        (None, None),
    ],
)
def test_a_reset_that_answers_is_explained_by_its_reason(reason: str | None, told: str | None) -> None:
    ack = headers(CLIENT, NAME, ".", ack=7)
    story = Story().start().event("receive", 1, ROUTER, "qg-1", ack)
    story.event("rst-sent", 1, ROUTER, "qg-1", ack, reason=reason, stack=RESET)
    (deed,) = account(story.traces()).deeds
    agent = agent_of(deed)
    assert (agent is None) if told is None else told in str(agent)
