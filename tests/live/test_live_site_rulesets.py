"""
Rulesets as sites have them, with packets through the kernel of this machine: the model does the same.

``rulesets/`` holds what kube-proxy (nft and iptables), Calico, Docker, firewalld, Neutron, OpenWrt, Podman,
libvirt, ufw and Tailscale set up, in their forms, written for the addresses of `conform netfilter`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bothways.capture.compose_frame import compose_frame
from bothways.conform.netfilter_bed import NetfilterBed
from bothways.conform.netfilter_case import Sent, Setting
from bothways.conform.netfilter_comparison import decoded
from bothways.conform.netfilter_live import held_packet
from bothways.conform.netfilter_replay import Holder, read_router
from bothways.conform.netfilter_traffic import FilterTraffic

pytestmark = [pytest.mark.live, pytest.mark.needs("ip", "nft", "iptables-restore", "ss", "sysctl")]

RULESETS = sorted((Path(__file__).parent / "rulesets").iterdir())
#: Those whose rules hold for both IP versions are asked with packets of both.
ASKED = [(path, v) for path in RULESETS for v in (4, 6) if v == 4 or "table inet" in path.read_text()]
PACKETS = 40
WAYS = (
    "route add default via 10.91.2.254 dev nfb",
    "-6 route add default via fd91:2::fe dev nfb",
)
CHAIN = re.compile(r"^\tchain (\S+) \{\n(.*?)^\t\}", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^table (\S+ \S+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def bed() -> Iterator[NetfilterBed]:
    made = NetfilterBed(f"bwsr{os.getpid()}")
    try:
        yield made
    finally:
        made.close()


def with_chains_first(text: str) -> str:
    """A map names chains that must be there already."""
    tables = TABLE.findall(text)
    return (
        "".join(
            f"table {name} {{\n"
            + "".join(
                f"chain {chain} {{\n}}\n" for chain, rules in CHAIN.findall(body) if "hook" not in rules
            )
            + "}\n"
            for name, body in tables
        )
        + text
    )


@pytest.mark.parametrize(("ruleset", "version"), ASKED, ids=[f"{path.name} {v}" for path, v in ASKED])
def test_a_site_does_what_its_kernel_does(bed: NetfilterBed, ruleset: Path, version: int) -> None:
    text = ruleset.read_text()
    bed.load(Setting(ways=WAYS))
    native = ruleset.suffix == ".nft"
    bed.run("nft", "-f", "-", text=with_chains_first(text)) if native else bed.run(
        "iptables-restore", text=text
    )
    netns, problems = read_router(bed.dumps({}))
    traffic = FilterTraffic(Random(ruleset.name), version, bed.macs)  # noqa: S311 (repeatable on purpose)
    holder = Holder(netns, os.uname().release)

    assert problems == ()
    for _ in range(PACKETS):
        leg, packet = traffic.next()
        came, held = held_packet(bed, holder, Sent(leg, compose_frame(packet)))
        assert held.agrees, (str(packet), held.field, held.kernel, held.model, held.unknown)
        out = [(at, each) for at, frame in came.out if (each := decoded(frame)) is not None]
        traffic.heard(leg, packet, out, came.local)
