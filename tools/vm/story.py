"""
What each tier of the tracer tells of packets whose fate is known.

    story.py RESULT.json [TIER ...]

It is run as root, in a virtual machine or anywhere. Three namespaces are made: a client, a router that
translates a floating address and drops or rejects two ports, and a server. Two more hang at a bridge of Open
vSwitch with the kernel's datapath, where there is one. Each tier watches the same packets, and what it says
of them is put beside what is known.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "src"
PREFIX = "bwv"
CLIENT, ROUTER, SERVER, LEFT, RIGHT = (PREFIX + each for each in ("c", "r", "s", "a", "b"))
QR, QG = f"qr-{PREFIX}", f"qg-{PREFIX}"
FLOATING, SERVED = "10.88.1.100", "10.88.2.2"
TIERS = ("fentry", "kprobe", "raw_tracepoint", "tracefs")
AUTHOR = ("netns", "device", "function", "reason")
SENDERS = ("tcp_v4_send_reset", "nf_send_reset")
PATIENCE = 180.0  # seconds; a virtual machine in software is slow
RULES = """
table ip story {
  chain in { type nat hook prerouting priority dstnat; ip daddr 10.88.1.100 tcp dport 22 dnat to 10.88.2.2; }
  chain out { type nat hook postrouting priority srcnat; }
  chain through {
    type filter hook forward priority 0
    tcp dport 7777 reject with tcp reset
    tcp dport 8888 drop
    ct state invalid drop
  }
}
"""
MODULES = (
    "veth",
    "nf_conntrack",
    "nf_tables",
    "nft_ct",
    "nft_reject_ipv4",
    "nft_chain_nat",
    "nf_nat",
    "openvswitch",
    "vxlan",
)

Event = dict[str, Any]


def do(line: str, *, check: bool = True, **extra: Any) -> int:
    """Run a command line; say what failed."""
    ended = subprocess.run(line.split(), capture_output=True, text=True, check=False, **extra)
    if ended.returncode and check:
        print(f"{line}: {ended.stderr.strip()}", flush=True)
    return ended.returncode


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Go into a namespace for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, 0x40000000):
            raise OSError(ctypes.get_errno(), f"cannot go into {namespace}")
        yield
    finally:
        libc.setns(home, 0x40000000)
        os.close(there)
        os.close(home)


def build() -> None:
    """Make the namespaces."""
    for name in (CLIENT, ROUTER, SERVER):
        do(f"ip netns add {name}")
        do(f"ip -n {name} link set lo up")
    do(f"ip link add {PREFIX}c0 netns {CLIENT} type veth peer name {QR} netns {ROUTER}")
    do(f"ip link add {PREFIX}s0 netns {SERVER} type veth peer name {QG} netns {ROUTER}")
    for name, device, address in (
        (CLIENT, f"{PREFIX}c0", "10.88.1.2"),
        (ROUTER, QR, "10.88.1.1"),
        (SERVER, f"{PREFIX}s0", SERVED),
        (ROUTER, QG, "10.88.2.1"),
    ):
        do(f"ip -n {name} address add {address}/24 dev {device}")
        do(f"ip -n {name} link set {device} up")
    do(f"ip -n {CLIENT} route add default via 10.88.1.1")
    do(f"ip -n {SERVER} route add default via 10.88.2.1")
    do(f"ip -n {ROUTER} address add {FLOATING}/32 dev {QR}")
    do(f"ip netns exec {ROUTER} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0")
    do(f"ip netns exec {ROUTER} nft -f -", input=RULES)
    do(f"ip netns exec {ROUTER} sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0")
    do(f"ip netns exec {CLIENT} ping -c 1 -W 5 {SERVED}")


def build_switch() -> bool:
    """Make a bridge of the kernel's Open vSwitch, and two namespaces at it; whether that went."""
    if not Path("/sys/module/openvswitch").exists() or do("which ovs-vswitchd", check=False):
        return False
    folder = Path("/run/openvswitch")
    folder.mkdir(exist_ok=True)
    base = Path("/tmp/bothways-story")  # noqa: S108  a guest's own
    base.mkdir(exist_ok=True)
    database = base / "conf.db"
    do(f"ovsdb-tool create {database} /usr/share/openvswitch/vswitch.ovsschema")
    detached = "--detach --no-chdir"
    server = f"ovsdb-server {database} --remote=punix:{folder}/db.sock"
    do(f"{server} --pidfile={base}/db.pid {detached} --log-file={base}/db.log")
    do("ovs-vsctl --no-wait init")
    do(f"ovs-vswitchd --pidfile={base}/vs.pid {detached} --log-file={base}/vs.log")
    if do("ovs-vsctl --timeout=90 add-br bwv-br"):
        return False
    for name, device, address in ((LEFT, "bwva0", "10.89.0.1"), (RIGHT, "bwvb0", "10.89.0.2")):
        do(f"ip netns add {name}")
        do(f"ip link add {device} netns {name} type veth peer name {device}p")
        do(f"ip -n {name} address add {address}/24 dev {device}")
        do(f"ip -n {name} link set {device} up")
        do(f"ip link set {device}p up")
        do(f"ovs-vsctl --timeout=60 add-port bwv-br {device}p")
    do("ovs-ofctl add-flow bwv-br priority=9,tcp,tp_dst=9999,actions=drop")
    do("ovs-ofctl add-flow bwv-br priority=1,actions=normal")
    do(f"ip netns exec {LEFT} ping -c 2 -W 5 10.89.0.2")
    return True


