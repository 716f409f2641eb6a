"""
Real iptables rulesets and what `iptables-restore-translate` made of them: both walks let the same packets by.

The rulesets are other people's and are read in place.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from linux_samples import DEFAULT_RULES, LO, Told, address_of, span

from bothways.facts.address import Mac, address, network
from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.iptables import Table
from bothways.facts.nft import NftTable
from bothways.facts.packet import ICMP, TCP, UDP, Ethernet, Flag, Icmp, Ip, Packet, Tcp, Udp
from bothways.facts.route import NextHop, Route
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.step import Did
from bothways.model.linux.stack import Stack
from bothways.parse.iptables import parse_iptables
from bothways.parse.nft_text import parse_nft

DUMPS = Path(__file__).resolve().parents[4] / "shared" / "oracles" / "iptables" / "real_tool_outputs.jsonl.gz"
#: More rules than these make the test long and no sharper.
MOST_RULES = 250
PACKETS = 10
_ADDRESS = re.compile(r"\b(\d{1,3}(?:\.\d{1,3}){3})\b")
_PORT = re.compile(r"--[ds]ports? (\d+)")
_DEVICE = re.compile(r"-[io] ([\w.-]+)")
#: What the tool translates to something else than the rule says, or leaves out.
UNTRANSLATED = re.compile(
    r"-m (?:recent|hashlimit|limit|string|owner|physdev|set|u32|connlimit|rpfilter|time|quota|"
    r"statistic|policy|realm)"
    r"|-j (?:ULOG|TTL|NFQUEUE|TEE|SECMARK)"
)


def rulesets() -> list[dict[str, Any]]:
    with gzip.open(DUMPS, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        row
        for row in rows
        if row.get("nft_j_native") and row["family"] == 4 and row["save"].count("-A ") in range(1, MOST_RULES)
    ]


def native_of(row: dict[str, Any]) -> tuple[NftTable, ...]:
    """The translated tables, under names that iptables does not claim."""
    text = json.dumps(row["nft_j_native"])
    for name in ("filter", "nat", "mangle", "raw", "security"):
        text = text.replace(f'"table": "{name}"', f'"table": "native-{name}"')
        text = text.replace(f'"ip", "name": "{name}"', f'"ip", "name": "native-{name}"')
    parsed = parse_nft(text, file="nft.json")
    return tuple(table for table in parsed.rows if isinstance(table, NftTable))


def space(row: dict[str, Any], iptables: tuple[Table, ...], nft: tuple[NftTable, ...]) -> Netns:
    devices = [LO]
    routes: list[Route] = []
    names = sorted(set(_DEVICE.findall(row["save"])) - {"lo"})[:2]
    for number, name in enumerate([*names, "one0", "two0"], 2):
        held = address_of(f"10.{number}.0.1/16")
        devices.append(
            Device(name, number, Mac(f"02:00:00:00:00:{number:02x}"), span(name), addresses=(held,))
        )
        routes.append(Route("unicast", network(f"10.{number}.0.0/16"), "main", (NextHop(name),), span(name)))
        local = network(f"10.{number}.0.1/32")
        routes.append(Route("local", local, "local", (NextHop(name),), span(name)))
    routes.append(
        Route("unicast", network("0.0.0.0/0"), "main", (NextHop(devices[1].name),), span("default"))
    )
    sysctls = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"}
    return Netns(
        "host",
        "root",
        devices=Dump(tuple(devices), "addr"),
        routes=Dump(tuple(routes), "route"),
        rules=Dump(DEFAULT_RULES, "rule"),
        iptables=Dump(iptables, "iptables-save.txt"),
        ip6tables=Dump((), "ip6tables-save.txt"),
        nft=Dump(nft, "nft.txt"),
        sysctls=Dump(tuple(Sysctl(n, v, span(n)) for n, v in sysctls.items()), "sysctl"),
        sockets=Dump((), "ss.txt"),
    )


def packets(row: dict[str, Any], chance: Random, devices: list[Device]) -> list[tuple[str, Packet]]:
    named = [*_ADDRESS.findall(row["save"]), "10.2.0.1", "10.3.0.9", "198.51.100.7", "10.2.0.8"]
    usable = [each for each in named if all(int(part) < 256 for part in each.split("."))]
    ports = [*map(int, _PORT.findall(row["save"])), 22, 53, 4000]
    found = []
    for _ in range(PACKETS):
        into = chance.choice(devices[1:])
        ip = Ip(address(chance.choice(usable)), address(chance.choice(usable)), 0, 64, tos=0)
        link = Ethernet(Mac("02:00:00:00:00:99"), into.mac)
        sport, dport = chance.choice((chance.choice(ports), 40000)), min(chance.choice(ports), 65535)
        kind = chance.choice((TCP, TCP, UDP, ICMP))
        packet = Packet(link, replace(ip, protocol=kind), length=74)
        if kind == TCP:
            flags = chance.choice((Flag.SYN, Flag.SYN, Flag.ACK, Flag.RST, Flag.SYN | Flag.ACK))
            packet = replace(
                packet, tcp=Tcp(sport, dport, flags, 1000, 1 if flags & Flag.ACK else None, 64240, 0)
            )
        elif kind == UDP:
            packet = replace(packet, udp=Udp(sport, dport, 32))
        else:
            packet = replace(packet, icmp=Icmp(chance.choice((8, 0, 13)), 0, 7, 1))
        found.append((into.name, packet))
    return found


def fates(netns: Netns, sent: list[tuple[str, Packet]]) -> list[tuple[object, bool]]:
    """What leaves, what is delivered, and whether something is not known; one walk for all packets."""
    stack = Stack(netns, oracle=Told(), kernel=None)
    found: list[tuple[object, bool]] = []
    for number, (into, packet) in enumerate(sent):
        passage = stack.receive(into, packet, number * 10**9)
        out = [(t.device, str(t.packet), t.packet.ip and t.packet.ip.tos) for t in passage.transmissions]
        delivered = any(step.did is Did.DELIVERED for step in passage.steps)
        found.append(((out, delivered), bool(passage.unknown)))
    return found


@pytest.mark.shared
def test_a_translated_ruleset_does_what_its_original_does() -> None:
    compared = unknown = 0
    for number, row in enumerate(rulesets()):
        if UNTRANSLATED.search(row["save"]):
            continue
        iptables = tuple(parse_iptables(row["save"], file="iptables-save.txt").rows)
        native = native_of(row)
        old, new = space(row, iptables, ()), space(row, (), native)
        chance = Random(number)  # noqa: S311 (a test)
        sent = packets(row, chance, list(old.devices or ()))
        for at, (one, other) in enumerate(zip(fates(old, sent), fates(new, sent), strict=True)):
            if one[1] or other[1]:
                unknown += 1
                break  # what comes after rests on it
            compared += 1
            assert one[0] == other[0], (row["file"], at, sent[at])

    assert compared > 1000
    assert unknown < compared / 10
