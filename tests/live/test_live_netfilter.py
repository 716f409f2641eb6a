"""
The kernel of this machine and `model/linux` make the same of the same packet.

A namespace routes between two wires. For every case it gets rules and sysctls; a probe on the other ends
of the wires sends one segment and tells what comes out. The model gets dumps and the same segment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import pytest

from bothways.facts.address import Mac, address
from bothways.facts.choice import Assumption, Freedom
from bothways.facts.dump import Dump
from bothways.facts.nft import NftTable
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.stack import Stack
from bothways.parse.ip_json import parse_addr, parse_route, parse_rule
from bothways.parse.iptables import parse_iptables
from bothways.parse.nft_text import parse_nft
from bothways.parse.ss import parse_ss
from bothways.parse.sysctl import parse_sysctl

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "iptables")]

CLIENT, FLOATING, MACHINE = "192.0.2.210", "192.0.2.223", "198.51.100.4"
OUTSIDE_MAC, INSIDE_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"

# Runs in the probe's namespace: a segment per line of standard input, what came of it per line of output.
PROBE = r"""
import json, select, socket, struct, sys, time

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF

def segment(case):
    client, server = (socket.inet_aton(case[end]) for end in ("source", "destination"))
    ports = case["sport"], case["dport"]
    tcp = struct.pack("!HHIIBBHHH", *ports, 1000, 5001, 5 << 4, case["flags"], 64240, 0, 0)
    pseudo = client + server + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, case["ttl"], 6, 0, client, server)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    frame = bytes.fromhex((case["to"] + case["from"]).replace(":", "")) + b"\x08\x00" + ip + tcp
    return frame

def told(frame, leg):
    ends = [socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])]
    if frame[23] == 1:
        return [leg, *ends, "icmp", frame[34], frame[35]]
    return [leg, *ends, "tcp", *struct.unpack("!HHI", frame[34:42]), frame[47]]

