"""Where loose evidence was taken: told by options, prompts and names, or asked for with the option to add."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from bothways.bundle import Bundle, BundleError, open_evidence
from bothways.bundle.place import Place, read_places

SYN = "19:25:18.052823 IP 192.0.2.1.17350 > 192.0.2.2.22: Flags [S], length 0"
ADDR = "2: eth0: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP\n    inet 192.0.2.2/24 scope global eth0\n"
QG = "7: qg-1: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP\n"
FLOWS = " cookie=0x0, table=0, priority=1 actions=NORMAL\n"
PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
RULES = "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"


def opened(
    home: Path, files: Mapping[str, str | bytes], taps: tuple[str, ...] = (), places: tuple[str, ...] = ()
) -> Bundle:
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return open_evidence([home / name for name in files], taps, places)


def taps(bundle: Bundle) -> list[str]:
    return [str(capture.tap) for capture in bundle.captures]


def refused(home: Path, files: Mapping[str, str | bytes], *options: str) -> BundleError:
    with pytest.raises(BundleError) as caught:
        opened(home, files, tuple(each for each in options if ":" in each))
    return caught.value


def test_a_prompt_tells_host_namespace_and_device(tmp_path: Path) -> None:
    bundle = opened(tmp_path, {"t.txt": f"root@a:~# ip netns exec q tcpdump -ni qg-1 tcp port 22\n{SYN}\n"})

    assert taps(bundle) == ["a/q:qg-1"]
    assert bundle.captures[0].filter == "tcp port 22"


def test_one_file_alone_is_of_the_host_here(tmp_path: Path) -> None:
    assert taps(opened(tmp_path, {"eth0.pcap": PCAP})) == ["here:eth0"]
    assert list(opened(tmp_path, {"addr.txt": ADDR}).snapshot.hosts) == ["here"]


def test_one_stretch_of_a_nameless_terminal_is_of_the_host_here(tmp_path: Path) -> None:
    bundle = opened(tmp_path, {"t.txt": f"# ip a\n{ADDR}# tcpdump -ni eth0\n{SYN}\n"})

    assert taps(bundle) == ["here:eth0"]
    devices = bundle.snapshot.hosts["here"].netns["root"].devices
    assert devices is not None
    assert [device.name for device in devices] == ["eth0"]


def test_two_stretches_of_a_nameless_terminal_may_be_two_machines(tmp_path: Path) -> None:
    text = f"# ip a\n{ADDR}\nand there:\n\n# tcpdump -ni eth0\n{SYN}\n"
    error = refused(tmp_path, {"t.txt": text})
    file = (tmp_path / "t.txt").as_posix()

    assert "nothing says where" in error.message
    each = f"--place HOST={file}:1 --tap HOST:eth0={file}:7"
    assert error.hint == f"if all of it is of one host, add --place HOST={file}; else add {each}"
    bundle = opened(tmp_path, {"t.txt": text}, places=(f"a={file}",))
    assert (list(bundle.snapshot.hosts), taps(bundle)) == (["a"], ["a:eth0"])
    bundle = opened(tmp_path, {"t.txt": text}, (f"b:eth0={file}:7",), (f"a={file}:1",))
    assert (sorted(bundle.snapshot.hosts), taps(bundle)) == (["a", "b"], ["b:eth0"])


def test_two_captures_without_a_place_are_asked_for_together(tmp_path: Path) -> None:
    error = refused(tmp_path, {"one.pcap": PCAP, "host5-any.pcap": PCAP})

    assert "one.pcap` (a capture), " in error.message
    assert f"--tap HOST/NETNS:DEVICE={tmp_path / 'one.pcap'}" in error.hint
    assert f"--tap host5:any={tmp_path / 'host5-any.pcap'}" in error.hint


@pytest.mark.parametrize("kind", [PCAP, SYN + "\n"], ids=["pcap", "text"])
def test_the_options_that_were_asked_for_are_enough(tmp_path: Path, kind: str | bytes) -> None:
    files = {"one": kind, "two": kind}
    for name in files:
        (tmp_path / name).write_bytes(kind.encode() if isinstance(kind, str) else kind)
    error = refused(tmp_path, files)
    words = error.hint.removeprefix("add ").split()
    given = [
        w.replace("HOST", "h").replace("NETNS", f"n{i}").replace("DEVICE", "d") for i, w in enumerate(words)
    ]

    bundle = open_evidence([tmp_path / name for name in files], [w for w in given if w != "--tap"])
    assert taps(bundle) == ["h/n1:d", "h/n3:d"]


@pytest.mark.parametrize(
    ("name", "tap"),
    [
        ("a-qg-1.pcap", "a/q:qg-1"),
        ("a_eth0.pcap", "a:eth0"),
        ("a.any.pcap", "a:any"),
        ("a/qg-1.pcap", "a/q:qg-1"),
        ("a-q-qg-1.pcap", "a/q:qg-1"),
        ("hosts/b/captures/n/eth9.pcap", "b/n:eth9"),
    ],
)
def test_a_name_tells_the_place_where_it_can_mean_one_thing(tmp_path: Path, name: str, tap: str) -> None:
    terminal = f"root@a:~# ip a\n{ADDR}root@a:~# ip netns exec q ip a\n{QG}"

    assert taps(opened(tmp_path, {"t.txt": terminal, name: PCAP})) == [tap]


@pytest.mark.parametrize(
    "name", ["x-qg-1.pcap", "a-qg-2.pcap", "a.pcap", "ab-eth0.pcap", "a-any-qg-1-eth0x.pcap"]
)
def test_a_name_that_tells_nothing_or_two_things_is_asked(tmp_path: Path, name: str) -> None:
    terminal = f"root@a:~# ip a\n{ADDR}root@a:~# ip netns exec q ip a\n{QG}"
    if name == "a-any-qg-1-eth0x.pcap":
        terminal += f"root@a:~# ip netns exec r ip a\n{QG}"

    assert "--tap" in refused(tmp_path, {"t.txt": terminal, name: PCAP}).hint


def test_a_capture_ran_where_a_terminal_wrote_it(tmp_path: Path) -> None:
    terminal = "root@a:~# ip netns exec q tcpdump -ni qg-1 -w /var/tmp/x.pcap tcp port 22\nroot@a:~# \n"
    bundle = opened(tmp_path, {"t.txt": terminal, "x.pcap": PCAP})

    assert taps(bundle) == ["a/q:qg-1"]
    assert bundle.captures[0].filter == "tcp port 22"


def test_flows_need_a_bridge_and_a_name_may_tell_it(tmp_path: Path) -> None:
    assert "--place HOST:BRIDGE=" in refused(tmp_path, {"flows.txt": FLOWS}).hint
    bundle = opened(tmp_path, {"br-int.flows.txt": FLOWS})
    assert list(getattr(bundle.snapshot.hosts["here"].switch, "bridges", {})) == ["br-int"]


def test_what_ran_in_a_container_is_left_out_and_said(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        {"t.txt": f"root@a:~# ip a\n{ADDR}root@a:~# docker exec c ip r\ndefault via 192.0.2.9 dev e\n"},
    )
    (problem,) = bundle.problems

    assert "it ran in a container" in problem.message
    assert problem.hint == f"add --place a/NETNS={tmp_path / 't.txt'}:4"
    assert problem.span.text == "root@a:~# docker exec c ip r"
    assert bundle.snapshot.hosts["a"].netns["root"].routes is None


def test_short_and_long_names_of_a_host_are_one(tmp_path: Path) -> None:
    bundle = opened(
        tmp_path,
        {"t.txt": f"root@a:~# ip a\n{ADDR}me@a.example.org:~$ ip r\ndefault via 192.0.2.9 dev eth0\n"},
    )

    assert list(bundle.snapshot.hosts) == ["a"]


@pytest.mark.parametrize(
    ("option", "place", "line"),
    [
        ("a=f.txt", Place("a", None, None), None),
        ("a/q=f.txt:12", Place("a", "q", None), 12),
        ("a:br-int=x/f.txt", Place("a", None, "br-int"), None),
    ],
)
def test_options(option: str, place: Place, line: int | None) -> None:
    (said,) = read_places((), (option,))

    assert (said.place, said.line) == (place, line)


@pytest.mark.parametrize(("taps_", "places"), [(("a=f",), ()), (("x",), ()), ((), ("f",)), ((), ("=f",))])
def test_options_of_another_form(taps_: tuple[str, ...], places: tuple[str, ...]) -> None:
    with pytest.raises(BundleError, match="is not a place, expected"):
        read_places(taps_, places)


def test_an_option_for_what_is_not_there(tmp_path: Path) -> None:
    error = refused(tmp_path, {"x.pcap": PCAP}, "a:b=y.pcap")

    assert "names no evidence: there is no capture in `y.pcap`" in error.message


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"x.txt": "only prose here"}, "no evidence was found"),
        ({"x.txt": ""}, "no evidence was found"),
    ],
)
def test_what_holds_nothing(tmp_path: Path, files: Mapping[str, str], said: str) -> None:
    error = refused(tmp_path, files)

    assert said in error.message
    assert "expected captures" in error.hint


def test_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        open_evidence([tmp_path / "nope.txt"])


def test_a_bundle_among_files_and_a_bundle_with_options(tmp_path: Path) -> None:
    (tmp_path / "case" / "hosts" / "a").mkdir(parents=True)
    (tmp_path / "x.pcap").write_bytes(PCAP)

    with pytest.raises(BundleError, match="is a bundle of its own"):
        open_evidence([tmp_path / "case", tmp_path / "x.pcap"])
    with pytest.raises(BundleError, match="its files have their places"):
        open_evidence([tmp_path / "case"], ["a:b=c"])
    with pytest.raises(BundleError, match="a part of a bundle"):
        open_evidence([tmp_path / "case" / "hosts"])


def test_a_folder_that_is_no_bundle_gives_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.txt").write_text(f"root@a:~# tcpdump -ni eth0\n{SYN}\n")
    (tmp_path / "in" / "a-eth0.iptables-save.txt").write_text(RULES)
    bundle = open_evidence([tmp_path / "in"], places=[f"a={tmp_path / 'in' / 'a-eth0.iptables-save.txt'}"])

    assert taps(bundle) == ["a:eth0"]
    assert bundle.snapshot.hosts["a"].netns["root"].iptables is not None
