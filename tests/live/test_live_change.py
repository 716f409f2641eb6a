"""
A change typed on a host, and the same change made to its dumps, give the same dumps.

A namespace of its own and a private Open vSwitch get the real commands; the model's change gets the text of
the same commands and the dumps of before. What both leave behind is compared row by row.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bothways.facts.dump import Dump
from bothways.facts.iptables import Rule
from bothways.facts.nft import NftRule, NftTable
from bothways.facts.openflow import Bridge, Flow, Switch
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.model.change import NothingToChangeError, apply_change
from bothways.parse.change import parse_change
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.iptables import parse_iptables
from bothways.parse.nft_text import parse_nft
from bothways.parse.openflow import parse_flows

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "iptables", "nft")]


def run(*argv: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{shlex.join(argv)}: {done.stderr}"
    return done


SETUP = """\
ip link set lo up
ip link add e0 type veth peer name e1
ip link add e2 type veth peer name e3
ip link set e0 up
ip link set e1 up
ip link set e2 up
ip link set e3 up
ip addr add 192.0.2.1/24 dev e0
ip addr add 192.0.2.2/24 dev e0
ip addr add 192.0.2.7/32 dev e0
ip addr add 10.0.0.1/24 dev e2
ip route add default via 192.0.2.254 dev e0
ip route add 198.51.100.0/24 via 10.0.0.9 dev e2
ip rule add from 10.0.0.0/24 table 100 pref 10
ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 nud permanent dev e0
ip neigh add 192.0.2.8 lladdr 02:00:00:00:00:08 nud reachable dev e0
iptables -N agent
iptables -A agent -p tcp --dport 22 -j ACCEPT
iptables -A FORWARD -j agent
iptables -A FORWARD -s 10.0.0.0/24 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -t nat -A PREROUTING -d 192.0.2.7 -j DNAT --to-destination 10.0.0.4
nft add table ip own
nft add chain ip own c '{ type filter hook forward priority 5; }'
nft add rule ip own c tcp dport 22 accept
nft add rule ip own c drop
nft add set ip own hosts '{ type ipv4_addr; flags interval; elements = { 192.0.2.8, 10.9.0.0/16 }; }'
nft add set ip own pairs '{ type ipv4_addr . inet_service; }'
nft add map ip own marks '{ type inet_service : mark; elements = { 22 : 7 }; }'
nft add map ip own fates '{ type ipv4_addr : verdict; }'
nft add table netdev low
nft add table bridge span
"""

SCRIPT = (
    "nft -f - <<< 'table ip two { chain pre { type filter hook prerouting priority -310; policy accept;\n"
    'iifname "e0" ip daddr 192.0.2.7 notrack ip daddr set 10.0.0.4\n}\n}\''
)
#: One or several commands; each row starts from the same state.
CHANGES = [
    ["ip addr del 192.0.2.7/32 dev e0"],
    ["ip addr del 192.0.2.1/24 dev e0"],
    ["sysctl -w net.ipv4.conf.all.promote_secondaries=1", "ip addr del 192.0.2.1/24 dev e0"],
    ["ip addr del 192.0.2.2/24 dev e0"],
    ["ip addr del 10.0.0.1/24 dev e2"],
    ["ip addr flush dev e0"],
    ["ip addr add 203.0.113.1/24 dev e2"],
    ["ip addr add 10.0.0.77/24 dev e2"],
    ["ip addr add 203.0.113.1/32 dev e2"],
    ["ip link set e2 down"],
    ["ip link set e2 down", "ip link set e2 up"],
    ["ip link del e2"],
    ["ip link set e2 mtu 1400"],
    ["ip route add 203.0.113.0/24 via 10.0.0.9"],
    ["ip route add 203.0.113.0/24 via 10.0.0.9 dev e2 metric 5"],
    ["ip route replace default via 192.0.2.253 dev e0"],
    ["ip route del default"],
    ["ip route del 198.51.100.0/24"],
    ["ip route add blackhole 203.0.113.0/24"],
    ["ip route add 203.0.113.0/24 via 10.0.0.9 table 100"],
    ["ip route flush dev e2"],
    ["ip rule add from 10.0.0.0/24 table 101"],
    ["ip rule add fwmark 0x1 table 101 pref 7", "ip rule del from 10.0.0.0/24 table 100"],
    ["ip rule del pref 10"],
    ["ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:99 nud permanent dev e0"],
    ["ip neigh del 192.0.2.8 dev e0"],
    ["ip neigh flush dev e0"],
    ["iptables -I FORWARD -j DROP"],
    ["iptables -I FORWARD 2 -p udp -j REJECT --reject-with icmp-port-unreachable"],
    ["iptables -A agent -p udp -j REJECT", "iptables -D agent -p udp -j REJECT"],
    ["iptables -t raw -A OUTPUT -j MARK --set-mark 7", "iptables -t raw -D OUTPUT -j MARK --set-mark 7"],
    ["iptables -t raw -A OUTPUT -j NOTRACK", "iptables -t raw -D OUTPUT -j NOTRACK"],
    ["iptables -D FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -s 10.0.0.0/24 -j ACCEPT"],
    ["iptables -D agent -p tcp --dport 22 -j ACCEPT"],
    ["iptables -D FORWARD 1", "iptables -F agent", "iptables -X agent"],
    ["iptables -R FORWARD 1 -j DROP"],
    ["iptables -t nat -F"],
    ["iptables -t nat -D PREROUTING -d 192.0.2.7/32 -j DNAT --to-destination 10.0.0.4"],
    ["iptables -t raw -I PREROUTING -d 192.0.2.7 -j CT --notrack"],
    ["iptables -P FORWARD DROP"],
    ["nft add rule ip own c udp dport 53 accept"],
    ["nft insert rule ip own c iifname e0 notrack"],
    ["nft flush chain ip own c"],
    ["nft delete table ip own"],
    ["nft add chain ip own d '{ type nat hook postrouting priority srcnat; policy accept; }'",
     "nft add rule ip own d oifname e0 masquerade"],
    [SCRIPT],
    ["nft add element ip own hosts '{ 192.0.2.9, 192.0.2.16/28, 10.1.0.1-10.1.0.9 }'"],
    ["nft delete element ip own hosts { 10.9.0.0/16 }"],
    ["nft flush set ip own hosts", "nft add element ip own hosts '{ 192.0.2.1 }'"],
    ["nft add element ip own pairs '{ 192.0.2.9 . ssh, 192.0.2.8 . 80 }'",
     "nft delete element ip own pairs '{ 192.0.2.9 . 22 }'"],
    ["nft add element ip own marks '{ http : 0x10 }'", "nft delete element ip own marks '{ 22 }'"],
    ["nft add element ip own fates '{ 192.0.2.9 : drop, 192.0.2.8 : accept }'"],
    ["nft add set ip own more '{ type ether_addr; elements = { 02:00:00:00:00:01 }; }'",
     "nft add rule ip own c ether saddr @more drop"],
    ["nft delete set ip own hosts"],
    ["nft delete map ip own marks", "nft add map ip own marks '{ type ipv4_addr : ipv4_addr; }'",
     "nft add element ip own marks '{ 192.0.2.9 : 10.0.0.4 }'"],
    ["nft add rule ip own c index 0 udp dport 53 accept"],
    ["nft insert rule ip own c index 1 udp dport 53 accept"],
    ["nft add chain netdev low in '{ type filter hook ingress device e0 priority 0; }'",
     "nft add rule netdev low in ip saddr 192.0.2.9 drop"],
    ["nft add chain bridge span f '{ type filter hook forward priority filter; policy drop; }'",
     "nft insert rule bridge span f ether type arp accept", "nft add rule bridge span f ip ttl 1 drop"],
    ["nft add table arp a", "nft add chain arp a in '{ type filter hook input priority 0; }'",
     "nft add rule arp a in arp operation request drop"],
    ["nft add table inet both", "nft add chain inet both f '{ type filter hook forward priority 1; }'",
     "nft add rule inet both f meta nfproto ipv6 drop", "nft flush table inet both"],
    ["nft delete table bridge span"],
    ["nft add counter ip own seen", "nft add rule ip own c counter name seen accept"],
]  # fmt: skip

#: What the real command refuses as well.
REFUSED = [
    "ip addr del 192.0.2.99/24 dev e0",
    "ip addr add 192.0.2.1/24 dev e0",
    "ip route del 203.0.113.0/24",
    "ip route add default via 192.0.2.253 dev e0",
    "ip route add 203.0.113.0/24 via 172.16.0.1",
    "ip rule del pref 77",
    "ip neigh del 192.0.2.77 dev e0",
    "ip link set e9 up",
    "iptables -D FORWARD -j DROP",
    "iptables -D FORWARD 9",
    "iptables -I FORWARD 9 -j DROP",
    "iptables -A absent -j DROP",
    "iptables -A FORWARD -j ABSENT",
    "iptables -X agent",
    "iptables -N agent",
    "nft delete table ip absent",
    "nft add rule ip own absent drop",
    "nft add element ip own absent '{ 192.0.2.1 }'",
    "nft delete element ip own hosts '{ 192.0.2.77 }'",
    "nft add element ip own hosts '{ 192.0.2.1 . 22 }'",
    "nft add element ip own hosts '{ 192.0.2.300 }'",
    "nft add rule ip own c index 9 drop",
    "nft delete set ip own absent",
]


def typed(name: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as typed in a namespace; ``<<<`` feeds it."""
    head, _, fed = command.partition(" <<< ")
    words = shlex.split(head)
    text = shlex.split(fed)[0] + "\n" if fed else None
    return run("ip", "netns", "exec", name, *words, check=False, text=text)


