"""Which file fills which field: missing is None, empty is empty, and one broken file spoils no other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from bundle_samples import FILES, about, opened, write

from bothways.bundle import open_bundle
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns
from bothways.facts.span import Kind

PLACE = "hosts/a/netns/root"
ADDR_TEXT = "2: eth0: <UP> mtu 1500\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
NEIGHBOUR = '[{"dst":"192.0.2.1","dev":"eth0","lladdr":"02:00:00:00:00:02","state":["STALE"]}]'
LEARNED = '[{"mac":"02:00:00:00:00:02","ifname":"eth0","flags":["self"],"state":"permanent"}]'
TUPLES = (
    "src=192.0.2.1 dst=192.0.2.9 sport=1 dport=22 [UNREPLIED] src=192.0.2.9 dst=192.0.2.1 sport=22 dport=1"
)
INVALID = (
    "1795348357.157967 prefix='nf_ct_proto_6: invalid new ' "
    "192.0.2.9:22 > 192.0.2.1:17350 flags=0x04 seq=4163297502 ack=0\n"
)
SOCKETS = "State Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0 128 192.0.2.1:22 *:*\n"
XML = (
    '<flow><meta direction="original"><layer3><src>192.0.2.1</src><dst>192.0.2.9</dst></layer3>'
    '<layer4 protonum="6"><sport>1</sport><dport>22</dport></layer4></meta>'
    '<meta direction="reply"><layer3><src>192.0.2.9</src><dst>192.0.2.1</dst></layer3>'
    '<layer4 protonum="6"><sport>22</sport><dport>1</dport></layer4></meta>'
    '<meta direction="independent"><state>SYN_SENT</state><timeout>9</timeout></meta></flow>\n'
)
TABLE = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
#: file -> (field, one row of it)
FIELDS: Mapping[str, tuple[str, str]] = {
    "addr.json": ("devices", '[{"ifindex":2,"ifname":"eth0","address":"02:00:00:00:00:01"}]'),
    "addr.txt": ("devices", ADDR_TEXT),
    "route.json": ("routes", '[{"type":"local","dst":"192.0.2.1","dev":"eth0","table":"local"}]'),
    "route.txt": ("routes", "local 192.0.2.1 dev eth0 table local\n"),
    "rule.json": ("rules", '[{"priority":0,"src":"all","table":"local"}]'),
    "rule.txt": ("rules", "0:\tfrom all lookup local\n"),
    "neigh.json": ("neighbours", NEIGHBOUR),
    "neigh.txt": ("neighbours", "192.0.2.1 dev eth0 lladdr 02:00:00:00:00:02 STALE\n"),
    "fdb.json": ("fdb", LEARNED),
    "iptables-save.txt": ("iptables", TABLE),
    "ip6tables-save.txt": ("ip6tables", TABLE),
    "conntrack.txt": ("conntrack", f"ipv4 2 tcp 6 119 SYN_SENT {TUPLES} mark=0 use=1\n"),
    "conntrack.xml": ("conntrack", XML),
    "conntrack-events.xml": ("conntrack_events", XML.replace("<flow>", '<flow type="new">')),
    "nstat.txt": ("counters", "#kernel\nTcpOutRsts                      3                  0.0\n"),
    "conntrack-events.txt": ("conntrack_events", f"    [NEW] tcp      6 120 SYN_SENT {TUPLES}\n"),
    "conntrack-stats.txt": ("conntrack_counters", "cpu=0 found=0 invalid=4 insert=0 drop=0\n"),
    "conntrack-invalid-log.txt": ("invalid_log", INVALID),
    "ss.txt": ("sockets", SOCKETS),
    "sysctl.txt": ("sysctls", "net.ipv4.ip_forward = 1\n"),
}
NFT = """\
table netdev x {
	chain y {
		type filter hook ingress device "eth0" priority 0; policy drop;
	}
}
"""
NFT_FIELDS = {"ingress_drops", "nft", "unmodelled_nft"}
EMPTY = {"addr.json": "[]", "route.json": "[]", "rule.json": "[]", "neigh.json": "[]", "fdb.json": "[]"}


def netns(folder: Path) -> Netns:
    found = open_bundle(folder).snapshot.netns("a", "root")
    assert found is not None
    return found


def dump(space: Netns, field: str) -> Dump[object] | None:
    found = getattr(space, field)
    assert found is None or isinstance(found, Dump)
    return found


def all_fields(space: Netns) -> set[str]:
    names = {field for field, _ in FIELDS.values()} | NFT_FIELDS
    return {name for name in names if dump(space, name) is not None}


@pytest.mark.parametrize("file", FIELDS)
def test_each_file_fills_its_field_and_no_other(tmp_path: Path, file: str) -> None:
    field, text = FIELDS[file]
    write(tmp_path, {f"{PLACE}/{file}": text})
    space = netns(tmp_path)
    found = dump(space, field)

    assert all_fields(space) == {field}
    assert found is not None
    assert (len(found), found.file, found.read_at, found.partial) == (1, f"{PLACE}/{file}", None, None)
    assert open_bundle(tmp_path).problems == ()
    assert open_bundle(tmp_path).unread == ()


@pytest.mark.parametrize("file", FIELDS)
def test_an_empty_file_was_collected_and_is_empty(tmp_path: Path, file: str) -> None:
    write(tmp_path, {f"{PLACE}/{file}": EMPTY.get(file, "")})
    found = dump(netns(tmp_path), FIELDS[file][0])

    assert found is not None
    assert (len(found), found.whole) == (0, True)
    assert open_bundle(tmp_path).problems == ()


def test_nft_fills_three_fields(tmp_path: Path) -> None:
    write(tmp_path, {f"{PLACE}/nft.txt": NFT})
    space = netns(tmp_path)

    assert all_fields(space) == NFT_FIELDS
    assert [drop.device for drop in space.ingress_drops or ()] == ["eth0"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("addr", "devices"), ("route", "routes"), ("rule", "rules"), ("neigh", "neighbours")],
)
def test_json_outranks_text(tmp_path: Path, first: str, second: str) -> None:
    write(tmp_path, {f"{PLACE}/{first}.{end}": FIELDS[f"{first}.{end}"][1] for end in ("json", "txt")})
    found = dump(netns(tmp_path), second)

    assert found is not None
    assert found.file == f"{PLACE}/{first}.json"
    assert open_bundle(tmp_path).unread == (f"{PLACE}/{first}.txt",)


GARBAGE = {
    "binary": bytes(range(256)) * 40,
    "prose": b"bash: command not found\nPermission denied\n",
    "nested": b"[" * 20_000,
    "huge": b'[{"ifindex":' + b"9" * 6000 + b"}]\ncpu=" + b"9" * 6000,
    "one line": b"x" * 200_000,
    "nul": b"\0" * 1000,
    "odd json": b'[null, 7, "x", {"ifindex": {}, "ifname": [1]}, {}]',
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_one_file_spoils_no_other(tmp_path: Path, kind: str) -> None:
    dumps = {f"{PLACE}/{file}": text for file, (_, text) in FIELDS.items()}
    whole = {**FILES, **dumps, f"{PLACE}/nft.txt": NFT}
    for file in (*FIELDS, "nft.txt"):
        folder = tmp_path / kind / file
        bundle = opened(folder, {**whole, f"{PLACE}/{file}": GARBAGE[kind]})
        space = bundle.snapshot.netns("a", "root")

        assert space is not None
        assert len(all_fields(space)) == len({field for field, _ in FIELDS.values()} | NFT_FIELDS)
        assert {p.span.file for p in bundle.problems} <= {f"{PLACE}/{file}"}
        for problem in about(bundle, f"{PLACE}/{file}"):
            assert problem.kind in (Kind.MALFORMED, Kind.UNMODELLED, Kind.UNREADABLE)
            assert len(problem.message) < 500


def test_the_kernel_and_stacks_of_a_host(tmp_path: Path) -> None:
    calls = ("tcp_v4_send_reset", "tcp_v4_rcv", "ip_local_deliver_finish")
    trace = "[  100.0] Call Trace:\n" + "".join(f"[  100.0]  {name}+0x1/0x2\n" for name in calls)
    bundle = opened(tmp_path, {"hosts/a/trace/rst.txt": trace, "hosts/a/trace/events.data": "{}"})

    assert bundle.snapshot.hosts["a"].kernel == "6.1.0"
    assert [stack.functions for stack in bundle.stacks] == [calls]
    assert bundle.stacks[0].frames[0].span.file == "hosts/a/trace/rst.txt"
    assert bundle.unread == ("hosts/a/trace/events.data",)


def test_a_host_without_a_kernel(tmp_path: Path) -> None:
    bundle = opened(tmp_path, {"hosts/b/netns/root/ss.txt": ""})

    assert bundle.snapshot.hosts["b"].kernel is None


def test_problems_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    bad = "ipv4 2 tcp 6 soon\n" * 2
    bundle = opened(
        tmp_path,
        {f"hosts/{host}/netns/root/conntrack.txt": bad for host in ("b", "a-b", "a")},
    )

    places = [(p.span.file, p.span.line) for p in bundle.problems]
    assert places == [
        (f"hosts/{host}/netns/root/conntrack.txt", line) for host in ("a", "a-b", "b") for line in (1, 2)
    ]


PLAIN = "2: eth0: <UP> mtu 1500\n    link/ether 02:00:00:00:00:01\n    inet 192.0.2.1/24 scope global eth0\n"
LINKS = (
    '[{"ifindex":2,"ifname":"eth0","link_index":9,"link_netnsid":1,"master":"br0",'
    '"linkinfo":{"info_kind":"veth"}},{"ifindex":3,"ifname":"eth1"}]'
)


def test_links_complete_the_devices_of_a_plain_dump(tmp_path: Path) -> None:
    write(tmp_path, {f"{PLACE}/addr.txt": PLAIN, f"{PLACE}/link.json": LINKS})
    devices = netns(tmp_path).devices
    assert devices is not None
    (device,) = devices

    assert (device.kind, device.link, device.link_netns, device.master) == ("veth", 9, 1, "br0")
    assert [str(held.address) for held in device.addresses] == ["192.0.2.1"]
    assert open_bundle(tmp_path).problems == ()


def test_links_alone_are_no_devices_without_addresses(tmp_path: Path) -> None:
    write(tmp_path, {f"{PLACE}/link.json": LINKS})

    assert netns(tmp_path).devices is None
    (problem,) = open_bundle(tmp_path).problems
    assert (problem.kind, problem.span.file) == (Kind.UNMODELLED, f"{PLACE}/link.json")
    assert "addr.json" in problem.hint


MAIN = "default via 192.0.2.254 dev eth0\n"
RULES = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
OWN = "99:\tfrom 192.0.2.1 lookup 7\n"


@pytest.mark.parametrize(
    ("files", "whole"),
    [
        ({"route.txt": MAIN}, False),
        ({"route.txt": MAIN, "addr.txt": PLAIN}, True),
        ({"route.txt": MAIN, "addr.txt": PLAIN, "rule.txt": RULES}, True),
        ({"route.txt": MAIN, "addr.txt": PLAIN, "rule.txt": RULES + OWN}, False),
        (
            {"route.txt": MAIN + "default dev eth0 table 7\n", "addr.txt": PLAIN, "rule.txt": RULES + OWN},
            True,
        ),
        ({"route.txt": MAIN + "local 192.0.2.1 dev eth0 table local\n"}, True),
        ({"route.json": '[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"}]'}, False),
        ({"route.txt": ""}, True),
    ],
)
def test_routes_of_the_main_table_alone_are_a_view_where_others_may_decide(
    tmp_path: Path, files: dict[str, str], *, whole: bool
) -> None:
    write(tmp_path, {f"{PLACE}/{name}": text for name, text in files.items()})
    routes = netns(tmp_path).routes

    assert routes is not None
    assert routes.whole is whole
    assert whole or "table all" in (routes.partial or "")


OWN_FILTER = (
    "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n"
    "\t\ttcp dport 22 accept\n\t}\n}\n"
)
NOT_NFTS = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"


@pytest.mark.parametrize(
    ("saved", "native"),
    [
        (NOT_NFTS, 0),
        ("# Table `filter' is incompatible, use 'nft' tool.\n", 1),
        ("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", 0),
        (None, 0),
    ],
)
def test_a_table_that_iptables_cannot_show_is_nfts_own(
    tmp_path: Path, saved: str | None, native: int
) -> None:
    files = {f"{PLACE}/nft.txt": OWN_FILTER}
    if saved is not None:
        files[f"{PLACE}/iptables-save.txt"] = saved
    write(tmp_path, files)

    assert len(netns(tmp_path).nft or ()) == native


def test_nft_may_be_json(tmp_path: Path) -> None:
    objects = [
        {"table": {"family": "inet", "name": "t"}},
        {"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": "input",
                   "prio": 0, "policy": "drop"}},
    ]  # fmt: skip
    write(tmp_path, {f"{PLACE}/nft.json": json.dumps({"nftables": objects})})

    found = netns(tmp_path).nft
    assert found is not None
    (table,) = found
    assert table.chains["c"].policy == "drop"
