"""What the tests of the parsers share: one short text per format, and what must hold of every outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.bridge_fdb import parse_fdb
from bothways.parse.collection import parse_collection
from bothways.parse.conntrack import parse_counters, parse_entries, parse_events
from bothways.parse.conntrack_xml import parse_entries_xml, parse_events_xml
from bothways.parse.invalid_log import parse_invalid_log
from bothways.parse.ip_json import parse_addr, parse_neigh, parse_route, parse_rule
from bothways.parse.ip_route_text import parse_neigh_text, parse_route_text, parse_rule_text
from bothways.parse.ip_text import parse_addr_text
from bothways.parse.iptables import parse_iptables
from bothways.parse.kernel_stack import parse_kernel_stacks
from bothways.parse.nft_text import parse_nft
from bothways.parse.nstat import parse_nstat
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_appctl import parse_fdb_show, parse_tunnel_neighbours
from bothways.parse.ovs_list import parse_vsctl_list
from bothways.parse.ovs_vsctl import parse_vsctl_show
from bothways.parse.ovsdb import parse_ovsdb
from bothways.parse.ss import parse_ss
from bothways.parse.sysctl import parse_sysctl

__all__ = ["FILE", "JSON", "SAMPLES", "Parser", "Sample", "assert_spans", "outcomes", "problem"]

FILE = "hosts/h1/a.txt"


class Parser(Protocol):
    def __call__(self, text: str, *, file: str, read_at: float | None = None) -> Parsed[object]: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One format: its parser, a text of it that is understood wholly, and how many rows that text has."""

    parser: Parser
    text: str
    rows: int


def outcomes(parsed: Parsed[object]) -> tuple[int, int, int, int]:
    """Rows, irrelevant lines, parts that are not modelled, malformed lines."""
    kinds = [problem.kind for problem in parsed.problems]
    return (
        len(parsed.rows),
        parsed.irrelevant,
        kinds.count(Kind.UNMODELLED),
        kinds.count(Kind.MALFORMED),
    )


def problem(parsed: Parsed[object]) -> Problem:
    """The only problem of an outcome."""
    assert len(parsed.problems) == 1, parsed.problems
    return parsed.problems[0]


def assert_spans(parsed: Parsed[object], text: str, *, whole: bool = True, file: str = FILE) -> None:
    """
    Every problem, and every row that has a span, has a place inside the text and reads as the text does.

    :param whole: a span is a whole line; one of JSON is an object, in compact form if it has several lines.
    """
    lines = (text.removeprefix("\ufeff") if whole else text).split("\n")
    for item in (*parsed.problems, *parsed.rows):
        span = item if isinstance(item, Span) else getattr(item, "span", None)
        if not isinstance(span, Span):
            continue
        assert span.file == file
        assert span.line is not None
        assert 1 <= span.line <= len(lines)
        line = lines[span.line - 1]
        assert span.column is None or 1 <= span.column <= len(line) + 1
        if whole:
            assert span.text == line.removesuffix("\r")
        elif span.column is not None and "\n" not in text.strip():
            assert line[span.column - 1 :].startswith(span.text)
    for each in parsed.problems:
        assert each.message
        assert "\n" not in each.message


