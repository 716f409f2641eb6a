"""A dump of what goes round the model beside a case: no confident verdict may stand on such a part."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose import diagnose
from bothways.facts.diagnosis import Diagnosis, Status

ROOT = Path(__file__).parents[2]
ROUTER = "host1/netns/qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
REDIRECT = """\
filter protocol {protocol} pref 49152 flower chain 0
filter protocol {protocol} pref 49152 flower chain 0 handle 0x1
  eth_type ipv4
  ip_proto {transport}
  dst_port {port}
  not_in_hw
\taction order 1: mirred (Egress Redirect to device other0) stolen
 \tindex 1 ref 1 bind 1
"""
SSH = REDIRECT.format(protocol="ip", transport="tcp", port=22)
DNS = REDIRECT.format(protocol="ip", transport="udp", port=53)
JSON = (
    '[{"protocol":"ip","pref":1,"kind":"flower","chain":0},{"protocol":"ip","pref":1,"kind":"flower","chain":0,'
    '"options":{"handle":1,"keys":{"eth_type":"ipv4","ip_proto":"tcp"},"not_in_hw":true,"actions":[{"order":1,'
    '"kind":"mirred","mirred_action":"redirect","direction":"egress","to_dev":"other0",'
    '"control_action":{"type":"stolen"},"index":1}]}}]'
)
IPVS = "-A -t {address}:22 -s rr\n-a -t {address}:22 -r 10.9.8.7:22 -m -w 1\n"
POLICY = (
    "src 0.0.0.0/0 dst {to} \n\tdir out priority 0 \n\ttmpl src 192.0.2.1 dst 192.0.2.2\n"
    "\t\tproto esp mode tunnel\n"
)
PTYPE = "Type Device      Function\n0800          ip_rcv\n0806          arp_rcv\n86dd          ipv6_rcv\n"
HOOKS = "family ip {\n\thook prerouting {\n\t\t-0000000300 iptable_raw_hook [iptable_raw]\n"
CLSACT = "qdisc clsact ffff: dev qg-5d88ef18-33 parent ffff:fff1\n"
FLOWTABLE = """
table inet fast {
\tflowtable shortcut {
\t\thook ingress priority filter
\t\tdevices = { "qg-5d88ef18-33", "qr-dcedd015-a5" }
\t}

\tchain forward {
\t\ttype filter hook forward priority filter; policy accept;
\t\tRULE
\t}
}
"""


def diagnosed(tmp_path: Path, file: str, text: str, *, add: bool = False) -> Diagnosis:
    """The diagnosis of a copy of the example with one more dump."""
    bundle = tmp_path / "bundle"
    shutil.copytree(ROOT / "examples/dual-l3", bundle)
    path = bundle / "hosts" / file
    path.write_text((path.read_text() if add else "") + text)
    return diagnose(open_bundle(bundle), remedies=False)


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        (f"{ROUTER}/tc-filter-qg-5d88ef18-33-ingress.txt", SSH, "tc filter"),
        (f"{ROUTER}/tc-filter.txt", "# tc filter show dev qr-dcedd015-a5 egress\n" + SSH, "tc filter"),
        (f"{ROUTER}/tc-filter.txt", SSH, "does not name"),
        (f"{ROUTER}/tc-filter-qg-5d88ef18-33-ingress.json", JSON, "other0"),
        ("host1/tc-filter-eth0-ingress.json", JSON, "eth0"),
        (
            f"{ROUTER}/tc-qdisc.txt",
            "qdisc netem 8001: dev qg-5d88ef18-33 root refcnt 2 limit 1000 loss 10%\n",
            "netem",
        ),
        (
            f"{ROUTER}/tc-qdisc.txt",
            "qdisc clsact ffff: dev qg-5d88ef18-33 parent ffff:fff1\n",
            "not collected",
        ),
        ("host1/netns/root/bpftool-net.txt", "xdp:\neth0(2) driver id 34\n\ntc:\n\nflow_dissector:\n", "XDP"),
        ("host1/netns/root/bpftool-net.json", '[{"xdp":[{"devname":"eth0","id":7}],"tc":[]}]', "XDP"),
        (f"{ROUTER}/ipvsadm.txt", IPVS.format(address="192.168.111.223"), "IPVS"),
        (
            f"{ROUTER}/ip_vs",
            (
                "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"
                "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  C0A86FDF:0016 rr  \n"
                "  -> 58585804:0016      Masq    1      0          0         \n"
            ),
            "IPVS",
        ),
        (f"{ROUTER}/ipvsadm.txt", IPVS.format(address="192.168.111.223").replace(":22 -s", ":0 -s"), "IPVS"),
        (f"{ROUTER}/ipvsadm.txt", IPVS.format(address="192.168.111.223").replace(":22", ":ssh"), "IPVS"),
        (f"{ROUTER}/ip-xfrm-policy.txt", POLICY.format(to="88.88.88.0/24"), "IPsec"),
        (f"{ROUTER}/ptype", PTYPE + "ALL           vendor_rcv [vendor]\n", "vendor_rcv"),
        (f"{ROUTER}/nft-hooks.txt", HOOKS + "\t\t-0000000250 vendor_hook [vendor]\n\t}\n}\n", "vendor_hook"),
    ],
)
def test_undetermined_and_named(tmp_path: Path, file: str, text: str, names: str) -> None:
    verdict = diagnosed(tmp_path, file, text)
    assert verdict.status is Status.UNDETERMINED
    assert verdict.cause is None
    assert any(names in sentence and "goes round the model" in sentence for sentence in verdict.unknown)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (f"{ROUTER}/tc-filter-qg-5d88ef18-33-ingress.txt", DNS),
        (f"{ROUTER}/tc-filter-lo-ingress.txt", SSH),
        ("host1/tc-filter-eth0-ingress.txt", SSH),
        (f"{ROUTER}/tc-filter-qg-5d88ef18-33-ingress.txt", ""),
        ("host5/netns/root/tc-filter-elsewhere0-egress.txt", SSH),
        (f"{ROUTER}/tc.txt", CLSACT + "# tc filter show dev qg-5d88ef18-33 ingress\n"),
        (f"{ROUTER}/tc-qdisc.txt", "qdisc noqueue 0: dev qg-5d88ef18-33 root refcnt 2\n"),
        (
            f"{ROUTER}/tc-s-qdisc.txt",
            (
                "qdisc fq_codel 0: dev qg-5d88ef18-33 root refcnt 2 limit 10240p flows 1024\n"
                " Sent 10 bytes 1 pkt (dropped 0, overlimits 0 requeues 0)\n backlog 0b 0p requeues 0\n"
                "  maxpacket 0 drop_overlimit 0 new_flow_count 0 ecn_mark 0\n"
            ),
        ),
        (f"{ROUTER}/tc-qdisc.json", '[{"kind":"netem","dev":"qg-5d88ef18-33","options":{"delay":{}}}]'),
        ("host1/netns/root/bpftool-net.txt", "xdp:\n\ntc:\n\nflow_dissector:\n\n"),
        ("host1/netns/root/bpftool-net.txt", "xdp:\nlo(1) generic id 3\n\ntc:\n\nflow_dissector:\n\n"),
        (f"{ROUTER}/ipvsadm.txt", IPVS.format(address="10.96.0.1")),
        (f"{ROUTER}/ipvsadm.txt", IPVS.format(address="192.168.111.223").replace(":22", ":80")),
        (f"{ROUTER}/ipvsadm.txt", IPVS.format(address="192.168.111.223").replace("-t", "-u")),
        (f"{ROUTER}/ip-xfrm-policy.txt", POLICY.format(to="10.77.0.0/24")),
        (f"{ROUTER}/ip-xfrm-policy.txt", "src 0.0.0.0/0 dst 0.0.0.0/0 \n\tsocket in priority 0 \n"),
        (f"{ROUTER}/ptype", PTYPE + "ALL  qg-5d88ef18-33 tpacket_rcv\n"),
        (f"{ROUTER}/nft-hooks.txt", HOOKS + "\t}\n}\n"),
    ],
)
def test_harmless_or_elsewhere(tmp_path: Path, file: str, text: str) -> None:
    verdict = diagnosed(tmp_path, file, text)
    assert verdict.status is Status.EXPLAINED
    assert verdict.cause is not None
    assert verdict.cause.code == "BW101"


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("ip protocol tcp flow add @shortcut", Status.UNDETERMINED),
        ("ip protocol tcp accept", Status.EXPLAINED),
    ],
)
def test_flowtable_counts_where_a_rule_adds_to_it(tmp_path: Path, rule: str, status: Status) -> None:
    verdict = diagnosed(tmp_path, f"{ROUTER}/nft.txt", FLOWTABLE.replace("RULE", rule), add=True)
    assert verdict.status is status
    assert any("flowtable shortcut" in text for text in verdict.unknown) is (status is Status.UNDETERMINED)


def test_program_of_a_device_dump(tmp_path: Path) -> None:
    file = "host1/netns/root/addr.json"
    text = (ROOT / "examples/dual-l3/hosts" / file).read_text()
    marked = text.replace('"ifname":"eth0"', '"ifname":"eth0","xdp":{"mode":2,"prog":{"id":41}}')
    assert marked != text
    verdict = diagnosed(tmp_path, file, marked)
    assert verdict.status is Status.UNDETERMINED
    assert any("XDP program at eth0 (id 41)" in sentence for sentence in verdict.unknown)