def clear() -> None:
    """Take everything away again."""
    for name in (CLIENT, ROUTER, SERVER, LEFT, RIGHT):
        if Path(f"/run/netns/{name}").exists():
            do(f"ip netns delete {name}", check=False)
    for name in ("vs", "db"):
        with suppress(OSError, ValueError):
            os.kill(int(Path(f"/tmp/bothways-story/{name}.pid").read_text()), 15)  # noqa: S108  a guest's own


def connect(address: str, port: int, namespace: str = CLIENT) -> None:
    """Try a TCP connection."""
    with inside(namespace), socket.socket() as one:
        one.settimeout(2)
        with suppress(OSError):
            one.connect((address, port))


def bare_ack() -> None:
    """Send an ACK for which no tracker has an entry to the floating address: the incident's."""
    with inside(CLIENT), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.bind(("10.88.1.2", 0))
        head = struct.pack("!HHIIBBHHH", 17350, 22, 1000, 2000, 5 << 4, 16, 512, 0, 0)
        ends = socket.inet_aton("10.88.1.2") + socket.inet_aton(FLOATING)
        words = struct.unpack("!16H", ends + struct.pack("!BBH", 0, 6, len(head)) + head)
        total = sum(words)
        total = (total & 0xFFFF) + (total >> 16)
        total = ~(total + (total >> 16)) & 0xFFFF
        raw.sendto(head[:16] + struct.pack("!H", total) + head[18:], (FLOATING, 0))


#: what is tried
STORIES: dict[str, Callable[[], None]] = {
    "closed-port": lambda: connect(SERVED, 9),
    "bare-ack": bare_ack,
    "nft-reject": lambda: connect(SERVED, 7777),
    "nft-drop": lambda: connect(SERVED, 8888),
    "ovs-drop": lambda: connect("10.89.0.2", 9999, LEFT),
}


def watch(tier: str, stories: list[str]) -> tuple[list[Event], str]:
    """Run one tier while the stories happen; its lines, and what it said on standard error."""
    terms = [{"host": "10.88.1.2/32"}, {"host": "10.89.0.1/32"}]
    probe = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bothways.trace.probe",
            "trace",
            "--tier",
            tier,
            "--stdin-close-stops",
            "--filter",
            json.dumps(terms),
            "--timeout",
            str(PATIENCE),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert probe.stdout is not None  # noqa: S101  both were asked for
    assert probe.stdin is not None  # noqa: S101
    lines: list[Event] = []
    for text in probe.stdout:  # the probe's own --timeout ends it where it never is ready
        lines.append(json.loads(text))
        if lines[-1]["type"] in {"ready", "problem"}:
            break
    if any(line["type"] == "ready" for line in lines):
        for name in stories:
            STORIES[name]()
            time.sleep(1.0)
    probe.stdin.close()
    lines += [json.loads(text) for text in probe.stdout]
    assert probe.stderr is not None  # noqa: S101
    said = probe.stderr.read().decode(errors="replace").strip()
    probe.wait()
    return lines, said


def of_port(events: list[Event], port: int) -> list[Event]:
    """Events of packets to or from a port."""
    return [
        each
        for each in events
        if isinstance(each.get("packet"), dict)
        and port in (each["packet"]["source_port"], each["packet"]["destination_port"])
    ]


def first(events: list[Event], **wanted: Any) -> Event:
    """Find the first event with these values; an empty one if there is none."""
    return next((each for each in events if all(each.get(key) == value for key, value in wanted.items())), {})


def found(event: Event, *keys: str) -> dict[str, Any]:
    """Some values of an event."""
    return {key: event.get(key) for key in keys} if event else {}


def reset_author(events: list[Event]) -> tuple[Event, dict[str, Any]]:
    """The event that tells who sent a reset, and what it tells; a tier may show its transmission alone."""
    sent = first(events, event="rst-sent")
    if sent:
        return sent, found(sent, *AUTHOR)
    for each in events:
        by = next((name for name in map(plain, each.get("stack") or ()) if name in SENDERS), None)
        if by is not None and each["event"] == "xmit" and each.get("provoked_by") is not None:
            told = {**found(each, *AUTHOR), "function": by, "by": "its transmission"}
            return {**each, "packet_id": each["provoked_by"]}, told
    return {}, {}


def plain(frame: str) -> str:
    """A frame of a stack without its offset."""
    return frame.partition("+")[0]


