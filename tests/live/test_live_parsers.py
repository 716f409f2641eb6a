"""
What the tools of this machine print is what the parsers read.

Devices, routes, rules, neighbours, iptables rules, a tracked connection and a switch are made in namespaces
of their own, dumped with the real tools, and the facts are held against what was made.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bothways.facts.address import address, network
from bothways.facts.iptables import AddressRange, Match, Table
from bothways.facts.openflow import LOCAL
from bothways.facts.parsed import Parsed
from bothways.facts.snapshot import IngressDrop
from bothways.facts.span import Kind, Span
from bothways.parse.bridge_fdb import parse_fdb
from bothways.parse.conntrack import parse_counters, parse_entries, parse_events
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.ip_route_text import parse_neigh_text, parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text
from bothways.parse.iptables import parse_iptables
from bothways.parse.nft_text import parse_nft
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_appctl import parse_fdb_show
from bothways.parse.ovs_vsctl import parse_vsctl_show
from bothways.parse.ovsdb import parse_ovsdb
from bothways.parse.ss import parse_ss
from bothways.parse.sysctl import parse_sysctl

pytestmark = [pytest.mark.live, pytest.mark.needs("ip")]

NOWHERE = Span("x")


def run(*argv: str, env: dict[str, str] | None = None) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    assert result.returncode == 0, f"{' '.join(argv)}: {result.stderr}"
    return result.stdout


@dataclass(frozen=True, slots=True)
class Pair:
    """Two namespaces joined by a veth pair, ``near`` (192.0.2.1) and ``far`` (192.0.2.2)."""

    near: str
    far: str

    def ip(self, *argv: str) -> str:
        return run("ip", "-n", self.near, *argv)

    def do(self, *argv: str) -> str:
        return run("ip", "netns", "exec", self.near, *argv)


@pytest.fixture
def pair() -> Iterator[Pair]:
    site = Pair(f"bothways-parse-{os.getpid()}-a", f"bothways-parse-{os.getpid()}-b")
    try:
        for name in (site.near, site.far):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        far = ("peer", "name", "far", "netns", site.far, "address", "02:00:00:00:00:02")
        site.ip("link", "add", "near", "address", "02:00:00:00:00:01", "type", "veth", *far)
        site.ip("address", "add", "192.0.2.1/24", "dev", "near")
        site.ip("link", "set", "near", "up")
        run("ip", "-n", site.far, "address", "add", "192.0.2.2/24", "dev", "far")
        run("ip", "-n", site.far, "link", "set", "far", "up")
        yield site
    finally:
        for name in (site.near, site.far):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def clean(parsed: Parsed[object]) -> None:
    assert parsed.problems == ()
    assert parsed.rows


def test_devices_and_their_addresses(pair: Pair) -> None:
    pair.ip("address", "add", "10.9.0.1", "peer", "10.9.0.2/32", "dev", "near")
    pair.ip("address", "add", "2001:db8::1/64", "dev", "near", "nodad")
    pair.ip("link", "add", "br0", "type", "bridge")
    vxlan_of = "type vxlan id 1086 local 192.0.2.1 dstport 4789 dev near"
    pair.ip("link", "add", "vx0", *vxlan_of.split())
    pair.ip("link", "set", "vx0", "master", "br0", "up")
    pair.ip("tuntap", "add", "tap0", "mode", "tap")

    read = parse_addr(pair.ip("-d", "-j", "address"), file="addr.json")
    clean(read)
    devices = {device.name: device for device in read.rows}

    near = devices["near"]
    assert (near.kind, near.mac, near.up, near.carrier) == ("veth", "02:00:00:00:00:01", True, True)
    assert near.link_netns == 0
    held = {(str(a.address), a.prefix, str(a.peer)) for a in near.addresses}
    assert {("192.0.2.1", 24, "None"), ("10.9.0.1", 32, "10.9.0.2"), ("2001:db8::1", 64, "None")} <= held
    assert (devices["vx0"].kind, devices["vx0"].master) == ("vxlan", "br0")
    vxlan = devices["vx0"].info
    assert (vxlan["id"], vxlan["local"], vxlan["port"]) == (1086, "192.0.2.1", 4789)
    assert (devices["br0"].kind, devices["br0"].up, devices["tap0"].kind) == ("bridge", False, "tun")

    for option in ("-d", "-s", "-o"):
        text = parse_addr_text(pair.ip(option, "address"), file="addr.txt")
        clean(text)
        for device in text.rows:
            truth = devices[device.name]
            assert (device.index, [a.address for a in device.addresses]) == (
                truth.index,
                [a.address for a in truth.addresses],
            )
            if option != "-o":
                assert (device.mac, device.mtu, device.up, device.carrier, device.master, device.link) == (
                    truth.mac, truth.mtu, truth.up, truth.carrier, truth.master, truth.link,
                )  # fmt: skip
            if option == "-d":
                assert device.kind == truth.kind
                same = device.info.keys() & truth.info.keys()
                assert {key: device.info[key] for key in same} == {key: truth.info[key] for key in same}


ROUTES = """\
default via 192.0.2.254 dev near metric 100
203.0.113.0/24 nexthop via 192.0.2.2 weight 2 nexthop via 192.0.2.3
blackhole 10.66.0.0/16
unreachable 10.67.0.0/16
throw 10.68.0.0/16
10.5.0.0/16 dev near table 100 src 192.0.2.1 mtu 1400
10.10.0.0/16 via 192.0.2.2 dev near onlink
10.11.0.0/16 dev near scope link proto static
"""


def test_routes(pair: Pair) -> None:
    for line in ROUTES.splitlines():
        pair.ip("route", "add", *line.split())
    pair.ip("address", "add", "2001:db8::1/64", "dev", "near", "nodad")
    pair.ip("-6", "route", "add", "default", "via", "2001:db8::fe", "dev", "near")

    read = parse_route(pair.ip("-j", "route", "show", "table", "all"), file="route.json")
    clean(read)
    routes = {(route.kind, str(route.destination)): route for route in read.rows}

    default = routes["unicast", "0.0.0.0/0"]
    assert (default.metric, str(default.hops[0].gateway), default.hops[0].device) == (
        100,
        "192.0.2.254",
        "near",
    )
    both = routes["unicast", "203.0.113.0/24"].hops
    assert [(str(hop.gateway), hop.weight) for hop in both] == [("192.0.2.2", 2), ("192.0.2.3", 1)]
    assert {
        ("blackhole", "10.66.0.0/16"),
        ("unreachable", "10.67.0.0/16"),
        ("throw", "10.68.0.0/16"),
    } <= routes.keys()
    other = routes["unicast", "10.5.0.0/16"]
    assert (other.table, str(other.prefsrc), other.mtu) == ("100", "192.0.2.1", 1400)
    assert routes["unicast", "10.10.0.0/16"].flags == {"onlink"}
    assert routes["local", "192.0.2.1/32"].table == "local"
    assert str(routes["unicast", "::/0"].hops[0].gateway) == "2001:db8::fe"

    text = parse_route_text(pair.ip("route", "show", "table", "all"), file="route.txt")
    clean(text)
    # Plain text leaves out `proto boot`.
    told = [replace(row, span=NOWHERE, protocol=row.protocol.removeprefix("boot")) for row in read.rows]
    assert [replace(row, span=NOWHERE) for row in text.rows] == told


RULES = """\
priority 50 from 192.0.2.0/24 table 100
priority 60 fwmark 0x10/0xff iif near table 101
priority 61 not to 10.0.0.0/8 table 102
priority 62 prohibit from 198.51.100.4
priority 63 goto 32766
priority 64 oif lo table 55
priority 65 blackhole iif lo
"""


def test_policy_rules(pair: Pair) -> None:
    for line in RULES.splitlines():
        pair.ip("rule", "add", *line.split())

    read = parse_rule(pair.ip("-j", "rule"), file="rule.json")
    clean(read)
    rules = {rule.priority: rule for rule in read.rows}

    assert rules.keys() >= {0, 50, 60, 61, 62, 63, 64, 65, 32766, 32767}
    assert (rules[50].src, rules[50].table) == (network("192.0.2.0/24"), "100")
    assert (rules[60].fwmark, rules[60].fwmask, rules[60].iif) == (0x10, 0xFF, "near")
    assert (rules[61].invert, rules[61].dst) == (True, network("10.0.0.0/8"))
    assert (rules[62].action, rules[63].action, rules[63].goto) == ("prohibit", "goto", 32766)
    assert (rules[64].oif, rules[65].action) == ("lo", "blackhole")

    text = parse_rule_text(pair.ip("rule"), file="rule.txt")
    clean(text)
    assert [replace(row, span=NOWHERE) for row in text.rows] == [
        replace(row, span=NOWHERE) for row in read.rows
    ]


def test_what_is_not_modelled_is_said_in_both_forms(pair: Pair) -> None:
    pair.ip("rule", "add", "priority", "70", "table", "103", "suppress_ifgroup", "5")
    pair.ip("route", "add", "10.11.0.0/16", "dev", "near", "realms", "3")

    for parsed in (
        parse_rule(pair.ip("-j", "rule"), file="f"),
        parse_rule_text(pair.ip("rule"), file="f"),
        parse_route(pair.ip("-j", "route"), file="f"),
        parse_route_text(pair.ip("route"), file="f"),
    ):
        assert [problem.kind for problem in parsed.problems] == [Kind.UNMODELLED]


def test_neighbours_and_forwarding_entries(pair: Pair) -> None:
    entry = ("neigh", "add", "dev", "near")
    pair.ip(*entry, "192.0.2.50", "lladdr", "02:00:00:00:00:50", "nud", "permanent")
    pair.ip(*entry, "192.0.2.51", "lladdr", "02:00:00:00:00:51", "nud", "stale")
    pair.ip(*entry, "192.0.2.52", "nud", "failed")
    pair.ip("link", "add", "br0", "type", "bridge")
    pair.ip("link", "add", "vx0", "type", "vxlan", "id", "5", "local", "192.0.2.1", "dstport", "4789")
    pair.ip("link", "set", "vx0", "master", "br0")
    run(
        "bridge",
        "-n",
        pair.near,
        "fdb",
        "add",
        "02:00:00:00:00:77",
        "dev",
        "vx0",
        "dst",
        "192.0.2.33",
        "self",
    )
    run("bridge", "-n", pair.near, "fdb", "add", "02:00:00:00:00:78", "dev", "vx0", "master", "static")

    read = parse_neigh(pair.ip("-j", "neigh"), file="neigh.json")
    clean(read)
    held = {str(row.address): (row.mac or "", *row.states, row.pinned) for row in read.rows}
    assert held == {
        "192.0.2.50": ("02:00:00:00:00:50", "PERMANENT", True),
        "192.0.2.51": ("02:00:00:00:00:51", "STALE", False),
        "192.0.2.52": ("", "FAILED", False),
    }
    for option in ((), ("-s",)):
        text = parse_neigh_text(pair.ip(*option, "neigh"), file="neigh.txt")
        clean(text)
        assert {str(row.address): (row.mac or "", *row.states, row.pinned) for row in text.rows} == held

    fdb = parse_fdb(run("bridge", "-n", pair.near, "-j", "fdb"), file="fdb.json")
    clean(fdb)
    entries = {row.mac: row for row in fdb.rows}
    assert str(entries["02:00:00:00:00:77"].dst) == "192.0.2.33"  # type: ignore[index] # a Mac is a str
    assert entries["02:00:00:00:00:78"].master == "br0"  # type: ignore[index] # a Mac is a str


IPTABLES = """\
-t nat -A PREROUTING -d 198.51.100.7/32 ! -i lo -p tcp --dport 22 -j DNAT --to 10.0.0.4-10.0.0.9:2222
-t nat -A POSTROUTING -s 10.0.0.0/24 -j SNAT --to-source 198.51.100.7
-t nat -N chain-1
-t nat -A OUTPUT -g chain-1
-t filter -P FORWARD DROP
-t filter -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-t filter -A FORWARD -p tcp -m comment --comment "a \\"b\\" c" -m mark --mark 0x4/0xff -j REJECT
-t filter -A INPUT -p tcp -m multiport --dports 80,443,8000:8080 ! --syn -j DROP
-t filter -A INPUT -p icmp --icmp-type 8 -j RETURN
-t mangle -A PREROUTING -i near -j MARK --set-xmark 0x1/0xf
-t mangle -A PREROUTING -m connmark --mark 0x2 -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff
-t raw -A PREROUTING -p udp --sport 53 -j CT --notrack
-t raw -A PREROUTING -i near -j CT --zone 7
"""


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
@pytest.mark.needs("iptables")
def test_iptables(pair: Pair, flavour: str) -> None:
    for line in IPTABLES.splitlines():
        words = line.replace('"a \\"b\\" c"', "COMMENT").split()
        words = ['a "b" c' if word == "COMMENT" else word for word in words]
        pair.do(f"iptables-{flavour}", *words)

    for options in ((), ("-c",)):
        text = pair.do(f"iptables-{flavour}-save", *options)
        read = parse_iptables(text, file="iptables-save.txt")
        clean(read)
        tables = {table.name: table for table in read.rows}
        assert {"nat", "filter", "mangle", "raw"} <= tables.keys()
        _holds(tables)
        counted = tables["nat"].chains["PREROUTING"].rules[0].packets
        assert (counted is None) == (not options)

    listed = parse_iptables(pair.do(f"iptables-{flavour}", "-t", "nat", "-S"), file="nat.txt")
    clean(listed)
    assert listed.rows[0].name == "nat"
    assert (
        listed.rows[0].chains["PREROUTING"].rules[0].target
        == tables["nat"].chains["PREROUTING"].rules[0].target
    )


def _holds(tables: dict[str, Table]) -> None:
    nat = tables["nat"].chains
    dnat, snat = nat["PREROUTING"].rules[0], nat["POSTROUTING"].rules[0]
    assert set(dnat.matches) == {
        Match("destination", network("198.51.100.7/32")),
        Match("in-interface", "lo", negate=True),
        Match("protocol", 6),
        Match("tcp.dport", (22, 22)),
    }
    assert dnat.target is not None
    assert dnat.target.options["to-destination"] == AddressRange(
        address("10.0.0.4"), address("10.0.0.9"), 2222, 2222
    )
    assert snat.target is not None
    assert snat.target.options["to-source"] == AddressRange(address("198.51.100.7"), address("198.51.100.7"))
    jump = nat["OUTPUT"].rules[0].target
    assert jump is not None
    assert (jump.name, jump.goto, nat["chain-1"].policy) == ("chain-1", True, None)

    forward = tables["filter"].chains["FORWARD"]
    assert forward.policy == "DROP"
    assert forward.rules[0].matches == (Match("conntrack.ctstate", frozenset({"RELATED", "ESTABLISHED"})),)
    assert {Match("comment.comment", 'a "b" c'), Match("mark.mark", (4, 0xFF))} <= set(
        forward.rules[1].matches
    )
    ports, icmp = tables["filter"].chains["INPUT"].rules
    assert Match("multiport.dports", ((80, 80), (443, 443), (8000, 8080))) in ports.matches
    assert Match("tcp.tcp-flags", (0x17, 0x02), negate=True) in ports.matches
    assert Match("icmp.icmp-type", (8, None)) in icmp.matches
    mark, restore = (rule.target for rule in tables["mangle"].chains["PREROUTING"].rules)
    assert mark is not None
    assert mark.options["set-xmark"] == (1, 0xF)
    assert restore is not None
    assert {**restore.options, "mask": None} == {
        "restore-mark": True, "nfmask": 0xFF, "ctmask": 0xFF, "mask": None,
    }  # fmt: skip
    notrack, zone = (rule.target for rule in tables["raw"].chains["PREROUTING"].rules)
    assert notrack is not None
    assert notrack.options == {"notrack": True}
    assert zone is not None
    assert zone.options == {"zone": 7}


@pytest.mark.needs("nft", "iptables")
def test_nft_tables_that_iptables_does_not_show(pair: Pair) -> None:
    pair.do("iptables-nft", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
    assert parse_nft(pair.do("nft", "list", "ruleset"), file="nft.txt").rows == ()

    pair.do("nft", "add table inet own; add chain inet own c { type filter hook input priority 5; }; "
            "add rule inet own c tcp dport 22 drop")  # fmt: skip
    pair.do("nft", "add table netdev guard; "
            'add chain netdev guard in { type filter hook ingress device "near" priority 0; '
            "policy drop; }")  # fmt: skip
    read = parse_nft(pair.do("nft", "list", "ruleset"), file="nft.txt")

    drops = [row for row in read.rows if isinstance(row, IngressDrop)]
    assert [row.device for row in drops] == ["near"]
    (own,) = (row for row in read.rows if row not in drops)
    place = own if isinstance(own, Span) else own.span
    assert place.text == "table inet own {"


def _wait_until_subscribed(pid: int) -> None:
    """Wait until a process hears netfilter's events: its netlink socket (protocol 12) is in a group."""
    deadline = time.monotonic() + 10
    while True:
        rows = [row.split() for row in Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]]
        if any(row[1] == "12" and int(row[3], 16) for row in rows):
            return
        assert time.monotonic() < deadline, "conntrack -E does not listen"
        time.sleep(0.02)