legs = {}
for name in ("outside", "inside"):
    legs[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    legs[name].bind((name, 0))
for line in sys.stdin:
    case = json.loads(line)
    for leg in legs.values():
        while select.select([leg], [], [], 0)[0]:
            leg.recv(2048)
    legs[case["leg"]].send(segment(case))
    seen, deadline = None, time.monotonic() + 0.25
    while seen is None and (left := deadline - time.monotonic()) > 0:
        for leg in select.select(list(legs.values()), [], [], left)[0]:
            frame, origin = leg.recvfrom(2048)
            if origin[2] != socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[23] in (1, 6):
                seen = told(frame, origin[0])
    print(json.dumps(seen), flush=True)
"""

SYN, RST, ACK = Flag.SYN, Flag.RST, Flag.ACK


@dataclass(frozen=True)
class Case:
    """Rules by table, sysctls, native nft tables, and the segments that are sent one after the other."""

    name: str
    rules: str = ""
    sysctls: tuple[str, ...] = ()
    flags: Sequence[Flag] = (SYN,)
    destination: str = MACHINE
    source: str = CLIENT
    port: int = 22
    ttl: int = 64
    leg: str = "outside"
    nft: str = ""


DNAT = f"-t nat -A PREROUTING -d {FLOATING} -j DNAT --to-destination {MACHINE}"
MARKED = "-t mangle -A PREROUTING -j MARK --set-xmark 0x2/0xffff"


def own(
    rules: str,
    hook: str = "forward",
    priority: str = "0",
    *,
    kind: str = "filter",
    policy: str = "accept",
    other: str = "",
) -> str:
    """A native nft table with one chain on a hook."""
    head = f"type {kind} hook {hook} priority {priority}; policy {policy};"
    lines = rules.replace("; ", "\n")
    return f"table ip own {{\nchain c {{\n{head}\n{lines}\n}}\n{other}\n}}\n"


def second(priority: str, rule: str) -> str:
    """One more chain on the same hook."""
    return f"chain d {{\ntype filter hook forward priority {priority};\n{rule}\n}}"


EARLY = {"hook": "prerouting", "priority": "-310"}
CASES = [
    Case("forwarded"),
    Case("for itself, nobody listens", destination=FLOATING),
    Case("an ACK for itself", destination=FLOATING, flags=(ACK,)),
    Case("a RST for itself", destination=FLOATING, flags=(RST,)),
    Case("forwarding is off", sysctls=("net.ipv4.ip_forward=0",)),
    Case("ttl ends", ttl=1),
    Case("no route", destination="203.0.113.9"),
    Case("dropped", "-A FORWARD -p tcp --dport 22 -j DROP"),
    Case("another port is not dropped", "-A FORWARD -p tcp --dport 23 -j DROP"),
    Case("reset by a rule", "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"),
    Case("a RST that a rule rejects", "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset", flags=(RST,)),
    Case("rejected by icmp", "-A FORWARD -j REJECT --reject-with icmp-admin-prohibited"),
    Case("rejected in input", "-A INPUT -j REJECT", destination=FLOATING),
    Case("reset behind DNAT", f"{DNAT}\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset",
         destination=FLOATING),
    Case("icmp behind DNAT", f"{DNAT}\n-A FORWARD -j REJECT", destination=FLOATING),
    Case("ttl ends behind DNAT", DNAT, destination=FLOATING, ttl=1),
    Case("translated", DNAT, destination=FLOATING),
    Case("bypassed", DNAT, destination=FLOATING, flags=(SYN, ACK)),
    Case("the clients rst", DNAT, destination=FLOATING, flags=(SYN, RST)),
    Case("picked up in the middle", DNAT, destination=FLOATING, flags=(ACK,)),
    Case("a synack without a syn", DNAT, flags=(SYN | ACK,)),
    Case("notrack", f"{DNAT}\n-t raw -A PREROUTING -d {FLOATING} -j CT --notrack", destination=FLOATING),
    Case("invalid dropped", f"{DNAT}\n-A INPUT -m conntrack --ctstate INVALID -j DROP", destination=FLOATING,
         flags=(SYN, ACK)),
    Case("new dropped", "-A FORWARD -m conntrack --ctstate NEW -j DROP"),
    Case("translated to a port", DNAT.replace("-d ", "-p tcp -d ", 1) + ":2222", destination=FLOATING),
    Case("dnat and masquerade", f"{DNAT}\n-t nat -A POSTROUTING -o qr -j MASQUERADE", destination=FLOATING),
    Case("snat from inside", "-t nat -A POSTROUTING -o qg -j SNAT --to-source 192.0.2.222", leg="inside",
         source=MACHINE, destination=CLIENT),
    Case("redirect", "-t nat -A PREROUTING -d 203.0.113.9 -p tcp --dport 22 -j REDIRECT --to-ports 9697",
         destination="203.0.113.9"),
    Case("a chain that returns",
         "-N one\n-A FORWARD -j one\n-A FORWARD -j DROP\n-A one -j RETURN\n-A one -j ACCEPT"),
    Case("goto does not come back", "-N one\n-N two\n-A FORWARD -j one\n-A FORWARD -j REJECT\n-A one -g two\n"
         "-A one -j ACCEPT\n-A two -p udp -j DROP"),
    Case("a goto from the hook ends in the policy", "-N one\n-A FORWARD -g one\n-A FORWARD -j DROP"),
    Case("marks", f"{MARKED}\n-A FORWARD -m mark --mark 0x2/0xffff -j DROP"),
    Case("xor of marks", f"{MARKED}\n-t mangle -A PREROUTING -j MARK --xor-mark 0x3\n"
         "-A FORWARD -m mark --mark 0x1 -j DROP"),
    Case("and of marks", f"{MARKED}\n-t mangle -A PREROUTING -j MARK --and-mark 0x1\n"
         "-A FORWARD -m mark --mark 0x0 -j DROP"),
    Case("set-mark with a mask", "-t mangle -A PREROUTING -j MARK --set-mark 0xff\n"
         "-t mangle -A PREROUTING -j MARK --set-mark 0x110/0xf\n-A FORWARD -m mark --mark 0x1f0 -j DROP"),
    Case("no connmark without a connection",
         f"{DNAT}\n-t mangle -A PREROUTING -m connmark ! --mark 0x1 -j DROP",
         flags=(SYN | ACK,)),
    Case("in at postrouting", "-t mangle -N x\n-t mangle -A POSTROUTING -j x\n-t mangle -A x -i qg -j DROP"),
    Case("flags", "-A FORWARD -p tcp --tcp-flags SYN,ACK SYN,ACK -j DROP\n-A FORWARD -p tcp --syn -j REJECT"),
    Case("multiport", "-A FORWARD -p tcp -m multiport ! --dports 80,443 -j DROP"),
    Case("addrtype", "-A INPUT -m addrtype --dst-type LOCAL -j DROP", destination=FLOATING),
    Case("addrtype not local", "-t raw -A PREROUTING -m addrtype ! --dst-type LOCAL -j DROP"),
    Case("physdev", "-A FORWARD -m physdev ! --physdev-is-bridged -j DROP"),
    Case("physdev in", "-A FORWARD -m physdev --physdev-in x -j DROP"),
    Case("the reverse path", sysctls=("net.ipv4.conf.all.rp_filter=1",), source="198.51.100.77"),
    Case("the reverse path, loose", sysctls=("net.ipv4.conf.all.rp_filter=2",), source="198.51.100.77"),
    Case("the reverse path, by a rule",
         "-t raw -A PREROUTING -m rpfilter --invert -j DROP", source="198.51.100.77"),
    Case("a sender that is its own", source="192.0.2.222"),
    Case("nft drops", nft=own("tcp dport 22 drop")),
    Case("nft drops another port", nft=own("tcp dport { 23, 80-90 } drop")),
    Case("nft drops no udp", nft=own("udp dport != 53 drop")),
    Case("nft accepts and iptables drops", "-A FORWARD -j DROP", nft=own("accept")),
    Case("nft accepts in one chain of two", nft=own("accept", other=second("5", "drop"))),
    Case("of two chains of the same priority, the one marks",
         nft=own("meta mark 0x7 drop", other=second("0", "meta mark set 0x7"))),
    Case("of two chains of the same priority, the other marks",
         nft=own("meta mark set 0x7", other=second("0", "meta mark 0x7 drop"))),
    Case("nft policy", nft=own("", policy="drop")),
    Case("nft return from the hook", nft=own("return", policy="drop")),
    Case("nft jump comes back", nft=own("jump one; drop", other="chain one {\nudp dport 1 accept\n}")),
    Case("nft goto does not", nft=own("goto one; drop", other="chain one {\nudp dport 1 accept\n}")),
    Case("nft return from a jump", nft=own("jump one; drop", other="chain one {\nreturn\n}")),
    Case("nft resets", nft=own("reject with tcp reset")),
    Case("nft rejects", nft=own("reject with icmp type admin-prohibited")),
    Case("nft marks before iptables asks", "-A FORWARD -m mark --mark 0x7 -j DROP",
         nft=own("meta mark set 0x7", **EARLY)),
    Case("nft writes before it asks", destination=FLOATING,
         nft=own(f"ip daddr {FLOATING} ip daddr set {MACHINE}; ip daddr {FLOATING} drop", **EARLY)),
    Case("nft has written when a later condition fails", destination=FLOATING,
         nft=own(f"ip daddr {FLOATING} ip daddr set {MACHINE} tcp dport 9 accept", **EARLY)),
    Case("translated by nft without a tracker", destination=FLOATING, flags=(SYN, ACK),
         nft=own(f"ip daddr {FLOATING} notrack ip daddr set {MACHINE}", **EARLY)),
    Case("a port written by nft", nft=own("tcp dport 22 tcp dport set 2222", **EARLY)),
    Case("nft takes it out of tracking, so DNAT is not asked", DNAT, destination=FLOATING,
         nft=own("notrack", **EARLY)),
    Case("nft too late to take it out of tracking", DNAT, destination=FLOATING,
         nft=own("notrack", hook="prerouting", priority="-150")),
    Case("translated by nft", destination=FLOATING, flags=(SYN, ACK),
         nft=own(f"ip daddr {FLOATING} dnat to {MACHINE}", "prerouting", "dstnat", kind="nat")),
    Case("iptables has translated before nft is asked", DNAT.replace("-d ", "-p tcp -d ", 1) + ":2222",
         destination=FLOATING,
         nft=own(f"ip daddr {FLOATING} dnat to {MACHINE}", "prerouting", "dstnat + 5", kind="nat")),
    Case("masqueraded by nft", leg="inside", source=MACHINE, destination=CLIENT,
         nft=own('oifname "qg" masquerade', "postrouting", "srcnat", kind="nat")),
    Case("nft asks for the state", nft=own("ct state new drop")),
    Case("nft drops what is invalid", DNAT, destination=FLOATING, flags=(SYN, ACK),
         nft=own("ct state invalid drop", "input")),
]  # fmt: skip


class Silent:
    """An oracle for a world in which everything was collected."""

    def choose(
        self,
        key: str,
        options: object,
        *,
        freedom: Freedom,
        recorded: str | None = None,
        evidence: tuple[Span, ...] = (),
    ) -> str:
        raise AssertionError((key, options, freedom, recorded, evidence))

    def assume(self, assumption: Assumption) -> None:
        """Defaults of the tracker may be assumed."""


def run(*argv: str) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(argv[:9])}: {result.stderr}"
    return result.stdout


@dataclass(frozen=True)
class Site:
    """The namespace under test, the probe's, and the probe's two pipes."""

    router: str
    probe: str
    space: Netns
    questions: IO[str]
    answers: IO[str]

    def run(self, *argv: str) -> str:
        return run("ip", "netns", "exec", self.router, *argv)

    def load(self, case: Case) -> None:
        """Replace all rules and sysctls by those of a case."""
        rules: dict[str, list[str]] = {table: [] for table in ("raw", "mangle", "nat", "filter")}
        for line in case.rules.splitlines():
            words = line.split()
            table = words[1] if words[0] == "-t" else "filter"
            rules[table].append(" ".join(words[2:] if words[0] == "-t" else words))
        blocks = ["\n".join([f"*{table}", *lines, "COMMIT"]) for table, lines in rules.items()]
        text = "\n".join([*blocks, ""])
        argv: tuple[str, ...] = ("ip", "netns", "exec", self.router, "iptables-restore")
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if shutil.which("nft") is not None:
            script = "table ip own\ndelete table ip own\n" + case.nft
            argv = (*argv[:4], "nft", "-f", "-")
            done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", *case.sysctls)

    def dumped(self) -> Netns:
        sysctls = [
            f"net.ipv4.conf.{device}.{name}"
            for device in ("all", "qg", "qr")
            for name in ("rp_filter", "forwarding", "accept_local", "route_localnet", "src_valid_mark")
        ]
        listed = self.run("nft", "list", "ruleset") if shutil.which("nft") is not None else ""
        native = tuple(r for r in parse_nft(listed, file="nft").rows if isinstance(r, NftTable))
        return replace(
            self.space,
            nft=Dump(native, "nft"),
            iptables=Dump(parse_iptables(self.run("iptables-save"), file="iptables").rows, "iptables"),
            sysctls=Dump(
                parse_sysctl(self.run("sysctl", "net.ipv4.ip_forward", *sysctls), file="s").rows, "s"
            ),
        )

    def ask(self, **case: object) -> list[object] | None:
        self.questions.write(json.dumps(case) + "\n")
        self.questions.flush()
        answer: list[object] | None = json.loads(self.answers.readline())
        return answer


def still(name: str) -> Netns:
    """What no case changes of the namespace."""

    def ip(*argv: str) -> str:
        return run("ip", "-n", name, *argv)

    sockets = run("ip", "netns", "exec", name, "ss", "-tln")
    return Netns(
        "here",
        name,
        devices=Dump(parse_addr(ip("-d", "-j", "address"), file="addr.json").rows, "addr.json"),
        routes=Dump(parse_route(ip("-j", "route", "show", "table", "all"), file="r").rows, "r"),
        rules=Dump(parse_rule(ip("-j", "rule"), file="rule.json").rows, "rule.json"),
        sockets=Dump(parse_ss(sockets, file="ss.txt").rows, "ss.txt"),
    )


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    router, probe = f"bothways-test-{os.getpid()}-hooks", f"bothways-test-{os.getpid()}-wires"
    process = None
    for name in (router, probe):
        run("ip", "netns", "add", name)
    try:
        for leg, far, mac in (("qg", "outside", OUTSIDE_MAC), ("qr", "inside", INSIDE_MAC)):
            peer = ("peer", "name", far, "netns", probe, "address", mac)
            run("ip", "-n", router, "link", "add", leg, "type", "veth", *peer)
            run("ip", "-n", probe, "link", "set", far, "up")
            run("ip", "-n", router, "link", "set", leg, "up")
        for held, leg in (("192.0.2.222/24", "qg"), (f"{FLOATING}/32", "qg"), ("198.51.100.1/24", "qr")):
            run("ip", "-n", router, "address", "add", held, "dev", leg)
        neighbours = (
            (CLIENT, "qg", OUTSIDE_MAC),
            (MACHINE, "qr", INSIDE_MAC),
            ("198.51.100.77", "qr", INSIDE_MAC),
        )
        for held, leg, mac in neighbours:
            run("ip", "-n", router, "neigh", "add", held, "lladdr", mac, "dev", leg)
        run("ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.icmp_ratemask=0")
        process = subprocess.Popen(
            ["ip", "netns", "exec", probe, sys.executable, "-c", PROBE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        yield Site(router, probe, still(router), process.stdin, process.stdout)
    finally:
        if process is not None:
            process.terminate()
            process.wait(5)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        for name in (router, probe):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def modelled(stack: Stack, device: str, packet: Packet) -> list[object] | None:
    """What comes out of the model, in the probe's words."""
    passage = stack.receive(device, packet, 0)
    assert passage.unknown == ()
    if not passage.transmissions:
        return None
    (sent,) = passage.transmissions
    ip, tcp, icmp = sent.packet.ip, sent.packet.tcp, sent.packet.icmp
    assert ip is not None
    ends = [{"qg": "outside", "qr": "inside"}[sent.device], str(ip.src), str(ip.dst)]
    if icmp is not None:
        return [*ends, "icmp", icmp.type, icmp.code]
    assert tcp is not None
    return [*ends, "tcp", tcp.sport, tcp.dport, tcp.seq, tcp.flags.value]


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES])
def test_the_kernel_and_the_model_agree(site: Site, number: int, case: Case) -> None:
    if case.nft and shutil.which("nft") is None:
        pytest.skip("this machine lacks nft")
    site.load(case)
    space = site.dumped()
    device = "qg" if case.leg == "outside" else "qr"
    found = space.device(device)
    assert found is not None
    stack = Stack(space, oracle=Silent(), kernel=os.uname().release)
    sender = OUTSIDE_MAC if case.leg == "outside" else INSIDE_MAC
    # A port of its own for every case: entries of the kernel's tracker outlive the rules.
    sport = 20000 + number
    for flags in case.flags:
        real = site.ask(
            leg=case.leg,
            source=case.source,
            destination=case.destination,
            sport=sport,
            dport=case.port,
            flags=flags.value,
            ttl=case.ttl,
            to=found.mac,
            **{"from": sender},
        )
        packet = Packet(
            Ethernet(Mac(sender), found.mac),
            ip=Ip(address(case.source), address(case.destination), TCP, ttl=case.ttl),
            tcp=Tcp(sport, case.port, flags, 1000, 5001, 64240, 0, checksum_ok=True),
            length=54,
        )
        assert modelled(stack, device, packet) == real