_ADDR = (
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"operstate":"UNKNOWN",'
    '"link_type":"loopback","address":"00:00:00:00:00:00","addr_info":[{"family":"inet",'
    '"local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"}]},{"ifindex":2,"link_index":3,'
    '"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"operstate":"UP",'
    '"address":"02:00:00:00:00:01","link_netnsid":0,"linkinfo":{"info_kind":"veth"},"addr_info":[]}]\n'
)
_ADDR_TEXT = """\
2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
"""
_XML = (
    '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n'
    '<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>192.0.2.1</src>'
    '<dst>198.51.100.7</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>17350</sport>'
    '<dport>22</dport></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4">'
    "<src>10.0.0.4</src><dst>192.0.2.1</dst></layer3>"
    '<layer4 protonum="6" protoname="tcp"><sport>22</sport><dport>17350</dport></layer4></meta>'
    '<meta direction="independent"><state>SYN_SENT</state><timeout>119</timeout><mark>5</mark><use>1</use>'
    "<id>362857007</id><unreplied/></meta></flow>\n"
    '<flow><meta direction="original"><layer3 protonum="10" protoname="ipv6"><src>2001:db8::1</src>'
    '<dst>2001:db8::2</dst></layer3><layer4 protonum="17" protoname="udp"><sport>5</sport>'
    '<dport>53</dport></layer4></meta><meta direction="reply"><layer3 protonum="10" protoname="ipv6">'
    "<src>2001:db8::2</src><dst>2001:db8::1</dst></layer3>"
    '<layer4 protonum="17" protoname="udp"><sport>53</sport><dport>5</dport></layer4></meta>'
    '<meta direction="independent"><timeout>20</timeout><zone>7</zone><assured/></meta></flow>\n'
    "</conntrack>\nconntrack v1.4.7 (conntrack-tools): 2 flow entries have been shown.\n"
)
_FTRACE = """\
# tracer: nop
#
            sshd-812     [001] ..s1.  5311.250000: tcp_send_reset: family=AF_INET saddr=192.0.2.1:22
            sshd-812     [001] ..s1.  5311.250004: <stack trace>
 => tcp_v4_send_reset
 => tcp_v4_rcv
          <idle>-0       [000] ..s2.  5312.000001: kernel_stack:         <stack trace>
 => ip_rcv
"""
_LIST = """\
_uuid               : 11111111-0000-4000-8000-000000000001
datapath_type       : netdev
fail_mode           : secure
name                : br-int
ports               : [22222222-0000-4000-8000-000000000001]

_uuid               : 22222222-0000-4000-8000-000000000001
external_ids        : {}
interfaces          : [33333333-0000-4000-8000-000000000001]
name                : vxlan0
tag                 : 5
trunks              : []

_uuid               : 33333333-0000-4000-8000-000000000001
external_ids        : {attached-mac="02:00:00:00:00:07", "odd key"="a=b, c"}
mac_in_use          : "02:00:00:00:00:05"
name                : vxlan0
ofport              : 4
options             : {key=flow, remote_ip="192.0.2.5"}
type                : vxlan
"""
_IPTABLES = """\
# Generated by iptables-save v1.8.9
*nat
:PREROUTING ACCEPT [3:180]
:chain-1 - [0:0]
[3:180] -A PREROUTING -d 198.51.100.7/32 ! -i eth1 -p tcp -m tcp --dport 22 -j chain-1
-A PREROUTING -m comment --comment "a \\"b\\" c" -j RETURN
-A chain-1 -j DNAT --to-destination 10.0.0.4:2222
COMMIT
"""
_ENTRIES = """\
tcp      6 119 SYN_SENT src=192.0.2.1 dst=198.51.100.7 sport=17350 dport=22 [UNREPLIED] \
src=10.0.0.4 dst=192.0.2.1 sport=22 dport=17350 mark=0 use=1
"""
_FLOWS = """\
NXST_FLOW reply (xid=0x4):
 cookie=0x0, duration=517.302s, table=30, n_packets=7, n_bytes=538, priority=1024,ip,in_port=5,\
nw_dst=192.0.2.7 actions=set_field:10.0.0.4->ip_dst,load:0x43e->NXM_NX_REG3[],goto_table:40
 cookie=0x0, table=40, priority=0 \
actions=ct(commit,zone=5,nat(src=10.0.0.1-10.0.0.9:1024-2048)),resubmit(,41)
"""
_PORTS = """\
OFPT_FEATURES_REPLY (xid=0x2): dpid:0000000000000001
 8(qg-1): addr:02:00:00:00:00:08
     config:     PORT_DOWN
     state:      LINK_DOWN
 LOCAL(br-ex): addr:02:00:00:00:00:01
     config:     0
     state:      0
"""
_SHOW = """\
2d5a30b4-0b4e-4a39-9d3c-0a1f6f3a1b2c
    Bridge br-int
        fail_mode: secure
        datapath_type: netdev
        Port vxlan0
            tag: 5
            Interface vxlan0
                type: vxlan
                options: {key=flow, local_ip="192.0.2.1", remote_ip="192.0.2.2"}
    ovs_version: "3.1.0"
"""
_OVSDB = (
    '{"caption":"Bridge table","headings":["_uuid","name","ports","fail_mode"],'
    '"data":[[["uuid","b1"],"br-int",["uuid","p1"],"secure"]]}\n'
    '{"caption":"Port table","headings":["_uuid","interfaces","tag"],'
    '"data":[[["uuid","p1"],["uuid","i1"],7]]}\n'
    '{"caption":"Interface table","headings":["_uuid","name","ofport","type"],'
    '"data":[[["uuid","i1"],"tap1",3,""]]}\n'
)
_STACK = """\
[59039.551150]  [<ffffffff816abfe9>] dev_hard_start_xmit+0x169/0x3d0
[59039.551155]  [<ffffffff816aba70>] ? netif_skb_features+0xb0/0x1e0
"""
_NFT = """\
table netdev guard {
	chain in {
		type filter hook ingress device "eth0" priority filter; policy drop;
	}
}
"""