@pytest.mark.needs("conntrack", "iptables")
def test_a_connection_in_conntrack_its_events_and_its_sockets(pair: Pair) -> None:
    pair.do("iptables", "-t", "raw", "-A", "OUTPUT", "-p", "tcp", "-j", "CT", "--zone", "9")
    pair.do("iptables", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "-j", "CT", "--zone", "9")
    pair.do("iptables", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
    events = subprocess.Popen(
        ["ip", "netns", "exec", pair.near, "conntrack", "-E", "-o", "timestamp,extended,id"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _wait_until_subscribed(events.pid)
        with _in_netns(pair.far) as listener, _in_netns(pair.near) as client:
            listener.bind(("192.0.2.2", 2222))
            listener.listen(1)
            client.bind(("192.0.2.1", 40001))
            client.connect(("192.0.2.2", 2222))
            entries = parse_entries(pair.do("conntrack", "-L", "-o", "extended,id"), file="conntrack.txt")
            sockets = parse_ss(pair.do("ss", "-tanp"), file="ss.txt")
            listening = parse_ss(run("ip", "netns", "exec", pair.far, "ss", "-tlnp"), file="ss.txt")
        time.sleep(0.2)
    finally:
        events.terminate()
        heard, _ = events.communicate(timeout=5)

    clean(entries)
    (entry,) = (row for row in entries.rows if row.original.dport == 2222)
    assert (str(entry.original), str(entry.reply)) == (
        "192.0.2.1:40001 > 192.0.2.2:2222",
        "192.0.2.2:2222 > 192.0.2.1:40001",
    )
    assert (entry.state, *entry.status, entry.zone) == ("ESTABLISHED", "ASSURED", 9)
    assert entry.id is not None

    log = parse_events(heard, file="conntrack-events.txt")
    clean(log)
    mine = [event for event in log.rows if event.entry.original.dport == 2222]
    assert [(event.kind, event.entry.state) for event in mine][:3] == [
        ("NEW", "SYN_SENT"), ("UPDATE", "SYN_RECV"), ("UPDATE", "ESTABLISHED"),
    ]  # fmt: skip
    assert all(event.time is not None and abs(event.time - time.time()) < 60 for event in mine)

    counters = parse_counters(pair.do("conntrack", "-S"), file="conntrack-stats.txt")
    clean(counters)
    assert all("invalid" in row.values for row in counters.rows)

    clean(sockets)
    (own,) = (row for row in sockets.rows if row.local_port == 40001)
    assert (own.protocol, own.state, str(own.local), str(own.peer)) == (
        "tcp", "ESTAB", "192.0.2.1:40001", "192.0.2.2:2222",
    )  # fmt: skip
    (server,) = listening.rows
    assert (server.state, server.local_port, server.peer, server.recv_queue) == ("LISTEN", 2222, None, 1)
    assert server.process is not None


def _in_netns(name: str) -> socket.socket:
    """A TCP socket of another namespace; the thread comes back to its own."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/var/run/netns/{name}", os.O_RDONLY)
    try:
        _setns(there)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    finally:
        _setns(home)
        os.close(there)
        os.close(home)


def _setns(descriptor: int) -> None:
    import ctypes  # noqa: PLC0415  os.setns came with Python 3.12

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.setns(descriptor, 0) == 0, os.strerror(ctypes.get_errno())


def test_open_addresses_of_one_family_and_of_both(pair: Pair) -> None:
    with suppress(OSError):
        pair.do("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
    program = (
        "import socket,subprocess\n"
        "def at(f,a,p,six=None):\n"
        " s=socket.socket(f); s.bind((a,p)); s.listen(); return s\n"
        "k=[at(socket.AF_INET,'0.0.0.0',1111)]\n"
        "s=socket.socket(socket.AF_INET6); s.setsockopt(41,26,1)\n"
        "s.bind(('::',2222)); s.listen(); k.append(s)\n"
        "s=socket.socket(socket.AF_INET6); s.setsockopt(41,26,0)\n"
        "s.bind(('::',3333)); s.listen(); k.append(s)\n"
        "u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.bind(('192.0.2.1',4444)); k.append(u)\n"
        "print(subprocess.run(['ss','-tulnp'],capture_output=True,text=True).stdout)\n"
    )
    read = parse_ss(pair.do("python3", "-c", program), file="ss.txt")

    assert read.problems == ()
    held = {row.local_port: (row.protocol, row.family, str(row.local)) for row in read.rows}
    assert held == {
        1111: ("tcp", 4, "None"),
        2222: ("tcp", 6, "None"),
        3333: ("tcp", None, "None"),
        4444: ("udp", None, "192.0.2.1:4444"),
    }


def test_sysctl(pair: Pair) -> None:
    pair.do("sysctl", "-qw", "net.ipv4.ip_forward=1")
    read = parse_sysctl(pair.do("sysctl", "net.ipv4", "net.ipv6"), file="sysctl.txt")

    clean(read)
    values = {row.name: row.value for row in read.rows}
    assert values["net.ipv4.ip_forward"] == "1"
    assert "net.ipv4.conf.near.rp_filter" in values


@dataclass(frozen=True, slots=True)
class OpenVSwitch:
    """A switch of our own in the near namespace: its directory, and how to ask it."""

    pair: Pair
    place: Path

    def __call__(self, program: str, *argv: str) -> str:
        env = {**os.environ, "OVS_RUNDIR": str(self.place), "OVS_LOGDIR": str(self.place)}
        return run("ip", "netns", "exec", self.pair.near, program, *argv, env=env)

    def vsctl(self, *argv: str) -> str:
        return self("ovs-vsctl", f"--db=unix:{self.place}/db.sock", *argv)


@pytest.fixture
def switch(pair: Pair, tmp_path: Path) -> Iterator[OpenVSwitch]:
    ovs = OpenVSwitch(pair, tmp_path)
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    ovs("ovsdb-tool", "create", f"{tmp_path}/conf.db", schema)
    env = {**os.environ, "OVS_RUNDIR": str(tmp_path), "OVS_LOGDIR": str(tmp_path)}
    inside = ["ip", "netns", "exec", pair.near]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env}
    server = subprocess.Popen(
        [*inside, "ovsdb-server", f"{tmp_path}/conf.db", f"--remote=punix:{tmp_path}/db.sock",
         f"--unixctl={tmp_path}/db.ctl"],
        **quiet,  # type: ignore[call-overload] # one set of options for both
    )  # fmt: skip
    daemons = [server]
    try:
        _until((tmp_path / "db.sock").exists)
        ovs.vsctl("--no-wait", "init")
        daemons.append(
            subprocess.Popen(
                [*inside, "ovs-vswitchd", f"unix:{tmp_path}/db.sock", "--disable-system",
                 f"--unixctl={tmp_path}/vswitchd.ctl"],
                **quiet,  # type: ignore[call-overload] # one set of options for both
            )
        )  # fmt: skip
        yield ovs
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=10)
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()


def _until(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.needs("ovs-vswitchd", "ovs-ofctl")
def test_a_switch(switch: OpenVSwitch) -> None:
    switch.vsctl("add-br", "br-x", "--", "set", "Bridge", "br-x", "datapath_type=netdev", "fail_mode=secure",
                 "--", "add-port", "br-x", "int0", "tag=7",
                 "--", "set", "Interface", "int0", "type=internal", "ofport_request=5",
                 "external_ids:attached-mac=02:00:00:00:00:09",
                 "--", "add-port", "br-x", "vx",
                 "--", "set", "Interface", "vx", "type=vxlan", "options:remote_ip=192.0.2.2",
                 "options:local_ip=192.0.2.1", "options:key=flow", "ofport_request=6")  # fmt: skip
    rows = (
        "priority=100,tcp,in_port=int0,nw_src=10.0.0.0/24,tp_dst=22 actions=load:0x43e->reg3,resubmit(,40)",
        "table=40,priority=5,arp,arp_tpa=10.0.0.4,arp_op=1 actions=move:eth_src->eth_dst,IN_PORT",
        "table=40,priority=4,ip actions=ct(commit,zone=5,nat(src=10.0.0.1-10.0.0.9)),dec_ttl,output:vx",
        "table=40,priority=3,ipv6,vlan_tci=0x1007/0x1fff actions=set_field:02:00:00:00:00:01->eth_dst,LOCAL",
        "table=40,priority=2,reg0=0x10/0xf0,metadata=0x5 actions=drop",
    )
    for row in rows:
        switch("ovs-ofctl", "add-flow", "br-x", row)

    show = parse_vsctl_show(switch.vsctl("show"), file="show.txt")
    clean(show)
    (bridge,) = show.rows
    assert (bridge.name, bridge.datapath, bridge.fail_mode) == ("br-x", "netdev", "secure")
    assert bridge.ports.keys() == {"br-x", "int0", "vx"}
    assert (bridge.ports["int0"].tag, bridge.ports["int0"].kind) == (7, "internal")
    options = {"remote_ip": "192.0.2.2", "local_ip": "192.0.2.1", "key": "flow"}
    assert bridge.ports["vx"].options == options

    dump = switch("ovsdb-client", "dump", "-f", "json", f"unix:{switch.place}/db.sock")
    database = parse_ovsdb(dump, file="ovsdb.jsonl")
    clean(database)
    held = database.rows[0].ports
    assert {name: port.number for name, port in held.items()} == {"br-x": LOCAL, "int0": 5, "vx": 6}
    assert (held["vx"].options, held["int0"].attached_mac) == (options, "02:00:00:00:00:09")

    ports = parse_ports(switch("ovs-ofctl", "show", "br-x"), file="br-x.ports.txt")
    clean(ports)
    assert {port.name: port.number for port in ports.rows} == {"br-x": LOCAL, "int0": 5, "vx": 6}

    for arguments in (("dump-flows",), ("--names", "dump-flows"), ("--no-stats", "dump-flows")):
        flows = parse_flows(switch("ovs-ofctl", *arguments, "br-x"), file="br-x.flows.txt")
        clean(flows)
        assert len(flows.rows) == len(rows)
        first = next(flow for flow in flows.rows if flow.table == 0)
        assert first.priority == 100
        assert {"in_port", "nw_src", "tp_dst", "eth_type", "ip_proto"} == {term.field for term in first.match}
        assert [action.name for action in first.actions] == ["load", "resubmit"]
        assert all(action.modelled for flow in flows.rows for action in flow.actions)

    ask = ("ovs-appctl", "-t", f"{switch.place}/vswitchd.ctl")
    assert parse_fdb_show(switch(*ask, "fdb/show", "br-x"), file="br-x.fdb.txt").problems == ()
    inner = parse_flows(switch(*ask, "bridge/dump-flows", "br-x"), file="br-x.flows.txt")
    assert inner.problems == ()
    assert {flow.table for flow in inner.rows} >= {0, 40}