def dumped(name: str) -> Netns:
    def out(*argv: str) -> str:
        return run("ip", "netns", "exec", name, *argv).stdout

    native = parse_nft(out("nft", "list", "ruleset"), file="nft")
    return Netns(
        "here",
        name,
        devices=Dump(parse_addr(out("ip", "-d", "-j", "addr"), file="addr").rows, "addr"),
        routes=Dump(parse_route(out("ip", "-j", "route", "show", "table", "all"), file="r").rows, "r"),
        rules=Dump(parse_rule(out("ip", "-j", "rule"), file="rule").rows, "rule"),
        neighbours=Dump(parse_neigh(out("ip", "-j", "neigh"), file="n").rows, "n"),
        iptables=Dump(parse_iptables(out("iptables-save"), file="i").rows, "i"),
        nft=Dump(tuple(r for r in native.rows if isinstance(r, NftTable)), "nft"),
    )


def told(space: Netns) -> dict[str, object]:
    """What a namespace holds, without spans, counters and what the kernel orders as it likes."""
    devices = tuple(space.devices or ())
    routes = [r for r in space.routes or () if r.destination.version == 4]
    near = [n for n in space.neighbours or () if n.mac and n.address.version == 4]
    return {
        "devices": {(d.name, d.up, d.mtu) for d in devices},
        "addresses": {
            (d.name, str(a.address), a.prefix) for d in devices for a in d.addresses if a.address.version == 4
        },
        "routes": {
            (r.kind, r.destination, r.table, r.metric, tuple((h.device, h.gateway) for h in r.hops))
            for r in routes
        },
        "sources": {(r.destination, r.table, r.prefsrc) for r in routes if r.protocol == "kernel"},
        "rules": [(r.priority, r.table, r.src, r.fwmark) for r in space.rules or ()],
        "neighbours": {(n.address, n.device, n.mac) for n in near},
        "iptables": {
            (t.name, c.name): (c.policy, [_said(r) for r in c.rules])
            for t in space.iptables or ()
            for c in t.chains.values()
            if c.rules or c.policy != "ACCEPT"
        },
        "nft": {
            (t.family, t.name, c.name): (c.kind, c.hook, c.priority, c.policy, [_steps(r) for r in c.rules])
            for t in space.nft or ()
            for c in t.chains.values()
        },
        "sets": {
            (t.family, t.name, s.name): (s.key, s.data, frozenset((e.key, e.data) for e in s.elements))
            for t in space.nft or ()
            for s in t.sets.values()
        },
    }


