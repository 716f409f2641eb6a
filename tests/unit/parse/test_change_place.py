"""Where a change would be made, and how its words are split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.change import SysctlEdit
from bothways.parse.change import ChangeError, parse_change

SET = "sysctl -w net.ipv4.ip_forward=1"


@pytest.mark.parametrize(
    ("text", "host", "netns"),
    [
        (SET, None, None),
        (f"h1: {SET}", "h1", None),
        (f"h1/blue: {SET}", "h1", "blue"),
        (f"  node-1.example/qrouter-5a36:   {SET}", "node-1.example", "qrouter-5a36"),
        (f"h1: sudo {SET}", "h1", None),
        (f"h1: ip netns exec blue {SET}", "h1", "blue"),
        (f"ip netns exec blue {SET}", None, "blue"),
        (f"h1: sudo ip netns exec blue sudo {SET}", "h1", "blue"),
        (f"h1/blue: ip netns exec blue {SET}", "h1", "blue"),
        (f"h1: /usr/sbin/{SET}", "h1", None),
        (f"h1: /sbin/{SET}", "h1", None),
    ],
)
def test_where_it_is_made(text: str, host: str | None, netns: str | None) -> None:
    change = parse_change(text)

    assert (change.host, change.netns) == (host, netns)
    assert change.edits == (SysctlEdit("net.ipv4.ip_forward", "1"),)


@pytest.mark.parametrize("text", ["ip -n blue link set eth0 up", "ip -netns blue link set eth0 up"])
def test_ip_names_a_namespace_by_itself(text: str) -> None:
    change = parse_change(text)

    assert change.netns == "blue"
    assert change.command == "ip link set eth0 up"


def test_the_command_is_kept_as_typed() -> None:
    assert parse_change("h1/blue: sudo  ip addr  add 192.0.2.1/24 dev eth0").command == (
        "ip addr  add 192.0.2.1/24 dev eth0"
    )


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 1, "no command"),
        ("h1: ", 5, "no command"),
        ("h1: reboot", 5, "`reboot`"),
        ("h1/blue: ip netns exec red sysctl a=1", 1, "two namespaces"),
        ("h1: ip link set eth0 up; reboot", 24, "`;`"),
        ("h1: ip link set eth0 up && reboot", 25, "`&&`"),
        ("h1: iptables-save | grep 88", 19, "`|`"),
        ("h1: sysctl 'a=1", 12, "quote"),
        ("h1: nft -f - <<<", 14, "`<<<`"),
        ("h1: nft -f - << EOF", 14, "`<<`"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, column: int, says: str) -> None:
    with pytest.raises(ChangeError) as refused:
        parse_change(text)

    assert refused.value.column == column
    assert says in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("'a=1 2'", "1 2"),
        ('"a=1 2"', "1 2"),
        ("a=1\\ 2", "1 2"),
        ("a='1'\" 2\"", "1 2"),
        ('"a=\\"1"', '"1'),
        ("'a=\\1'", "\\1"),
        ("a=\\;", ";"),
    ],
)
def test_words_are_split_as_a_shell_does(typed: str, value: str) -> None:
    assert parse_change(f"sysctl -w {typed}").edits == (SysctlEdit("a", value),)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("net.ipv4.ip_forward=1", "net.ipv4.ip_forward"),
        ("net/ipv4/ip_forward=1", "net.ipv4.ip_forward"),
        ("net/ipv4/conf/eth0.7/rp_filter=1", "net.ipv4.conf.eth0/7.rp_filter"),
        ("net.ipv4.conf.eth0/7.rp_filter=1", "net.ipv4.conf.eth0/7.rp_filter"),
    ],
)
def test_a_sysctl_in_both_spellings(typed: str, name: str) -> None:
    assert parse_change(f"sysctl {typed}").edits == (SysctlEdit(name, "1"),)


def test_several_sysctls_are_several_edits() -> None:
    assert parse_change("sysctl -qw a=1 b=2").edits == (SysctlEdit("a", "1"), SysctlEdit("b", "2"))


@pytest.mark.parametrize(
    "text", ["sysctl", "sysctl -w", "sysctl net.ipv4.ip_forward", "sysctl -a", "sysctl =1"]
)
def test_a_sysctl_that_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(ChangeError, match=r"ends too early|sets nothing"):
        parse_change(text)


#: Words that stand in changes, so that garbage comes far.
WORDS = """
h1: sudo ip -n netns exec addr address add del link set route rule neigh replace flush dev eth0 via 192.0.2.1
192.0.2.0/24 default table 100 pref lladdr 02:00:00:00:00:01 nud up down mtu 1400 iptables -t nat -A -I -D -F
-P -N -X FORWARD -j DROP -p tcp --dport 22 -m conntrack --ctstate INVALID !
nft rule chain ip t c { } ; <<< - -f
'table ip t { chain c { accept } }' type filter hook input priority 0 -310 policy accept drop notrack
ovs-ofctl add-flow del-flows mod-flows --strict br-int table=0,ip actions=drop ovs-vsctl add-port del-port --
interface
type=internal tag=1 -s -d --zone sysctl a=1 \\; " '
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=12).map(" ".join) | st.text(max_size=60))
def test_whatever_is_typed_is_read_or_refused_in_words(text: str) -> None:
    refused = None
    try:
        assert parse_change(text).edits
    except ChangeError as error:
        refused = error
    if refused is not None:
        assert str(refused)
        assert refused.column is None or 1 <= refused.column <= len(text) + 1
