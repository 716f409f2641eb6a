"""What a command line says of its output and its place, against tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.parse.command import Command, read_command
from bothways.parse.programs import PROGRAMS


@pytest.mark.parametrize(
    ("typed", "kind", "netns"),
    [
        ("ip a", "addr", ""),
        ("ip -d -j addr", "addr", ""),
        ("/sbin/ip address show", "addr", ""),
        ("ip netns exec qr-1 ip r", "route", "qr-1"),
        ("sudo ip -n qr-1 -j route show table all", "route", "qr-1"),
        ("ip -netns qr-1 ru", "rule", "qr-1"),
        ("ip nei", "neigh", ""),
        ("sudo -u root -E time ip netns exec a iptables-save -c", "iptables", "a"),
        ("LANG=C timeout -k 1 10 ip6tables-save", "ip6tables", ""),
        ("nsenter --net=/var/run/netns/cni-7 ss -tan", "ss", "cni-7"),
        ("nsenter -t 1 -n ss -tan", "ss", "root"),
        ("nsenter -t 4711 -n ss -tan", "ss", None),
        ("docker exec -it -u root agent ip a", "addr", None),
        ("docker exec agent ip netns exec qr-1 ip a", "addr", "qr-1"),
        ("kubectl -n kube-system exec pod-1 -c c -- conntrack -L", "conntrack", None),
        ("docker exec ovs ovs-ofctl dump-flows br-int", "flows", ""),
        ("bash -c 'ip netns exec qr-1 sysctl -a'", "sysctl", "qr-1"),
        ("ovs-appctl fdb/show br-int", "ovs-fdb", ""),
        ("ovs-ofctl -O OpenFlow13 dump-groups br-int", "groups", ""),
        ("ovs-ofctl dump-tlv-map br-int", "tlv-map", ""),
        ("ovs-vsctl --no-headings show", "vsctl-show", ""),
        ("conntrack -E -o timestamp,extended,id", "conntrack-events", ""),
        ("ip -all netns exec ip a", "addr", None),
    ],
)
def test_what_is_printed_and_where(typed: str, kind: str, netns: str | None) -> None:
    command = read_command(typed)

    assert command.output is not None
    assert (command.output.kind, command.netns, command.view) == (kind, netns, None)


@pytest.mark.parametrize(
    ("typed", "view"),
    [
        ("ovs-ofctl -O OpenFlow13 dump-flows br-int | grep 88.4", "grep 88.4"),
        ("ovs-ofctl dump-flows br-int table=20", "table=20"),
        ("ovs-ofctl dump-flows br-int 2>/dev/null | tee flows.txt", None),
        ("ovs-ofctl dump-flows br-int |& grep a | head -3 | less", "grep a | head -3"),
        ("iptables-save -t nat", "iptables-save -t nat"),
        ("iptables -t nat -S", "iptables -t nat -S"),
        ("ip a show dev eth0", "ip a show dev eth0"),
        ("ip -4 a", "ip -4 a"),
        ("ip route show table all", None),
        ("conntrack -L -o extended", None),
        ("conntrack -L -p tcp", "conntrack -L -p tcp"),
        ("ss -tan | grep '|'", "grep '|'"),
        ("ss -tn", "ss -tn"),
        ("sysctl net.ipv4.ip_forward", "sysctl net.ipv4.ip_forward"),
        ("sysctl -a", None),
        ("ip a; ip r", "several commands in one line"),
    ],
)
def test_a_filtered_view_says_so(typed: str, view: str | None) -> None:
    assert read_command(typed).view == view


@pytest.mark.parametrize(
    ("typed", "device", "filter_"),
    [
        ("tcpdump -ni any tcp port 22 and host not 192.0.2.12", "any", "tcp port 22 and host not 192.0.2.12"),
        ("tcpdump -nnvvi eth0", "eth0", ""),
        ("tcpdump -ieth0 -s0 'tcp port 22'", "eth0", "tcp port 22"),
        ("tcpdump --interface=eth0 -s 96 -l arp", "eth0", "arp"),
        ("tcpdump -U -n arp", "", "arp"),
        ("tcpdump -c 5 -ni eth0 arp", "eth0", None),
        ("tcpdump -Q in -ni eth0 arp", "eth0", None),
        ("tcpdump -nr x.pcap arp", "", None),
    ],
)
def test_a_capture_names_its_tap_and_what_it_recorded(typed: str, device: str, filter_: str | None) -> None:
    output = read_command(typed).output

    assert output is not None
    assert (output.kind, output.device, output.filter) == ("tcpdump", device, filter_)


@pytest.mark.parametrize(
    ("typed", "elsewhere"),
    [
        ("ip a > addr.txt", True),
        ("ip a >> addr.txt 2>&1", True),
        ("ip a 2> errors", False),
        ("ip a 2>&1", False),
        ("ip a | tee addr.txt", False),
        ("ip a > /dev/stdout", False),
    ],
)
def test_output_that_went_into_a_file(typed: str, *, elsewhere: bool) -> None:
    assert read_command(typed).elsewhere is elsewhere


@pytest.mark.parametrize(
    ("typed", "host", "netns", "enters"),
    [
        ("ssh root@net-1", "net-1", "", True),
        ("ssh -p 2222 -t root@net-1 'sudo ip netns exec q ip a'", "net-1", "q", False),
        ("ip netns exec q bash", None, "q", True),
        ("sudo -i", None, "", True),
        ("docker exec -it agent bash", None, None, True),
    ],
)
def test_shells_in_other_places(typed: str, host: str | None, netns: str | None, *, enters: bool) -> None:
    command = read_command(typed)

    assert (command.host, command.netns, command.enters) == (host, netns, enters)


@pytest.mark.parametrize(
    "typed", ["ping 192.0.2.1", "ip route get 192.0.2.1", "ip addr add 192.0.2.1/24 dev a", "ls", ""]
)
def test_what_says_nothing_of_packets(typed: str) -> None:
    assert read_command(typed) == Command(typed)


@pytest.mark.parametrize(
    ("typed", "instead"), [("iptables -nvL", "iptables-save -c"), ("ifconfig -a", "ip addr")]
)
def test_tools_whose_output_is_not_read_have_a_successor(typed: str, instead: str) -> None:
    output = read_command(typed).output

    assert output is not None
    assert (output.kind, output.instead) == ("unread", instead)


_WORDS = st.sampled_from(
    [
        *PROGRAMS,
        "sudo",
        "ssh",
        "docker",
        "exec",
        "netns",
        "nsenter",
        "-n",
        "-i",
        "--",
        "|",
        ">",
        "'",
        '"',
        "\\",
        ";",
        "a",
    ]
)


@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=12).map(" ".join)))
def test_no_command_line_raises(text: str) -> None:
    assert read_command(text).text == text.strip()