#: the name of a format -> its sample
SAMPLES: Mapping[str, Sample] = {
    "addr": Sample(parse_addr, _ADDR, 2),
    "addr_text": Sample(parse_addr_text, _ADDR_TEXT, 1),
    "route": Sample(
        parse_route,
        '[{"dst":"default","gateway":"192.0.2.254","dev":"eth0","protocol":"static","flags":[]}]',
        1,
    ),
    "route_text": Sample(parse_route_text, "default via 192.0.2.254 dev eth0 proto static metric 100\n", 1),
    "rule": Sample(parse_rule, '[{"priority":0,"src":"all","table":"local"}]', 1),
    "rule_text": Sample(parse_rule_text, "32766:\tfrom all lookup main\n", 1),
    "neigh": Sample(
        parse_neigh,
        '[{"dst":"192.0.2.1","dev":"eth0","lladdr":"02:00:00:00:00:01","state":["REACHABLE"]}]',
        1,
    ),
    "neigh_text": Sample(parse_neigh_text, "192.0.2.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n", 1),
    "fdb": Sample(
        parse_fdb,
        '[{"mac":"33:33:00:00:00:01","ifname":"eth0","flags":["self"],"state":"permanent"}]',
        1,
    ),
    "iptables": Sample(parse_iptables, _IPTABLES, 1),
    "conntrack": Sample(parse_entries, _ENTRIES, 1),
    "conntrack_events": Sample(parse_events, "[1700000000.125000]\t    [NEW] " + _ENTRIES, 1),
    "conntrack_stats": Sample(parse_counters, "cpu=0   \tfound=0 invalid=6 insert=0 drop=0\n", 1),
    "invalid_log": Sample(
        parse_invalid_log,
        "1700000000.5 prefix='nf_ct_proto_6: invalid new ' 192.0.2.1:22 > 192.0.2.2:17350 "
        "flags=0x04 seq=1 ack=0\n",
        1,
    ),
    "ss": Sample(
        parse_ss,
        "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port\n"
        "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n",
        1,
    ),
    "sysctl": Sample(parse_sysctl, "net.ipv4.ip_forward = 1\n", 1),
    "flows": Sample(parse_flows, _FLOWS, 2),
    "ports": Sample(parse_ports, _PORTS, 2),
    "vsctl_show": Sample(parse_vsctl_show, _SHOW, 1),
    "ovsdb": Sample(parse_ovsdb, _OVSDB, 1),
    "fdb_show": Sample(
        parse_fdb_show,
        " port  VLAN  MAC                Age\n    5     0  02:00:00:00:00:01    1\n",
        1,
    ),
    "tnl_neigh": Sample(
        parse_tunnel_neighbours,
        "IP                                            MAC                 Bridge\n"
        "==========================================================================\n"
        "192.0.2.2                                     02:00:00:00:00:02   br-phy\n",
        1,
    ),
    "kernel_stack": Sample(parse_kernel_stacks, _STACK, 1),
    "ftrace": Sample(parse_kernel_stacks, _FTRACE, 2),
    "conntrack_xml": Sample(parse_entries_xml, _XML, 2),
    "conntrack_events_xml": Sample(parse_events_xml, _XML.replace("<flow>", '<flow type="destroy">'), 2),
    "nstat": Sample(parse_nstat, "#kernel\nIpInReceives        7     0.0\nTcpExtListenDrops  0  0.0\n", 2),
    "vsctl_list": Sample(parse_vsctl_list, _LIST, 3),
    "nft": Sample(parse_nft, _NFT, 1),
    "collection": Sample(
        parse_collection, '{"host":"h1","argv":["ip","-j","addr"],"start":1700000000.0,"exit":0}\n', 1
    ),
}  # fmt: skip

#: names of formats whose text is JSON or XML: a row is an object and no line
JSON: frozenset[str] = frozenset({
    "addr", "route", "rule", "neigh", "fdb", "ovsdb", "collection", "conntrack_xml", "conntrack_events_xml",
})  # fmt: skip
