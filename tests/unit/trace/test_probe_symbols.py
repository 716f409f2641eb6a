"""Names of kernel addresses."""

from __future__ import annotations

import pytest

from bothways.trace.probe import symbols as symbols_of_probe
from bothways.trace.probe.symbols import Symbols, cut

TABLE = b"""\
ffffffff81000000 T _stext
ffffffff81000100 t tcp_v4_send_reset
ffffffff81000900 T tcp_v4_rcv
ffffffff82000000 D some_data
ffffffff81001000 t twice
ffffffff81002000 t twice
ffffffffc0000000 t ovs_execute_actions\t[openvswitch]
0000000000012345 A not_text
"""


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFFFFFFF81000100, "tcp_v4_send_reset"),
        (0xFFFFFFFF8100011A, "tcp_v4_send_reset+0x1a"),
        (0xFFFFFFFF81000991, "tcp_v4_rcv+0x91"),
        (0xFFFFFFFFC0000010, "ovs_execute_actions+0x10"),
        (0xFFFFFFFFF0000000, None),
        (0x10, None),
        (0, None),
    ],
)
def test_an_address_is_named_by_the_function_that_it_is_in(address: int, name: str | None) -> None:
    assert Symbols(TABLE)(address) == name


def test_a_function_is_found_by_its_name_if_there_is_one_only() -> None:
    symbols = Symbols(TABLE)
    assert symbols.address("tcp_v4_rcv") == 0xFFFFFFFF81000900
    assert symbols.address("twice") is None
    assert symbols.address("absent") is None
    assert symbols.function(0xFFFFFFFF81000991) == "tcp_v4_rcv"
    assert symbols.function(1) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"0000000000000000 T _stext\n0000000000000000 t tcp_v4_rcv\n", "CAP_SYSLOG"),
        (b"", "lists no functions"),
        (b"\n\n", "lists no"),
    ],
)
def test_hidden_addresses_are_told(text: bytes, said: str) -> None:
    symbols = Symbols(text)
    assert symbols(0xFFFFFFFF81000100) is None
    assert said in (symbols.why_not or "")
    assert symbols.stack([0xFFFFFFFF81000100]) == []


@pytest.mark.parametrize(
    ("setting", "hint"), [("2", "kernel.kptr_restrict=1"), ("1", "CAP_SYSLOG"), ("", "CAP_SYSLOG")]
)
def test_who_may_see_addresses_is_told(setting: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols_of_probe, "_restricted", lambda: setting)
    symbols = Symbols(b"0000000000000000 T _stext\n")
    symbols.read()

    assert hint in symbols.hint


def test_a_frame_without_a_name_stands_by_its_address() -> None:
    assert Symbols(TABLE).stack([1, 0xFFFFFFFF81000991]) == ["0x1", "tcp_v4_rcv+0x91"]


@pytest.mark.parametrize(
    ("stack", "kept"),
    [
        (
            [
                "tcp_v4_rcv+0x91",
                "ip_local_deliver",
                "__netif_receive_skb+0x1",
                "process_backlog",
                "__napi_poll+0x2",
                "net_rx_action",
                "sshd_thing",
            ],
            4,
        ),
        (["tcp_v4_rcv", "tcp_sendmsg", "entry_SYSCALL_64"], 3),
        ([], 0),
        (["net_rx_action"], 0),
    ],
)
def test_a_stack_ends_where_the_soft_interrupt_began(stack: list[str], kept: int) -> None:
    assert cut(stack) == stack[:kept]


def test_what_traces_is_not_part_of_the_stack() -> None:
    assert cut(
        [
            "bpf_prog_1234_t_kfree_skb+0x1",
            "bpf_trace_run4",
            "__bpf_trace_kfree_skb",
            "sk_skb_reason_drop+0x3",
            "bpf_thing",
        ]
    ) == [
        "sk_skb_reason_drop+0x3",
        "bpf_thing",
    ]
