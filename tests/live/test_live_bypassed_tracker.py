"""
The kernel of this machine says what docs/causes/BW101.md says.

One namespace translates an address that it holds itself. A probe sends the segments of a handshake whose
SYN/ACK never passes, writes down what comes back outside and what is forwarded inside, and is gone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "iptables", "conntrack")]

CLIENT, FLOATING, MACHINE = "192.0.2.210", "192.0.2.223", "198.51.100.4"
OUTSIDE_MAC, INSIDE_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"

# Runs inside the probe's namespace: sends SYN, then the flags that it is told, and listens on both legs.
PROBE = r"""
import json, select, socket, struct, sys, time

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF

def segment(flags, seq, ack):
    tcp = struct.pack("!HHIIBBHHH", 17350, 22, seq, ack, 5 << 4, flags, 64240, 0, 0)
    pseudo = client + server + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, client, server)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return router + own + b"\x08\x00" + ip + tcp

def heard(wait):
    deadline, seen = time.monotonic() + wait, []
    while (left := deadline - time.monotonic()) > 0:
        for leg in select.select([outside, inside], [], [], left)[0]:
            frame, origin = leg.recvfrom(2048)
            if origin[2] == socket.PACKET_OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != 6:
                continue
            seen.append({"leg": origin[0], "source": socket.inet_ntoa(frame[26:30]),
                         "destination": socket.inet_ntoa(frame[30:34]), "flags": frame[47],
                         "seq": int.from_bytes(frame[38:42], "big")})
            return seen
    return seen

client, server = (socket.inet_aton(text) for text in sys.argv[1:3])
router, own = (bytes.fromhex(text.replace(":", "")) for text in sys.argv[3:5])
outside, inside = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in "ab")
outside.bind(("outside", 0))
inside.bind(("inside", 0))
outside.send(segment(0x02, 1000, 0))
answers = [heard(2)]
outside.send(segment(int(sys.argv[5]), 1001, 5001))
answers.append(heard(float(sys.argv[6])))
print(json.dumps(answers))
"""

SYN, RST, ACK = 0x02, 0x04, 0x10


class Router(NamedTuple):
    """The namespace that translates, and the one that probes it."""

    router: str
    probe: str

    def run(self, *argv: str) -> str:
        """Run a command in the router's namespace."""
        return run("ip", "netns", "exec", self.router, *argv)

    def shake(self, flags: int, wait: float = 2) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """Send SYN, then a segment with *flags*; what each one brought forth within *wait* seconds."""
        mac = json.loads(self.run("ip", "-j", "link", "show", "qg"))[0]["address"]
        argv = (CLIENT, FLOATING, mac, OUTSIDE_MAC, str(flags), str(wait))
        after_syn, after_next = json.loads(
            run("ip", "netns", "exec", self.probe, sys.executable, "-c", PROBE, *argv)
        )
        return after_syn, after_next


def run(*argv: str) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(argv[:8])}: {result.stderr}"
    return result.stdout


@pytest.fixture
def router() -> Iterator[Router]:
    """Make both namespaces; they are removed with everything in them."""
    site = Router(f"bothways-test-{os.getpid()}-router", f"bothways-test-{os.getpid()}-probe")
    for name in site:
        run("ip", "netns", "add", name)
    try:
        for leg, far, mac in (("qg", "outside", OUTSIDE_MAC), ("qr", "inside", INSIDE_MAC)):
            peer = ("peer", "name", far, "netns", site.probe, "address", mac)
            run("ip", "-n", site.router, "link", "add", leg, "type", "veth", *peer)
            run("ip", "-n", site.probe, "link", "set", far, "up")
            run("ip", "-n", site.router, "link", "set", leg, "up")
        run("ip", "-n", site.router, "address", "add", "192.0.2.222/24", "dev", "qg")
        run("ip", "-n", site.router, "address", "add", f"{FLOATING}/32", "dev", "qg")
        run("ip", "-n", site.router, "address", "add", "198.51.100.1/24", "dev", "qr")
        for device, address, mac in (("qg", CLIENT, OUTSIDE_MAC), ("qr", MACHINE, INSIDE_MAC)):
            run("ip", "-n", site.router, "neigh", "add", address, "lladdr", mac, "dev", device)
        site.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        site.run(
            "iptables",
            "-t",
            "nat",
            "-A",
            "PREROUTING",
            "-d",
            FLOATING,
            "-j",
            "DNAT",
            "--to-destination",
            MACHINE,
        )
        yield site
    finally:
        for name in site:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def test_an_ack_whose_syn_ack_went_elsewhere_is_reset_by_the_tracker_itself(router: Router) -> None:
    after_syn, after_ack = router.shake(ACK)

    (syn,) = after_syn
    assert (syn["leg"], syn["destination"], syn["flags"]) == ("inside", MACHINE, SYN)
    (reset,) = after_ack
    assert (reset["leg"], reset["source"], reset["flags"]) == ("outside", FLOATING, RST)
    assert reset["seq"] == 5001, "the number that the ACK asked for: RFC 9293, 3.10.7.1"
    entry = router.run("conntrack", "-L", "-p", "tcp")
    assert "SYN_SENT" in entry
    assert "[UNREPLIED]" in entry
    assert sum(int(word[8:]) for word in router.run("conntrack", "-S").split() if word[:8] == "invalid=") > 0


def test_a_rst_is_valid_there_and_is_translated(router: Router) -> None:
    _, (reset,) = router.shake(RST)
    assert (reset["leg"], reset["destination"], reset["flags"]) == ("inside", MACHINE, RST)


@pytest.mark.parametrize(
    "remedy",
    [
        "sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1",
        "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0",
        "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP",
    ],
)
def test_what_does_not_help(router: Router, remedy: str) -> None:
    router.run(*remedy.split())
    _, (reset,) = router.shake(ACK)
    assert (reset["source"], reset["flags"]) == (FLOATING, RST)


def test_dropping_invalid_in_input_makes_a_hang_of_it(router: Router) -> None:
    router.run(*["iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"])
    _, nothing = router.shake(ACK, wait=0.5)
    assert nothing == []


def test_notrack_means_untranslated_and_refused(router: Router) -> None:
    router.run(*f"iptables -t raw -A PREROUTING -d {FLOATING} -j CT --notrack".split())
    (refused,), _ = router.shake(ACK)
    assert (refused["leg"], refused["source"], refused["flags"]) == ("outside", FLOATING, RST | ACK)
