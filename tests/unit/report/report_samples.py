"""The incident as a diagnosis and as a prediction, hand-made, with the lines that its evidence holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bothways.facts.address import Endpoint, address
from bothways.facts.choice import Assumption, Choice, Freedom
from bothways.facts.diagnosis import (
    Accounted,
    Author,
    Basis,
    Cause,
    Change,
    Clock,
    Confidence,
    Culprit,
    Diagnosis,
    Evidence,
    Excerpt,
    Fate,
    Finding,
    Ladder,
    Link,
    Next,
    Outcome,
    Remedy,
    RuledOut,
    Rung,
    Status,
    Symptom,
)
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp
from bothways.facts.path import Path, Stop
from bothways.facts.prediction import Branch, Journey, Prediction, Walk
from bothways.facts.question import Question
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Kind, Problem, Span
from bothways.facts.step import Did, Place, Step
from bothways.facts.trajectory import Way

__all__ = ["DNAT", "HEALTHY", "HOSTILE", "INCIDENT", "PATHS", "PREDICTION", "UNDETERMINED", "hostile"]

ROUTER: Final = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
QG: Final = "qg-5d88ef18-33"
QR: Final = "qr-dcedd015-a5"
CLIENT: Final = Endpoint(address("192.168.111.210"), 17350)
FLOATING: Final = Endpoint(address("192.168.111.223"), 22)
FIXED: Final = Endpoint(address("88.88.88.4"), 22)
QUESTION: Final = Question("tcp", CLIENT.address, FLOATING.address, 22)

BR_EX: Final = Tap("host1", "root", "br-ex")
QG_TAP: Final = Tap("host1", ROUTER, QG)
QR_TAP: Final = Tap("host1", ROUTER, QR)
HOST1_ETH0: Final = Tap("host1", "root", "eth0")
EXTGW: Final = Tap("extgw", "root", "eth0")
HOST5_ETH0: Final = Tap("host5", "root", "eth0")
VM_TAP: Final = Tap("host5", "root", "tap2d386740-3b")
VM: Final = Tap("test51", "root", "eth0")
TAPS: Final = (BR_EX, QG_TAP, QR_TAP, HOST1_ETH0, EXTGW, HOST5_ETH0, VM_TAP, VM)

FLOWS: Final = "hosts/host5/ovs/br-int.flows.txt"
REWRITE: Final = Span(
    FLOWS,
    line=25,
    text=(
        " cookie=0x0, duration=8.514s, table=100, n_packets=4, n_bytes=296, priority=512,ip,tun_id=0x43e,"
        "dl_dst=fa:16:3e:91:5f:a0,nw_src=88.88.88.4 actions=set_field:fa:16:3e:74:db:c7->eth_src,dec_ttl,"
        "set_field:2c:ab:00:9a:04:37->eth_dst,set_field:192.168.111.223->ip_src,output:5"
    ),
    read_at=1795348365.3,
)
INSIDE: Final = f"hosts/host1/netns/{ROUTER}"
DNAT: Final = Span(
    f"{INSIDE}/iptables-save.txt",
    line=86,
    text="[2:120] -A neutron-l3-agent-PREROUTING -d 192.168.111.223/32 -j DNAT --to-destination 88.88.88.4",
    read_at=1795348365.2,
)
EVENT: Final = Span(
    f"{INSIDE}/conntrack-events.txt",
    line=1,
    text=(
        "[1795348357.156336]\t    [NEW] ipv4     2 tcp      6 120 SYN_SENT src=192.168.111.210"
        " dst=192.168.111.223 sport=17350 dport=22 [UNREPLIED] src=88.88.88.4 dst=192.168.111.210 sport=22"
        " dport=17350 id=83628974"
    ),
)
INVALID: Final = Span(
    f"{INSIDE}/conntrack-invalid-log.txt",
    line=1,
    text=(
        "1795348357.157952 prefix='nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT ' "
        "192.168.111.210:17350 > 192.168.111.223:22 flags=0x10 seq=3615749651 ack=4163297502"
    ),
)
HOLDS: Final = Span(
    f"{INSIDE}/addr.json",
    line=1,
    text='[{"ifindex":1,"ifname":"lo"},' + '{"pad":0},' * 60 + '{"local":"192.168.111.223","prefixlen":32}]',
    column=632,
)
MACS: Final = (
    "fa:16:3e:e3:66:3c (host1/qrouter, qg-5d88ef18-33)",
    "fa:16:3e:74:db:c7 (host5, br-int table 20)",
)


def packet(source: Endpoint, destination: Endpoint, flags: Flag) -> Packet:
    return Packet(
        Ethernet(),
        Ip(source.address, destination.address, TCP, ttl=64),
        tcp=Tcp(source.port or 0, destination.port or 0, flags, seq=3615749650, length=0),
    )


def sighting(tap: Tap, micros: int, seen: Packet, frame: int) -> Sighting:
    where = "root" if tap.netns == "root" else tap.netns
    file = f"hosts/{tap.host}/captures/{where}/{tap.device}.pcap"
    time_ns = 1795348357_000000000 + micros * 1000
    return Sighting(tap, tap.device, None, time_ns, seen, Span(file, frame=frame, text=str(seen)), frame - 1)


def rung(
    name: str, *seen: tuple[Tap, int, Packet, int], missing: tuple[tuple[Tap, str], ...] = (), note: str = ""
) -> Rung:
    sightings = tuple(sighting(*each) for each in seen)
    return Rung(name, sightings, tuple(each.time_ns for each in sightings), missing, note)


SYN, SYN_ACK, ACK, RST = Flag.SYN, Flag.SYN | Flag.ACK, Flag.ACK, Flag.RST
ASKED: Final = packet(CLIENT, FLOATING, SYN)
ASKED_FIXED: Final = packet(CLIENT, FIXED, SYN)
ANSWER: Final = packet(FIXED, CLIENT, SYN_ACK)
ANSWER_FLOATING: Final = packet(FLOATING, CLIENT, SYN_ACK)
ACKED: Final = packet(CLIENT, FLOATING, ACK)
RESET: Final = packet(FLOATING, CLIENT, RST)
CLIENT_RESET: Final = packet(CLIENT, FLOATING, RST)
CLIENT_RESET_FIXED: Final = packet(CLIENT, FIXED, RST)
RAN: Final = "the capture ran, its filter admits the packet and it dropped none"

LADDER: Final = Ladder(
    TAPS,
    (
        rung("SYN", (BR_EX, 153704, ASKED, 5), (QG_TAP, 154009, ASKED, 1), (QR_TAP, 154239, ASKED_FIXED, 1),
             (VM_TAP, 156616, ASKED_FIXED, 2), (VM, 156632, ASKED_FIXED, 1)),
        rung("SYN/ACK", (VM, 156663, ANSWER, 2), (VM_TAP, 156667, ANSWER, 3),
             (HOST5_ETH0, 156820, ANSWER_FLOATING, 1), (EXTGW, 156857, ANSWER_FLOATING, 1),
             (HOST1_ETH0, 156877, ANSWER_FLOATING, 1), (BR_EX, 157212, ANSWER_FLOATING, 6),
             missing=((QR_TAP, RAN), (QG_TAP, RAN)), note="rewritten on host5, never in the tracker"),
        rung("ACK", (BR_EX, 157237, ACKED, 7), (QG_TAP, 157255, ACKED, 2),
             missing=((QR_TAP, RAN), (VM, RAN))),
        rung("RST", (QG_TAP, 157712, RESET, 5), (BR_EX, 157840, RESET, 10)),
        rung("SYN/ACK, sent again", (VM, 1158262, ANSWER, 3), (VM_TAP, 1158443, ANSWER, 4),
             (HOST5_ETH0, 1170456, ANSWER_FLOATING, 3), (HOST1_ETH0, 1170540, ANSWER_FLOATING, 3),
             (BR_EX, 1171095, ANSWER_FLOATING, 11)),
        rung("RST of the client", (BR_EX, 1171160, CLIENT_RESET, 12), (QG_TAP, 1171195, CLIENT_RESET, 6),
             (QR_TAP, 1171311, CLIENT_RESET_FIXED, 2), (VM_TAP, 1171660, CLIENT_RESET_FIXED, 5),
             (VM, 1171668, CLIENT_RESET_FIXED, 4)),
    ),
    reference="host1",
)  # fmt: skip

RST_FRAME: Final = Evidence(LADDER.rungs[3].sightings[0].span)


def frame(row: int, column: int) -> Evidence:
    return Evidence(LADDER.rungs[row].sightings[column].span)


#: the same taps if the flow on host5 were gone
HEALTHY_LADDER: Final = Ladder(
    TAPS,
    tuple(
        replace(each, sightings=tuple(replace(s, span=Span("")) for s in each.sightings))
        for each in (
            rung("SYN", (BR_EX, 0, ASKED, 1), (QG_TAP, 0, ASKED, 1), (QR_TAP, 0, ASKED_FIXED, 1),
                 (VM_TAP, 0, ASKED_FIXED, 1), (VM, 0, ASKED_FIXED, 1)),
            rung("SYN/ACK", (VM, 0, ANSWER, 1), (VM_TAP, 0, ANSWER, 1), (QR_TAP, 0, ANSWER, 1),
                 (QG_TAP, 0, ANSWER_FLOATING, 1), (BR_EX, 0, ANSWER_FLOATING, 1)),
        )
    ),
    supposed="without the flow of host5 br-int table 100",
)  # fmt: skip

PATHS: Final = (
    Path(
        "SYN",
        Way.ORIGINAL,
        (
            Stop("host1", "root", "", ("br-ex",)),
            Stop("host1", ROUTER, "", (QG, QR), ("destination becomes 88.88.88.4:22",)),
            Stop("host1", "", "br-int", (QR, "vxlan-5")),
            Stop("host5", "", "br-int", ("vxlan-1", "tap2d386740-3b")),
            Stop("test51", "root", "", ("eth0",)),
        ),
        arrived=True,
    ),
    Path(
        "SYN/ACK",
        Way.REPLY,
        (
            Stop("test51", "root", "", ("eth0",)),
            Stop(
                "host5",
                "",
                "br-int",
                ("tap2d386740-3b",),
                ("source becomes 192.168.111.223:22 by table=100",),
            ),
            Stop("host5", "", "br-ex", ("patch-int", "eth0")),
            Stop("host1", "root", "", ("br-ex",)),
        ),
        arrived=True,
    ),
)

INCIDENT: Final = Diagnosis(
    Status.EXPLAINED,
    QUESTION,
    "dual-l3",
    symptoms=(
        Symptom(
            "reset", "the connection was reset 4.1 ms after its SYN, right after the handshake", (RST_FRAME,)
        ),
    ),
    cause=Cause(
        "BW101",
        "reply-bypasses-tracker",
        Confidence.PROVED,
        f"host1/{ROUTER} saw the client's SYN but not the SYN/ACK, which left host5 by br-int table 100; so"
        " it called the client's ACK INVALID, did not translate 192.168.111.223, took the packet for its own"
        " and answered with a RST",
    ),
    also=(),
    latent=(),
    chain=(
        Link(
            f"the SYN was tracked in host1/{ROUTER} and translated to 88.88.88.4:22",
            Basis.OBSERVED,
            (Evidence(EVENT, -0.4), Evidence(DNAT, 8.2), frame(0, 1), frame(0, 2)),
        ),
        Link(
            f"the SYN/ACK bypassed host1/{ROUTER}: it was rewritten to 192.168.111.223 on host5 and sent out"
            " there",
            Basis.OBSERVED,
            (Evidence(REWRITE, 8.3), frame(1, 2), frame(1, 5)),
        ),
        Link(
            "the client's ACK was INVALID there, in state SYN_SENT: the entry waits for a SYN/ACK in the"
            " reply direction, a bare ACK in the original one is refused",
            Basis.OBSERVED,
            (Evidence(INVALID, 0.0), frame(2, 1)),
        ),
        Link(
            "an INVALID packet gets no NAT: the rule was passed over, the ACK kept the address"
            " 192.168.111.223",
            Basis.PREDICTED,
            (Evidence(DNAT, 8.2),),
        ),
        Link(
            f"192.168.111.223 is an address of host1/{ROUTER} itself: the packet was delivered locally",
            Basis.CONFIG,
            (Evidence(HOLDS, 2580.0),),
        ),
        Link(
            "no connection there matched, so tcp_v4_send_reset answered with a RST",
            Basis.OBSERVED,
            (RST_FRAME,),
        ),
    ),
    authors=(Author("rst", RST_FRAME, "host1", ROUTER, QG, None, "capture"),),
    culprits=(
        Culprit("openflow", "host5", "br-int table 100", REWRITE.text, Evidence(REWRITE, 8.3)),
        Culprit(
            "iptables", "host1", f"{ROUTER} nat neutron-l3-agent-PREROUTING", DNAT.text, Evidence(DNAT, 8.2)
        ),
    ),
    remedies=(
        Remedy(
            (Change("host1", "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1", ROUTER),),
            "fails",
            "it relaxes window checks only, the state table still refuses the ACK",
            (),
        ),
    ),
    outcomes=(
        Outcome(
            (f"192.168.111.223 answered by {MACS[0]}",),
            Fate.RESET,
            observed=True,
            why="the reply bypasses the tracker",
        ),
        Outcome((f"192.168.111.223 answered by {MACS[1]}",), Fate.WORKS, why="both ways pass host5's flows"),
    ),
    clocks=(
        Clock("host5", "host1", -25271000, -25063000, "frames travel no faster than at once"),
        Clock("extgw", "host1", -90000, 40000, ""),
    ),
    ruled_out=(RuledOut("BW601", "88.88.88.4:22 answered with a SYN/ACK", (frame(1, 0),)),),
    assumptions=("net.ipv4.ip_forward is 1 in the router's namespace, as no sysctl.txt says",),
    accounted=Accounted(31, ()),
    unknown=("whether host5's flows have changed since",),
    next=(
        Next("host1", f"ip netns exec {ROUTER} conntrack -E -p tcp", "shows the entry die in SYN_SENT"),
        Next("host1", "arping -I br-ex -c 3 192.168.111.223", "two MACs in the answers are two owners"),
    ),
    others=("tcp 192.168.111.210:17352 > 192.168.111.223:22",),
    problems=(
        Problem(
            Kind.CONTRADICTION,
            Span("hosts/host5/captures/root/any.txt", line=4),
            "the time stamp runs backwards by 2 µs",
        ),
        Problem(
            Kind.UNMODELLED, Span(FLOWS, line=2), "`CONTROLLER:65535` is not modelled", "it is not on the way"
        ),
    ),
    ladder=LADDER,
    healthy=HEALTHY_LADDER,
    paths=PATHS,
    excerpts=(
        Excerpt(
            DNAT,
            (Span(DNAT.file, line=85, text="-A neutron-l3-agent-PREROUTING -j ACCEPT"),),
            (Span(DNAT.file, line=88, text="-A neutron-l3-agent-snat -j neutron-l3-agent-float-snat"),),
        ),
    ),
)

HEALTHY: Final = Diagnosis(
    Status.HEALTHY,
    QUESTION,
    "odl-l3-only",
    latent=(
        Finding("BW201", "works now, by which station answered first", (Evidence(REWRITE, 8.3),)),
    ),
    outcomes=(Outcome((f"192.168.111.223 answered by {MACS[1]}",), Fate.WORKS, observed=True),),
    accounted=Accounted(42),
)  # fmt: skip

UNDETERMINED: Final = Diagnosis(
    Status.UNDETERMINED,
    QUESTION,
    symptoms=INCIDENT.symptoms,
    authors=(Author("rst", RST_FRAME, None, None, None, None, "capture"),),
    unknown=(f"the iptables rules of host1/{ROUTER} were not collected",),
    next=(
        Next("host1", f"ip netns exec {ROUTER} iptables-save -c", "shows what translates 192.168.111.223"),
    ),
    accounted=Accounted(3, (RST_FRAME.span,)),
)

#: markup, an attribute's end, a terminal's escape, rich's markup, a template's, and a text that turns round
HOSTILE: Final = "</title><script>alert(1)</script>\"'><img src=x onerror=y>\x1b[2J[red]{{ 7*7 }}\u202e\x00"


def hostile(text: str = HOSTILE) -> Diagnosis:
    """Return the incident with *text* wherever the evidence decides what stands there."""
    tap = Tap(text, text, text)
    span = Span(text, line=1, text=text, column=3)
    quoted = Evidence(span, 90.0)
    seen = replace(sighting(tap, 0, ASKED, 1), span=span, device=text)
    return replace(
        INCIDENT,
        title=text,
        symptoms=(Symptom("reset", text, (quoted,)),),
        cause=Cause("BW101", "reply-bypasses-tracker", Confidence.SUSPECTED, text),
        also=(Finding("BW201", text, (quoted,)),),
        latent=(Finding("BW201", text, (quoted,)),),
        chain=(Link(text, Basis.CONFIG, (quoted, Evidence(Span(text, frame=2, text=text)))),),
        authors=(Author("rst", quoted, text, text, text, text, "trace"),),
        culprits=(Culprit("openflow", text, text, text, quoted),),
        remedies=(Remedy((Change(text, text, text),), "depends", text, (text,)),),
        outcomes=(Outcome((text,), Fate.RESET, observed=True, why=text),),
        clocks=(Clock(text, text, None, 5, text), Clock(text, text, 5, None, text)),
        ruled_out=(RuledOut("BW601", text, (quoted,)),),
        assumptions=(text,),
        accounted=Accounted(1, (span,)),
        unknown=(text,),
        next=(Next(text, text, text),),
        others=(text,),
        problems=(Problem(Kind.MALFORMED, span, text, text),),
        ladder=Ladder((tap,), (Rung(text, (seen,), (0,), ((tap, text), (QG_TAP, text)), text),), text),
        healthy=Ladder((tap,), (Rung(text, (seen,), (0,)),), supposed=text),
        paths=(
            Path(text, Way.ORIGINAL, (Stop(text, text, "", (text,), (text,)), Stop(text, "", text))),
            Path(text, Way.REPLY, (Stop(text, "root", "", (text,), (text,)),)),
        ),
        excerpts=(Excerpt(span, (Span(text, line=0, text=text),), (Span(text, line=2, text=text),)),),
    )


def _walk(choice: str, fate: Fate, steps: tuple[Step, ...], why: str) -> Walk:
    options = tuple(f"192.168.111.223 answered by {mac}" for mac in MACS)
    fork = Choice("arp 192.168.111.223 host1", Freedom.FREE, options, choice, options[0])
    journey = Journey("SYN", Way.ORIGINAL, "client", ASKED, (Branch(steps),), 0, Flag.SYN)
    return Walk(
        (fork,), fate, why, (journey,), (Assumption("ip_forward is 1", "sysctl -a"),), ("nothing else",)
    )


PREDICTION: Final = Prediction(
    QUESTION,
    (
        _walk(
            f"192.168.111.223 answered by {MACS[0]}",
            Fate.RESET,
            (
                Step(
                    Place("host1", "root", "br-ex"),
                    "dev_hard_start_xmit",
                    Did.SENT,
                    ASKED,
                    ASKED,
                    "br-ex sends it",
                ),
                Step(
                    Place("host1", ROUTER, QG),
                    "nf_nat_ipv4_in",
                    Did.TRANSLATED,
                    ASKED,
                    ASKED_FIXED,
                    "the rule translates the destination",
                    (DNAT,),
                    "nat PREROUTING",
                ),
                Step(
                    Place("host5", "", "br-int", "vxlan"),
                    "table=110",
                    Did.DROPPED,
                    ASKED_FIXED,
                    None,
                    "no flow takes it",
                    (REWRITE,),
                ),
            ),
            "the reply bypasses the tracker",
        ),
        _walk(f"192.168.111.223 answered by {MACS[1]}", Fate.WORKS, (), "both ways pass host5's flows"),
    ),
)
