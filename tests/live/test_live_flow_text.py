"""Random flows: the normal form that bothways writes is the one that the installed ovs-ofctl prints."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_written import written

COUNT = 250

MATCHES = (
    "ip", "tcp", "udp", "arp", "ipv6", "tcp6", "icmp", "icmp6", "sctp", "dl_type=0x88cc", "rarp", "mpls",
    "in_port={port}", "dl_vlan={vlan}", "dl_vlan_pcp={n3}", "vlan_tci=0x1000/0x1000", "vlan_tci=0",
    "dl_src={mac}",
    "dl_dst={mac}", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "reg{n4}={n32}", "reg{n4}={n32}/0xff00",
    "metadata={n32}", "tun_id={n32}", "tun_id={n32}/0xff", "tun_src={ip}", "pkt_mark={n32}",
    "ct_state=+new-est",
    "ct_state=+trk", "ct_zone={n16}", "ct_mark={n32}/0xf", "ct_label={n32}", "conj_id={n16}",
    "skb_priority=3",
    "xreg{n3}={n32}", "xxreg{n2}={n32}", "recirc_id=0", "dp_hash={n16}/0xf", "tun_gbp_id={n16}",
)  # fmt: skip
OF_IP = ("nw_src={ip}", "nw_dst={ip}/16", "nw_src={ip}/255.0.255.0", "nw_tos=32", "nw_ecn=2", "nw_ttl={n8}",
         "nw_frag=later", "nw_frag=not_later", "nw_proto={n8}")  # fmt: skip
OF_TCP = ("tp_src={n16}", "tp_dst={n16}", "tp_dst={n16}/0xfff0", "tcp_flags=+syn-ack", "tcp_flags=fin|ack")
INSIDE = {
    "ip": OF_IP, "tcp": (*OF_IP[:7], *OF_TCP), "udp": (*OF_IP[:7], *OF_TCP[:3]), "sctp": OF_TCP[:3],
    "arp": ("arp_op=1", "arp_spa={ip}", "arp_tpa={ip}/8", "arp_sha={mac}", "arp_tha={mac}"),
    "ipv6": ("ipv6_src={ip6}", "ipv6_dst={ip6}/64", "ipv6_label={n16}", "nw_ttl={n8}"),
    "tcp6": ("ipv6_src={ip6}", *OF_TCP), "icmp": ("icmp_type={n3}", "icmp_code=1"),
    "icmp6": ("icmp_type=135,nd_target={ip6}", "icmp_type=135,nd_sll={mac}"),
    "mpls": ("mpls_label={n16}", "mpls_tc={n3}", "mpls_bos=1"),
}  # fmt: skip
ACTIONS = (
    "{port}", "output:{port}", "NORMAL", "FLOOD", "ALL", "IN_PORT", "LOCAL", "CONTROLLER",
    "controller(max_len=99)",
    "controller(reason=no_match,id={n8})", "resubmit(,{n8})", "resubmit({port},{n8})",
    "resubmit:{port}", "dec_ttl",
    "set_field:{mac}->eth_src", "set_field:{n32}->reg{n4}", "set_field:{n8}/0xff->reg{n4}",
    "load:{n8}->reg{n4}[0..7]",
    "load:{n32}->NXM_NX_TUN_ID[]", "set_field:{n32}->metadata", "set_field:{n32}->pkt_mark",
    "mod_dl_dst:{mac}",
    "set_field:{n32}->tun_id", "set_field:{ip}->tun_dst", "set_field:{ip6}->xxreg{n2}", "mod_vlan_vid:{vlan}",
    "mod_vlan_pcp:{n3}", "strip_vlan", "move:reg{n4}[]->reg{n4}[]", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
    "push:reg{n4}[]", "pop:reg{n4}[3..9]", "ct(commit)", "ct(commit,zone={n16},table={n8})", "ct_clear",
    "ct(table=4,zone=reg{n4}[0..15])", "ct(commit,nat(src={ip}),exec(set_field:{n32}->ct_mark))", "ct(nat)",
    "ct(commit,force,nat(dst={ip}-{ip}:80-90,random))", "set_tunnel:{n32}", "enqueue:{port}:{n8}",
    "group:{n16}",
    "set_queue:{n8}", "clone({port},set_field:{n32}->reg{n4})", "output:reg{n4}[0..15]", "note:01.02", "exit",
    "multipath(eth_src,50,modulo_n,{n8},0,NXM_NX_REG0[])",
    "bundle(eth_src,0,hrw,ofport,members:{port},{port})",
    "check_pkt_larger({n8})->reg0[3]", "output(port={port},max_len=100)", "fin_timeout(idle_timeout=5)",
    "learn(table={n8},priority=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])",
    "learn(table={n8},hard_timeout=9,load:{n8}->NXM_NX_REG1[],in_port={port})",
)  # fmt: skip


def filled(text: str, chance: random.Random) -> str:
    """The pattern with numbers that fit."""
    n = chance.getrandbits
    while "{" in text:
        values = {
            "port": n(10) + 1, "vlan": n(12) % 4095, "mac": f"02:00:00:{n(8):02x}:{n(8):02x}:{n(8):02x}",
            "ip": f"10.{n(8)}.{n(8)}.{n(8)}", "ip6": f"fe80::{n(16):x}:{n(16):x}", "n2": n(2), "n3": n(3),
            "n4": n(4), "n8": n(7) + 1, "n16": n(15) + 1, "n32": hex(n(31) + 1),
        }  # fmt: skip
        head, _, rest = text.partition("{")
        name, _, rest = rest.partition("}")
        text = f"{head}{values[name]}{rest}"
    return text


def drawn(chance: random.Random) -> str:
    """One flow."""
    terms = chance.sample(MATCHES, chance.randrange(4))
    kinds = [term for term in terms if term in MATCHES[:12]]
    terms = [term for term in terms if term not in kinds[1:]]
    if kinds and kinds[0] in INSIDE:
        inside = INSIDE[kinds[0]]
        terms += chance.sample(inside, chance.randrange(min(3, len(inside)) + 1))
    actions = [chance.choice(ACTIONS) for _ in range(chance.randrange(1, 5))]
    text = ",".join([f"table={chance.randrange(250)}", f"priority={chance.randrange(65536)}", *terms])
    return filled(f"{text} actions={','.join(actions)}", chance)


def asked(flows: list[str], folder: Path) -> list[str | None]:
    """What ovs-ofctl says of each, None for what it refuses."""
    found: list[str | None] = []
    file = folder / "flows.txt"
    for flow in flows:
        file.write_text(flow + "\n", encoding="utf-8")
        done = subprocess.run(
            ["ovs-ofctl", "parse-flows", str(file)], capture_output=True, text=True, check=False, timeout=20
        )
        lines = [line for line in done.stdout.splitlines() if ": ADD" in line]
        found.append(lines[0].partition(": ADD")[2].strip() if done.returncode == 0 and lines else None)
    return found


@pytest.mark.needs("ovs-ofctl")
def test_the_normal_form_of_random_flows_is_that_of_ovs_ofctl(tmp_path: Path) -> None:
    chance = random.Random(20)  # noqa: S311 - the draw has to be the same each time
    flows = [drawn(chance) for _ in range(COUNT)]
    pairs = [
        (flow, form) for flow, form in zip(flows, asked(flows, tmp_path), strict=True) if form is not None
    ]
    wrong = []
    for flow, form in pairs:
        (row,) = parse_flows(flow, file="f").rows
        if written(row) != form:
            wrong.append((flow, form, written(row)))

    assert len(pairs) > COUNT // 2
    assert len(wrong) <= len(pairs) // 50, wrong[:5]
