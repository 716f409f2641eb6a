"""
IPv6, and VXLAN of the kernel: the incident with a floating IPv6 address, and sites that were recorded.

`ipv6-dual` and `ipv6-single` are the incident and its healthy twin, written by hand in the shape of real
dumps. `ipv6-translated` and the `kernel-vxlan` ones were recorded in namespaces in which the connection
worked.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from verdicts import told

from bothways.bundle import open_bundle
from bothways.facts.address import address
from bothways.facts.diagnosis import Fate
from bothways.facts.prediction import Prediction
from bothways.facts.question import Question
from bothways.model.world import predict

DATA = Path(__file__).parent / "data"


def predicted(bundle: Path, source: str = "", destination: str = "", port: int = 0) -> Prediction:
    opened = open_bundle(bundle)
    question = opened.question
    if source:
        question = Question("tcp", address(source), address(destination), port)
    assert question is not None
    return predict(opened.snapshot, question)


def fate(bundle: Path, *flow: object) -> Fate:
    walks = predicted(bundle, *flow).walks  # type: ignore[arg-type]  # the table's columns
    assert len(walks) == 1
    return walks[0].fate


@pytest.mark.parametrize(
    ("name", "flow"),
    [
        ("ipv6-single", ()),
        ("ipv6-translated", ()),
        ("ipv6-translated", ("2001:db8:1::2", "fd00:2::2", 8080)),
        ("kernel-vxlan", ()),
        ("kernel-vxlan", ("fd09::1", "fd09::2", 8080)),
        ("kernel-vxlan", ("10.9.0.2", "10.9.0.1", 22)),
        ("kernel-vxlan-over-ipv6", ()),
        ("kernel-vxlan-over-ipv6", ("fd09::1", "fd09::2", 8080)),
    ],
)
def test_what_worked_when_it_was_recorded_is_predicted_to_work(name: str, flow: tuple[object, ...]) -> None:
    expected = Fate.REFUSED if flow[2:] == (22,) else Fate.WORKS

    assert fate(DATA / name, *flow) is expected


def test_the_incident_with_an_ipv6_address_is_explained() -> None:
    answer = told(DATA / "ipv6-dual")

    assert (answer["status"], answer["cause"]["code"]) == ("explained", "BW101")
    (author,) = answer["authors"]
    assert (author["host"], author["netns"], author["function"]) == (
        "host1",
        "qrouter-6",
        "tcp_v6_send_reset",
    )
    assert any("ipv6_src" in culprit["evidence"]["text"] for culprit in answer["culprits"])
    assert told(DATA / "ipv6-single")["status"] == "healthy"


def changed(tmp_path: Path, name: str, file: str, change: Callable[[str], str]) -> Path:
    bundle = tmp_path / name
    shutil.copytree(DATA / name, bundle)
    path = bundle / "hosts" / file
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    return bundle


RULES = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{}\nCOMMIT\n"


def _short(text: str) -> str:
    return re.sub(r'("ifname":"vx42".*?"mtu":)\d+', r"\g<1>50", text)


@pytest.mark.parametrize(
    ("host", "file", "change", "words"),
    [
        (
            "hostb",
            "iptables-save.txt",
            lambda _: RULES.format("-A INPUT -p udp -m udp --dport 4789 -j DROP"),
            "a rule drops it",
        ),
        ("hostb", "addr.json", lambda text: text.replace('"id":42', '"id":43'), "VNI 0x2a"),
        ("hostb", "addr.json", _short, "does not fit vx42"),
        ("hosta", "fdb.json", lambda _: "[]", "says where"),
    ],
    ids=["firewall", "another VNI", "short", "no remote"],
)
def test_what_breaks_a_tunnel_of_the_kernel_is_named(
    tmp_path: Path, host: str, file: str, change: Callable[[str], str], words: str
) -> None:
    where = f"{host}/netns/root/{file}"
    (walk,) = predicted(changed(tmp_path, "kernel-vxlan", where, change)).walks
    reasons = [s.reason for j in walk.journeys for b in j.branches for s in b.steps]

    assert walk.fate in (Fate.TIMEOUT, Fate.STALL, Fate.UNKNOWN)
    assert any(words in reason for reason in reasons)


@pytest.mark.parametrize(
    ("name", "file", "change", "expected", "words"),
    [
        (
            "ipv6-translated",
            "router/netns/root/sysctl.txt",
            lambda text: text.replace("net.ipv6.conf.all.forwarding = 1", "net.ipv6.conf.all.forwarding = 0"),
            Fate.TIMEOUT,
            "net.ipv6.conf.all.forwarding=0",
        ),
        (
            "ipv6-translated",
            "router/netns/root/ip6tables-save.txt",
            lambda text: text.replace("--dport 8080 -j ACCEPT", "--dport 8080 -j REJECT"),
            Fate.REFUSED,
            "Connection refused",
        ),
        (
            "ipv6-translated",
            "router/netns/root/ip6tables-save.txt",
            lambda text: text.replace(
                "--dport 8080 -j ACCEPT", "--dport 8080 -j REJECT --reject-with icmp6-adm-prohibited"
            ),
            Fate.ICMP_ERROR,
            "Permission denied",
        ),
        (
            "ipv6-translated",
            "client/netns/root/route.json",
            lambda text: text.replace('"dst":"2001:db8:1::/64"', '"dst":"2001:db8:9::/64"').replace(
                '"dst":"default"', '"dst":"2001:db8:8::/64"'
            ),
            Fate.ICMP_ERROR,
            "Network is unreachable",
        ),
    ],
    ids=["forwarding off", "reject", "prohibited", "no route"],
)
def test_what_ends_a_connection_over_ipv6_is_named(
    tmp_path: Path, name: str, file: str, change: Callable[[str], str], expected: Fate, words: str
) -> None:
    (walk,) = predicted(changed(tmp_path, name, file, change)).walks

    assert (walk.fate, words in walk.why) == (expected, True)
