"""Sockets, kernel parameters, what nft shows, call stacks of the kernel, and the record of a collection."""

from __future__ import annotations

import pytest
from parse_samples import SAMPLES, outcomes, problem

from bothways.facts.nft import NftTable
from bothways.facts.snapshot import IngressDrop
from bothways.facts.span import Kind
from bothways.parse.collection import parse_collection
from bothways.parse.kernel_stack import parse_kernel_stacks
from bothways.parse.nft_text import parse_nft
from bothways.parse.nstat import parse_nstat
from bothways.parse.ss import parse_ss
from bothways.parse.sysctl import parse_sysctl

SOCKETS = [
    ("tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*", ("tcp", "LISTEN", None, 22, None, 4)),
    ("tcp LISTEN 0 128 [::]:22 [::]:*", ("tcp", "LISTEN", None, 22, None, 6)),
    ("tcp LISTEN 0 128 *:80 *:*", ("tcp", "LISTEN", None, 80, None, None)),
    ("LISTEN 0 128 192.0.2.1:22 0.0.0.0:*", ("tcp", "LISTEN", "192.0.2.1:22", 22, None, None)),
    ("0 128 192.0.2.1:22 0.0.0.0:*", ("tcp", "LISTEN", "192.0.2.1:22", 22, None, None)),
    ("udp UNCONN 0 0 127.0.0.1%lo:323 0.0.0.0:*", ("udp", "UNCONN", "127.0.0.1:323", 323, None, None)),
    ("UNCONN 0 0 *:53 *:*", ("udp", "UNCONN", None, 53, None, None)),
    ("ESTAB 0 36 192.0.2.1:ssh 192.0.2.9:4001", ("tcp", "ESTAB", "192.0.2.1:22", 22, "192.0.2.9:4001", None)),
    (
        "tcp ESTAB 0 0 [::ffff:192.0.2.1]:80 [::ffff:198.51.100.1]:5",
        ("tcp", "ESTAB", "192.0.2.1:80", 80, "198.51.100.1:5", None),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), SOCKETS, ids=[line for line, _ in SOCKETS])
def test_sockets(line: str, expected: tuple[object, ...]) -> None:
    parsed = parse_ss(line, file="ss.txt")

    assert parsed.problems == ()
    (row,) = parsed.rows
    local = None if row.local is None else str(row.local)
    peer = None if row.peer is None else str(row.peer)
    assert (row.protocol, row.state, local, row.local_port, peer, row.family) == expected
    assert row.span.text == line


def test_queues_device_and_process_of_a_socket() -> None:
    line = 'udp UNCONN 3 4 0.0.0.0%eth0:68 0.0.0.0:* users:(("dhclient",pid=7,fd=6))'
    (row,) = parse_ss(line, file="f").rows

    assert (row.recv_queue, row.send_queue, row.device) == (3, 4, "eth0")
    assert row.process == '("dhclient",pid=7,fd=6)'


def test_old_releases_tell_families_apart_by_their_colons() -> None:
    rows = parse_ss("LISTEN 0 128 *:22 *:*\nLISTEN 0 128 :::22 :::*\n", file="f").rows

    assert [(row.local_port, row.family, row.local) for row in rows] == [(22, 4, None), (22, None, None)]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process", (0, 1, 0, 0)),
        ("State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess", (0, 1, 0, 0)),
        ("u_str ESTAB 0 0 * 1234 * 1235", (0, 1, 0, 0)),
        ("nl UNCONN 0 0 rtnl:kernel *", (0, 1, 0, 0)),
        ("\t cubic wscale:7,7 rto:204", (0, 1, 0, 0)),
        ("root@h1:~# ss -tlnp", (0, 1, 0, 0)),
        ("tcp LISTEN 0 128 0.0.0.0:22", (0, 0, 0, 1)),
        ("tcp LISTEN x 128 0.0.0.0:22 0.0.0.0:*", (0, 0, 0, 1)),
        ("tcp LISTEN 0 128 0.0.0.300:22 0.0.0.0:*", (0, 0, 0, 1)),
        ("tcp LISTEN 0 128 0.0.0.0:70000 0.0.0.0:*", (0, 0, 0, 1)),
    ],
)
def test_outcomes_of_a_line_of_ss(line: str, result: tuple[int, ...]) -> None:
    assert outcomes(parse_ss(line, file="f")) == result


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("net.ipv4.ip_forward = 1", ("net.ipv4.ip_forward", "1")),
        ("net.ipv4.conf.eth0/7.rp_filter = 2", ("net.ipv4.conf.eth0.7.rp_filter", "2")),
        ("net/ipv4/conf/eth0.7/rp_filter=2", ("net.ipv4.conf.eth0.7.rp_filter", "2")),
        ("net.ipv4.tcp_rmem = 4096\t131072\t6291456", ("net.ipv4.tcp_rmem", "4096\t131072\t6291456")),
        ("/proc/sys/net/ipv4/ip_forward: 1", ("net.ipv4.ip_forward", "1")),
        ("kernel.core_pattern =", ("kernel.core_pattern", "")),
        ("-net.ipv4.ip_forward = 0", ("net.ipv4.ip_forward", "0")),
    ],
)
def test_kernel_parameters(line: str, expected: tuple[str, str]) -> None:
    parsed = parse_sysctl(line, file="sysctl.txt")

    assert [(row.name, row.value, row.span.text) for row in parsed.rows] == [(*expected, line)]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("# comment", (0, 1, 0, 0)),
        ('sysctl: permission denied on key "fs.protected_fifos"', (0, 1, 0, 0)),
        ("net.ipv4.ip_forward 1", (0, 0, 0, 1)),
        ("= 1", (0, 0, 0, 1)),
    ],
)
def test_outcomes_of_a_line_of_sysctl(line: str, result: tuple[int, ...]) -> None:
    assert outcomes(parse_sysctl(line, file="f")) == result


