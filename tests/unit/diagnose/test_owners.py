"""Who owns an address where switches answer ARP for it."""

from __future__ import annotations

import pytest

from bothways.diagnose.owners import owners_of
from bothways.facts.address import address, mac
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge, Switch
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.facts.span import Span
from bothways.parse.openflow import parse_flows

ADDRESS = address("10.0.0.5")
#: as Neutron's l2population writes them, and as OVN does
L2POP = (
    "table=21,priority=1,arp,dl_vlan=1,arp_tpa=10.0.0.5 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
    "mod_dl_src:{mac},load:0x2->NXM_OF_ARP_OP[],load:0x{hex}->NXM_NX_ARP_SHA[],"
    "load:0xa000005->NXM_OF_ARP_SPA[],IN_PORT"
)
OVN = (
    "table=27,priority=50,arp,metadata=0x2,arp_tpa=10.0.0.5,arp_op=1 actions=set_field:{mac}->eth_src,"
    "set_field:2->arp_op,set_field:{mac}->arp_sha,set_field:10.0.0.5->arp_spa,resubmit(,37)"
)


def site(*flows: str, held: bool = True) -> Snapshot:
    """A machine with the address, if it is *held*, and a switch on each of several hosts."""
    own = InterfaceAddress(ADDRESS, 24, Span("addr", 2))
    eth0 = Device("eth0", 2, mac("fa:16:3e:aa:bb:cc"), Span("addr", 1), addresses=(own,) if held else ())
    hosts = {"vm": Host("vm", {"root": Netns("vm", "root", devices=Dump((eth0,), "addr"))})}
    for number, text in enumerate(flows, 1):
        name = f"host{number}"
        file = f"{name}.flows"
        bridge = Bridge(name, "br", flows=Dump(parse_flows(text, file=file).rows, file))
        hosts[name] = Host(name, {}, Switch(name, {"br": bridge}))
    return Snapshot(hosts)


@pytest.mark.parametrize("form", [L2POP, OVN])
@pytest.mark.parametrize(("answer", "two"), [("fa:16:3e:aa:bb:cc", False), ("fa:16:3e:00:00:01", True)])
def test_who_answers_with_the_owners_mac_is_none(form: str, answer: str, two: bool) -> None:  # noqa: FBT001
    flow = form.format(mac=answer, hex=answer.replace(":", ""))

    assert owners_of(site(flow), ADDRESS).two is two


def test_switches_with_a_flow_in_common_are_one_owner() -> None:
    one, other = (OVN.format(mac=f"fa:16:3e:00:00:0{n}") for n in (1, 2))

    assert not owners_of(site(one, one, held=False), ADDRESS).two
    assert not owners_of(site(one, f"{one}\n{other}", other, held=False), ADDRESS).two
    assert owners_of(site(one, other, held=False), ADDRESS).two
    assert owners_of(site(one, one), ADDRESS).two
