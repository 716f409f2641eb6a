"""
Lines of the tracer for tests: small stories, written as a kernel part would write them.

The story is that of a bare ACK for a translated address: the SYN is translated and routed on, the reply
passes elsewhere, and the ACK meets the router's own stack, which answers with a RST.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bothways.facts.kernel_trace import KernelTrace
from bothways.parse.kernel_event import parse_kernel_trace
from bothways.parse.kernel_trace import runs_of

CLIENT, NAME, SERVER = "192.0.2.10", "192.0.2.100", "10.0.0.4"
SPORT, DPORT = 17350, 22
ROUTER = "qrouter-1"
START_NS = 5_000_000_000
WALL_NS = 1_700_000_000_000_000_000

FORWARDED = [
    "dev_hard_start_xmit+0x91",
    "__dev_queue_xmit+0x3f1",
    "ip_finish_output2+0x2c1",
    "ip_forward+0x121",
    "ip_rcv+0x10",
    "__netif_receive_skb_one_core+0x8b",
    "process_backlog+0x85",
]
RESET = [
    "tcp_v4_send_reset+0x51a",
    "tcp_v4_rcv+0x8b1",
    "ip_protocol_deliver_rcu+0x2e",
    "ip_local_deliver_finish+0x7c",
    "ip_local_deliver+0x5",
    "ip_rcv+0x10",
    "__netif_receive_skb_one_core+0x8b",
    "process_backlog+0x85",
]
ANSWERED = [
    "dev_hard_start_xmit+0x91",
    "__dev_queue_xmit+0x3f1",
    "ip_finish_output2+0x2c1",
    "ip_output+0x60",
    "ip_send_unicast_reply+0x3aa",
    *RESET,
]

_BOOTS = count(1)


def headers(
    source: str, destination: str, flags: str, *, seq: int | None = 1000, ack: int = 0, **more: Any
) -> dict[str, Any]:
    """Return the headers of a TCP segment."""
    packet = {
        "family": 6 if ":" in source else 4,
        "protocol": "tcp",
        "source": source,
        "source_port": SPORT,
        "destination": destination,
        "destination_port": DPORT,
        "flags": flags,
        "seq": seq,
        "ack": ack,
        "window": 64240,
        "ip_id": 7,
        "ttl": 64,
        "length": 60,
        "payload": 0,
    }
    return {**packet, **more}


@dataclass
class Story:
    """Lines of one host."""

    host: str = "h1"
    tier: str = "raw_tracepoint"
    at: int = START_NS
    wall: int = WALL_NS
    lines: list[dict[str, Any]] = field(default_factory=list)
    events: int = 0
    watched: tuple[str, ...] = ("xmit", "receive", "consume")
    boot: str = field(default_factory=lambda: f"boot {next(_BOOTS)}")

    def start(self, **more: Any) -> Story:
        """Add the first line."""
        clock = {"monotonic_ns": START_NS, "wall_ns": self.wall, "width_ns": 800}
        self.lines.append(
            {
                "type": "start",
                "schema": "bothways/trace/1",
                "host": self.host,
                "kernel": "6.18.44",
                "machine": "x86_64",
                "boot_id": self.boot,
                "tier": self.tier,
                "tiers": [
                    {"tier": "fentry", "usable": False, "why_not": "EPERM at BPF_PROG_LOAD"},
                    {"tier": self.tier, "usable": True, "why_not": None},
                ],
                "probes": [
                    {
                        "probe": "skb:kfree_skb",
                        "tier": self.tier,
                        "event": "drop",
                        "attached": True,
                        "why_not": None,
                    },
                    *(
                        {
                            "probe": f"net:{word}",
                            "tier": self.tier,
                            "event": word,
                            "attached": True,
                            "why_not": None,
                        }
                        for word in self.watched
                    ),
                    {
                        "probe": "neigh:neigh_update",
                        "tier": None,
                        "event": "neigh",
                        "attached": False,
                        "why_not": "this kernel has none",
                    },
                ],
                "clock": clock,
                "only": {},
                **more,
            }
        )
        self.lines.append({"type": "ready", "seconds": 0.2})
        return self

    def event(
        self, word: str, packet_id: int | None, netns: str, device: str | None, packet: Any, **more: Any
    ) -> Story:
        """Add an event, 10 µs after the one before."""
        self.events += 1
        self.at += 10_000
        self.lines.append(
            {
                "type": "event",
                "n": self.events,
                "host": self.host,
                "time_ns": self.at,
                "wall_ns": self.wall + self.at - START_NS,
                "cpu": 0,
                "task": "swapper/0",
                "tier": self.tier,
                "probe": f"skb:{word}",
                "event": word,
                "function": None,
                "netns": netns,
                "netns_inode": 4026533560,
                "device": device,
                "ifindex": 3,
                "skb": f"0xffff{packet_id or 0:04x}",
                "packet_id": packet_id,
                "provoked_by": None,
                "clone_of": None,
                "mark": 0,
                "length": 60,
                "packet": packet,
                "before": None,
                "conntrack": None,
                "hook": None,
                "verdict": None,
                "reason": None,
                "reason_subsystem": None,
                "location": None,
                "rule": None,
                "stack": None,
                **more,
            }
        )
        return self

    def stop(self, lost: int = 0, **more: Any) -> Story:
        """Add the last line."""
        self.lines.append(
            {
                "type": "stop",
                "events": self.events,
                "lost": lost,
                "seen": self.events * 3,
                "seconds": 1.5,
                "namespaces": {"4026533560": ROUTER},
                "clock": None,
                "cost": None,
                **more,
            }
        )
        return self

    @property
    def text(self) -> str:
        """The file."""
        return "".join(json.dumps(line) + "\n" for line in self.lines)

    def traces(self, file: str = "t.jsonl") -> tuple[KernelTrace, ...]:
        """Return what is read of it; every line has to be understood."""
        parsed = parse_kernel_trace(self.text, file=file)
        assert parsed.problems == ()
        return runs_of(parsed.rows, file=file)


def reset_story(**more: Any) -> Story:
    """A SYN that is translated and routed on, an ACK that is answered with a RST by the router itself."""
    story = Story(**more).start()
    syn = headers(CLIENT, NAME, "S", seq=1000, ip_id=101)
    story.event("xmit", 1, "client", "c0", syn)
    story.event("receive", 1, ROUTER, "qg-1", syn)
    translated = {**syn, "destination": SERVER, "ttl": 63}
    entry = {
        "info": None,
        "status": ["DST_NAT"],
        "state": "SYN_SENT",
        "mark": 0,
        "zone": 0,
        "original": {
            "source": CLIENT,
            "source_port": SPORT,
            "destination": NAME,
            "destination_port": DPORT,
            "protocol": "tcp",
        },
        "reply": {
            "source": SERVER,
            "source_port": DPORT,
            "destination": CLIENT,
            "destination_port": SPORT,
            "protocol": "tcp",
        },
    }
    story.event("xmit", 1, ROUTER, "qr-1", translated, before=syn, conntrack=entry, stack=FORWARDED)
    story.event("receive", 1, "vm", "eth0", translated)
    ack = headers(CLIENT, NAME, ".", seq=1001, ack=5001, ip_id=102, length=52)
    story.event("xmit", 3, "client", "c0", ack)
    story.event("receive", 3, ROUTER, "qg-1", ack)
    story.event(
        "rst-sent",
        3,
        ROUTER,
        "qg-1",
        ack,
        reason="NO_SOCKET",
        reason_subsystem="rst",
        function="tcp_v4_send_reset",
        stack=RESET,
        probe="tcp:tcp_send_reset",
    )
    rst = headers(NAME, CLIENT, "R", seq=5001, ip_id=0, length=40, window=0)
    rst.update(source_port=DPORT, destination_port=SPORT)
    story.event("xmit", 4, ROUTER, "qg-1", rst, provoked_by=3, stack=ANSWERED)
    story.event(
        "drop",
        3,
        ROUTER,
        "qg-1",
        ack,
        reason="NO_SOCKET",
        reason_subsystem="core",
        location="tcp_v4_rcv+0x91",
    )
    story.event("receive", 4, "client", "c0", rst)
    return story.stop()