def nft(body: str, table: str = "table inet own") -> tuple[tuple[object, ...], list[Kind]]:
    parsed = parse_nft(f"{table} {{\n{body}\n}}\n", file="nft.txt")
    return parsed.rows, [each.kind for each in parsed.problems]


HOOK = "type filter hook {} priority 0; policy {};"


def test_a_table_of_iptables_is_read_from_iptables_save() -> None:
    assert nft(f"\tchain INPUT {{\n\t\t{HOOK.format('input', 'drop')}\n\t}}", "table ip filter") == ((), [])


def test_the_word_of_nft_that_iptables_manages_a_table() -> None:
    text = (
        "# Warning: table ip mine is managed by iptables-nft, do not touch!\n"
        f"table ip mine {{\n\tchain X {{\n\t\t{HOOK.format('input', 'drop')}\n\t}}\n}}\n"
    )
    assert parse_nft(text, file="f").rows == ()


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ('device "eth0"', ["eth0"]),
        ("device eth0", ["eth0"]),
        ('devices = { "eth0", "eth1" }', ["eth0", "eth1"]),
    ],
)
def test_an_ingress_chain_that_drops_all_takes_its_devices_away(devices: str, expected: list[str]) -> None:
    body = f"\tchain in {{\n\t\ttype filter hook ingress {devices} priority filter; policy drop;\n\t}}"
    rows, kinds = nft(body, "table netdev guard")

    assert kinds == []
    assert [row.device for row in rows if isinstance(row, IngressDrop)] == expected
    assert all(isinstance(row, IngressDrop) and row.span.line == 3 for row in rows)


def test_an_ingress_chain_with_rules_takes_no_device_away() -> None:
    hook = 'type filter hook ingress device "eth0" priority 0; policy drop;'
    rows, kinds = nft(f"\tchain in {{\n\t\t{hook}\n\t\tip saddr 192.0.2.1 accept\n\t}}", "table netdev guard")

    assert kinds == []
    assert not [row for row in rows if isinstance(row, IngressDrop)]
    assert [row.name for row in rows if isinstance(row, NftTable)] == ["guard"]


def test_nft_text_that_is_none_or_was_cut_off() -> None:
    assert problem(parse_nft("hello\n", file="f")).kind is Kind.MALFORMED
    cut = parse_nft("table ip own {\n\tchain c {\n", file="f")
    assert "does not end" in problem(cut).message


# Of the incident: a module of its author printed them into the kernel's log.
STACK = """\
[59039.551147]  [<ffffffffc069813e>] chenshuai_internal_dev_xmit+0x9e/0xb0 [hello]
[59039.551150]  [<ffffffff816abfe9>] dev_hard_start_xmit+0x169/0x3d0
[59039.551155]  [<ffffffff816aba70>] ? netif_skb_features+0xb0/0x1e0
[59039.551157]  [<ffffffff816abbbe>] ? validate_xmit_skb.isra.95.part.96+0x1e/0x2e0
[59039.551159]  [<ffffffff816ac6c0>] __dev_queue_xmit+0x470/0x580
"""


def test_the_incidents_stack() -> None:
    (stack,) = parse_kernel_stacks(STACK, file="syn.txt", host="host1").rows

    assert stack.host == "host1"
    assert stack.functions == ("chenshuai_internal_dev_xmit", "dev_hard_start_xmit", "__dev_queue_xmit")
    assert [frame.certain for frame in stack.frames] == [True, True, False, False, True]
    assert stack.frames[3].function == "validate_xmit_skb"
    assert (stack.frames[0].module, stack.frames[1].module) == ("hello", None)
    assert (stack.frames[0].time, stack.frames[4].span.line) == (59039.551147, 5)


