"""Sets of ipset: the three forms that the tool prints."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.ipset import IpSet
from bothways.parse.ipset import parse_ipset

SAVE = """\
create admins hash:net family inet hashsize 1024 maxelem 65536 timeout 300 bucketsize 12 initval 0x5
add admins 10.0.0.0/8 timeout 120
add admins 10.9.0.0/16 timeout 0 nomatch
create web hash:ip,port family inet hashsize 64 maxelem 65536
add web 192.0.2.1,tcp:80
add web 192.0.2.2,udp:53
create all list:set size 8
add all admins
add all web
"""
LIST = """\
Name: web
Type: hash:ip,port
Revision: 6
Header: family inet hashsize 64 maxelem 65536 counters
Size in memory: 328
References: 1
Number of entries: 1
Members:
192.0.2.1,tcp:80 packets 3 bytes 180

Name: ports
Type: bitmap:port
Revision: 3
Header: range 0-1023
Size in memory: 8268
References: 0
Number of entries: 2
Members:
22
80
"""
XML = """\
<ipsets>
<ipset name="lan">
<type>hash:net</type>
<revision>7</revision>
<header><family>inet</family><hashsize>1024</hashsize></header>
<members>
<member><elem>10.0.0.0/8</elem></member>
<member><elem>10.1.0.0/16</elem><nomatch/></member>
</members>
</ipset>
</ipsets>
"""


def read(text: str) -> dict[str, IpSet]:
    parsed = parse_ipset(text, file="ipset.txt")
    assert parsed.problems == ()
    return {row.name: row for row in parsed.rows}


def test_save() -> None:
    sets = read(SAVE)
    assert list(sets) == ["admins", "web", "all"]
    assert (sets["admins"].method, sets["admins"].types) == ("hash", ("net",))
    assert [member.nomatch for member in sets["admins"].members] == [False, True]
    assert sets["admins"].members[0].options == {"timeout": "120"}
    assert sets["web"].members[0].parts == (ip_network("192.0.2.1"), (6, 80, 80))
    assert [member.parts for member in sets["all"].members] == [("admins",), ("web",)]


def test_list() -> None:
    sets = read(LIST)
    assert sets["web"].members[0].options == {"packets": "3", "bytes": "180"}
    assert sets["web"].options["counters"] == ""
    assert [member.parts[0] for member in sets["ports"].members] == [(6, 22, 22), (6, 80, 80)]


def test_xml() -> None:
    lan = read(XML)["lan"]
    assert (lan.types, lan.options["family"]) == (("net",), "inet")
    assert [member.nomatch for member in lan.members] == [False, True]


def test_range_becomes_networks() -> None:
    members = read("create r hash:ip family inet\nadd r 10.0.0.1-10.0.0.3\n")["r"].members
    assert [str(member.parts[0]) for member in members] == ["10.0.0.1/32", "10.0.0.2/31"]


@pytest.mark.parametrize(
    "line", ["add s 10.0.0.1,tcp:80,eth0", "add s nonsense", "add other 10.0.0.1", "create"]
)
def test_what_cannot_be_read_is_told(line: str) -> None:
    parsed = parse_ipset(f"create s hash:ip family inet\n{line}\n", file="ipset.txt")
    assert parsed.problems
    assert parsed.rows[0].whole is ("add s" not in line)


@given(st.text())
def test_never_raises(text: str) -> None:
    parse_ipset(text, file="f")
    parse_ipset("create s hash:net,port\nadd s " + text, file="f")