def tracker(events: list[Event], packet: int | None) -> str | None:
    """What a tier tells of the tracker's answer: INVALID if any says so, else the last."""
    said = [
        (each.get("conntrack") or {}).get("info")
        for each in events
        if each["event"] == "conntrack" and each.get("packet_id") == packet
    ]
    known = [each for each in said if each]
    return "INVALID" if "INVALID" in known else known[-1] if known else None


def inferred(lines: list[Event], port: int) -> dict[str, Any]:
    """What the account infers of packets to a port: no event tells it."""
    sys.path.insert(0, str(SOURCE))
    from bothways.correlate.kernel_account import account  # noqa: PLC0415  of this tree, and needed here alone
    from bothways.parse.kernel_event import parse_kernel_trace  # noqa: PLC0415
    from bothways.parse.kernel_trace import runs_of  # noqa: PLC0415

    text = "".join(json.dumps(line) + "\n" for line in lines)
    for deed in account(runs_of(parse_kernel_trace(text, file="").rows, file="")).deeds:
        packet = deed.event.packet
        ends = None if packet is None else packet.packet.destination
        if deed.inferred and not deed.aside and ends is not None and ends.port == port:
            return {"netns": deed.event.netns, "device": deed.event.device, "function": deed.function}
    return {}


def judge(lines: list[Event], events: list[Event]) -> dict[str, Any]:
    """Say what a tier tells of each story."""
    told: dict[str, Any] = {}
    told["closed-port"] = {"author": reset_author(of_port(events, 9))[1]}
    bare = of_port(events, 17350)
    reset, author = reset_author(bare)
    ack = reset.get("packet_id")
    told["bare-ack"] = {
        "author": author,
        "the answer is linked to the ACK": any(each.get("provoked_by") == ack for each in events)
        if ack
        else False,
        "tracker": tracker(bare, ack),
        "delivered locally": bool(first(bare, event="local-deliver", packet_id=ack)),
        "forwarded": bool(first(bare, event="forward", packet_id=ack)),
        "translated": any(each.get("before") for each in bare if each.get("packet_id") == ack),
        "stack": (reset.get("stack") or [])[:6],
    }
    rejected = reset_author(of_port(events, 7777))[1]
    unnamed = first(events, event="rst-sent", function="nf_send_reset")  # where its headers are not told
    told["nft-reject"] = {"author": rejected or found(unnamed, *AUTHOR)}
    dropped = first(of_port(events, 8888), event="drop") or first(
        [each for each in events if each.get("packet") is None], event="drop", reason="NETFILTER_DROP"
    )
    hook = first(of_port(events, 8888), event="hook", verdict="DROP")
    told["nft-drop"] = {
        "drop": found(dropped, *AUTHOR, "location"),
        "hook": found(hook, "netns", "hook", "verdict"),
    }
    switch = of_port(events, 9999)
    told["ovs-drop"] = {
        "events": sorted({each["event"] for each in switch}),
        "drop": found(first(switch, event="drop"), *AUTHOR, "reason_subsystem", "location"),
        "inferred": inferred(lines, 9999),
    }
    return told


def main(result: str, *tiers: str) -> None:
    """Run every tier and write what it told."""
    for module in MODULES:
        do(f"modprobe {module}", check=False)
    Path("/run/netns").mkdir(exist_ok=True)
    if "--guest" in tiers:
        do("mount -t tmpfs tmpfs /run/netns")
    asked = [each for each in tiers if not each.startswith("-")] or list(TIERS)
    clear()
    build()
    switched = "--guest" in tiers and build_switch()  # a switch of this machine is left alone
    stories = list(STORIES) if switched else [name for name in STORIES if name != "ovs-drop"]
    answer: dict[str, Any] = {"kernel": platform.release(), "tiers": {}}
    try:
        for tier in asked:
            began = time.monotonic()
            lines, said = watch(tier, stories)
            start = next((line for line in lines if line["type"] == "start"), {})
            stop = next((line for line in lines if line["type"] == "stop"), {})
            events = [line for line in lines if line["type"] == "event"]
            answer["tiers"][tier] = {
                "used": start.get("tier"),
                "ready_after_s": next(
                    (line.get("seconds") for line in lines if line["type"] == "ready"), None
                ),
                "took_s": round(time.monotonic() - began, 1),
                "probes": sum(1 for each in start.get("probes", ()) if each["attached"]),
                "not_attached": {
                    each["probe"]: each["why_not"] for each in start.get("probes", ()) if not each["attached"]
                },
                "problems": [line.get("text") for line in lines if line["type"] == "problem"],
                "events": len(events),
                "lost": stop.get("lost"),
                "told": judge(lines, events),
                "said": said[-2000:],
            }
            Path(result).write_text(json.dumps(answer, indent=1) + "\n")
            Path(result).with_suffix(f".{tier}.jsonl").write_text(
                "".join(json.dumps(line) + "\n" for line in lines)
            )
            print(f"{tier}: {len(events)} events", flush=True)
    finally:
        clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