def _said(rule: Rule) -> object:
    matches = frozenset((m.name, m.value, m.negate) for m in rule.matches)
    return matches, None if rule.target is None else (rule.target.name, dict(rule.target.options))


def _steps(rule: NftRule) -> object:
    return list(rule.statements)


@pytest.fixture
def name() -> Iterator[str]:
    found = f"bothways-test-{os.getpid()}-change"
    run("ip", "netns", "add", found)
    try:
        run("ip", "netns", "exec", found, "sh", "-ec", SETUP)
        yield found
    finally:
        run("ip", "netns", "delete", found, check=False)


@pytest.mark.parametrize("commands", CHANGES, ids=lambda commands: commands[-1][:60])
def test_the_dump_of_the_change_is_the_change_of_the_dump(name: str, commands: list[str]) -> None:
    site = Snapshot({"here": Host("here", {name: dumped(name)})})
    for command in commands:
        done = typed(name, command)
        assert done.returncode == 0, done.stderr
        site = apply_change(site, parse_change(f"here/{name}: {command}")).snapshot
    predicted = site.netns("here", name)
    assert predicted is not None

    real = told(dumped(name))
    for what, rows in told(predicted).items():
        assert rows == real[what], what


def test_what_the_command_refuses_is_refused(name: str) -> None:
    site = Snapshot({"here": Host("here", {name: dumped(name)})})
    for command in REFUSED:
        assert typed(name, command).returncode != 0, command
        with pytest.raises(NothingToChangeError):
            apply_change(site, parse_change(f"here/{name}: {command}"))