@pytest.mark.parametrize(
    ("line", "function", "certain", "module"),
    [
        (" tcp_v4_send_reset+0x246/0x400", "tcp_v4_send_reset", True, None),
        (" ? ip_rcv_finish+0x360/0x360", "ip_rcv_finish", False, None),
        ("[  12.5]  nf_hook_slow+0x3c/0xb0 [nf_tables 1234abcd]", "nf_hook_slow", True, "nf_tables"),
        ("Nov 23 01:02:03 h1 kernel: [12.5]  [<0>] ip_rcv+0x2a2/0x3f0", "ip_rcv", True, None),
        (" => tcp_v4_rcv", "tcp_v4_rcv", True, None),
        ("        ip_local_deliver_finish+172", "ip_local_deliver_finish", True, None),
        (" do_softirq.part.0+0x5f/0xa0", "do_softirq", True, None),
        ("\tffffffff816abfe9 ip_rcv+0x9 ([kernel.kallsyms])", "ip_rcv", True, None),
        ("\tffffffffc069813e nft_do_chain ([nf_tables])", "nft_do_chain", True, None),
        ("    tcp_drop+0x1 [kernel]", "tcp_drop", True, None),
    ],
)
def test_frames_in_every_style(line: str, function: str, certain: object, module: str | None) -> None:
    (stack,) = parse_kernel_stacks(line, file="f").rows

    (frame,) = stack.frames
    assert (frame.function, frame.certain, frame.module) == (function, certain, module)
    assert frame.span.text == line


def test_stacks_are_told_apart_by_prose_and_by_time() -> None:
    text = (
        "# the SYN leaves by device qr-1\n[1.000000] a+0x1/0x2\n[1.000010] b+0x1/0x2\n"
        "[7.000000] c+0x1/0x2\nsomething else on the wire\n[7.100000] d+0x1/0x2\n"
    )
    stacks = parse_kernel_stacks(text, file="f").rows

    assert [stack.functions for stack in stacks] == [("a", "b"), ("c",), ("d",)]
    assert [stack.device for stack in stacks] == ["qr-1", None, None]
    assert stacks[0].title == "the SYN leaves by device qr-1"


def test_an_event_of_ftrace_is_the_title_of_the_stack_below_it() -> None:
    first, second = parse_kernel_stacks(SAMPLES["ftrace"].text, file="f", host="h").rows

    assert first.functions == ("tcp_v4_send_reset", "tcp_v4_rcv")
    assert first.title == "tcp_send_reset: family=AF_INET saddr=192.0.2.1:22"
    assert {frame.time for frame in first.frames} == {5311.250004}
    assert (second.functions, second.title) == (("ip_rcv",), "")


def test_perf_script() -> None:
    text = (
        "swapper     0 [002]  5311.250000: skb:kfree_skb: skbaddr=0x1 reason: NO_SOCKET\n"
        "\tffffffff81000001 kfree_skb_reason+0x1 ([kernel.kallsyms])\n"
        "\tffffffff81000002 tcp_v4_rcv+0x2 ([kernel.kallsyms])\n\n"
    )
    (stack,) = parse_kernel_stacks(text, file="f").rows

    assert stack.functions == ("kfree_skb_reason", "tcp_v4_rcv")
    assert stack.title == "skb:kfree_skb: skbaddr=0x1 reason: NO_SOCKET"


def test_what_stands_around_a_stack_does_not_tear_it_apart() -> None:
    text = "Call Trace:\n <IRQ>\n a+0x1/0x2\n </IRQ>\n <TASK>\n b+0x1/0x2\nRIP: 0010:x+0x1/0x2\n c+0x3/0x4\n"

    assert [stack.functions for stack in parse_kernel_stacks(text, file="f").rows] == [("a", "b", "c")]


def test_the_record_of_a_collection() -> None:
    line = (
        '{"host":"h1","netns":"q","argv":["ip","a"],"start":5.5,"seconds":0.25,'
        '"exit":1,"bytes":7,"stderr":"no"}'
    )
    (run,) = parse_collection(line, file="collection.jsonl").rows

    assert (run.host, run.netns, run.argv, run.start, run.seconds) == ("h1", "q", ("ip", "a"), 5.5, 0.25)
    assert (run.exit, run.octets, run.stderr) == (1, 7, "no")
    assert parse_collection('{"host":"h1"}', file="f").rows[0].netns == "root"


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "5", '{"netns":"q"}', '{"host":"h1","argv":5}', '{"host":"h1","exit":"x"}', "[" * 100_000],
)
def test_records_that_cannot_be_read(line: str) -> None:
    assert outcomes(parse_collection(line, file="f")) == (0, 0, 0, 1)


def test_counters_of_the_stack() -> None:
    text = "#kernel\nTcpOutRsts      18446744073709551615    0.0\nTcpExtX 0\nhostless\nIpX 1 2 3\n"
    parsed = parse_nstat(text, file="nstat.txt")

    assert [(row.name, row.value, row.span.line) for row in parsed.rows] == [
        ("TcpOutRsts", 2**64 - 1, 2),
        ("TcpExtX", 0, 3),
    ]
    assert outcomes(parsed) == (2, 2, 0, 2)