# -- Open vSwitch ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Private:
    """A switch that nobody else uses."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "OVS_RUNDIR": str(self.folder), "OVS_LOGDIR": str(self.folder)}

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """A daemon in a network namespace of its own."""
        return subprocess.Popen(
            ["unshare", "-n", *argv, "-vconsole:off"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    folder = tmp_path_factory.mktemp("ovs")
    own = Private(folder)
    database = f"unix:{folder}/db.sock"
    own.run("ovsdb-tool", "create", str(folder / "conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
    daemons = [own.start("ovsdb-server", str(folder / "conf.db"), f"--remote=p{database}")]
    try:
        deadline = time.monotonic() + 10
        while not (folder / "db.sock").exists():
            assert time.monotonic() < deadline, "ovsdb-server did not come up"
            time.sleep(0.02)
        daemons.append(own.start("ovs-vswitchd", database, "--enable-dummy", "--disable-system"))
        vsctl = ("ovs-vsctl", f"--db={database}", "--timeout=20")
        own.run(*vsctl, "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=dummy")
        yield own
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(10)


BRIDGE = "bw-change0"
FLOWS = [
    "table=0,priority=100,in_port=1,ip,nw_dst=192.0.2.7,actions=resubmit(,1)",
    "table=0,priority=100,ip,nw_dst=192.0.2.0/24,actions=resubmit(,1)",
    "table=0,priority=50,tcp,actions=NORMAL",
    "cookie=0x2,table=1,priority=100,tcp,nw_dst=192.0.2.7,tp_dst=22,actions=output:2",
    "cookie=0x2,table=1,priority=0,actions=drop",
    "cookie=0x3,table=2,priority=7,arp,arp_tpa=192.0.2.7,actions=IN_PORT",
    "table=2,priority=7,tun_id=0x43e,dl_dst=02:00:00:00:00:01,reg3=0x1,actions=drop",
]
PATTERNS = [
    "del-flows BR ip",
    "del-flows BR table=0",
    "del-flows BR ip,nw_dst=192.0.2.7",
    "del-flows BR ip,nw_dst=192.0.2.0/24",
    "del-flows BR ip,nw_dst=192.0.2.0/25",
    "del-flows BR tcp",
    "del-flows BR table=1,tcp",
    "del-flows BR in_port=1",
    "del-flows BR arp",
    "del-flows BR tun_id=0x43e",
    "del-flows BR reg3=0x1",
    "del-flows BR cookie=0x2/-1",
    "del-flows BR cookie=0x1/0x1",
    "--strict del-flows BR table=1,priority=0",
    "--strict del-flows BR table=0,priority=50,tcp",
    "--strict del-flows BR table=0,priority=100,ip,nw_dst=192.0.2.0/24",
    "mod-flows BR ip,actions=drop",
    "--strict mod-flows BR table=0,priority=50,tcp,actions=drop",
    "add-flow BR table=0,priority=50,tcp,actions=drop",
    "add-flow BR table=0,priority=51,tcp,actions=drop",
]


def shown(flows: tuple[Flow, ...]) -> set[tuple[object, ...]]:
    return {
        (
            f.table,
            f.priority,
            frozenset((t.field, t.value, t.mask) for t in f.match),
            tuple(a.name for a in f.actions),
        )
        for f in flows
    }


@pytest.mark.needs("ovs-vswitchd", "ovs-ofctl")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_flows_that_a_pattern_reaches(switch: Private, pattern: str) -> None:
    def flows() -> tuple[Flow, ...]:
        return parse_flows(switch.run("ovs-ofctl", "dump-flows", BRIDGE), file="f").rows

    switch.run("ovs-ofctl", "del-flows", BRIDGE)
    for flow in FLOWS:
        switch.run("ovs-ofctl", "add-flow", BRIDGE, flow)
    bridge = Bridge("here", BRIDGE, {}, Dump(flows(), "f"))
    site = Snapshot({"here": Host("here", {}, Switch("here", {BRIDGE: bridge}))})
    command = f"ovs-ofctl {pattern.replace('BR', BRIDGE)}"

    changed = apply_change(site, parse_change(f"here: {command}")).snapshot.hosts["here"].switch
    switch.run(*shlex.split(command))

    assert changed is not None
    predicted = changed.bridges[BRIDGE].flows
    assert predicted is not None
    assert shown(tuple(predicted)) == shown(flows())
