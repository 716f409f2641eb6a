"""``predict --as``: one outcome in the words of the tools."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bothways.cli import main

ROOT = Path(__file__).resolve().parents[3]
DUAL = str(ROOT / "examples" / "dual-l3")
INCIDENT = str(ROOT / "examples" / "incident")
ROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, ["predict", *argv])


def blocks(text: str) -> dict[str, list[str]]:
    """Lines by the command that would print them."""
    found: dict[str, list[str]] = {}
    for block in text.split("\n\n")[1:]:
        head, *lines = block.strip().split("\n")
        found[head] = lines
    return found


def test_tcpdump_prints_every_tap() -> None:
    result = run(DUAL, "--as", "tcpdump")

    assert result.exit_code == 0
    taps = blocks(result.stdout)
    assert len(taps) == 11
    view = "arp or icmp or tcp port 22 or udp port 4789"
    qg = taps[f"# host1: ip netns exec {ROUTER} tcpdump -nnS -i qg-5d88ef18-33 {view}"]
    ends = "192.168.111.210.17350 > 192.168.111.223.22: Flags"
    said = [line.partition(" ")[2] for line in qg if " IP " in line]
    assert said[:2] == [
        f"IP {ends} [S], seq 1000000, win 64240, length 0",
        f"IP {ends} [.], ack 5000001, win 64240, length 0",
    ]
    assert said[2].startswith("IP 192.168.111.223.22 > 192.168.111.210.17350: Flags [R], seq 5000001")
    everything = taps[f"# host5: tcpdump -nnS -i any {view}"]
    assert "tap2d386740-3b Out IP" in "\n".join(everything)
    assert any("VXLAN, flags [I] (0x08), vni 1086" in line for line in everything)


def test_another_outcome_is_another_capture() -> None:
    one, two = (run(DUAL, "--as", "tcpdump", "--outcome", each).stdout for each in "12")

    assert "# outcome 1 of 2: reset" in one
    assert "# outcome 2 of 2: works" in two
    assert "Flags [R]" in one
    assert "Flags [R]" not in two


def test_steps_of_one_outcome() -> None:
    result = run(DUAL, "--outcome", "2")

    assert "PREDICTED: works" in result.stdout
    assert "Outcome" not in result.stdout


def test_stacks_have_the_innermost_function_first() -> None:
    result = run(DUAL, "--as", "stack")

    syn = result.stdout.partition("\nSYN from client")[2].partition("\nARP ")[0].splitlines()
    router = syn[syn.index(f"  host1/{ROUTER}") + 1 :]
    functions = [line.split()[0] for line in router if line.startswith("    ")]
    assert functions[:2] == ["dev_hard_start_xmit", "ip_output"]
    assert functions.index("nf_nat_inet_fn") < functions.index("nf_conntrack_in") < functions.index("ip_rcv")
    assert any(
        "nf_conntrack_in" in line and "invalid [SYN_SENT/original/ACK]" in line
        for line in result.stdout.split("\n")
    )


def test_one_file_holds_all_taps(tmp_path: Path) -> None:
    path = tmp_path / "all.pcapng"

    result = run(DUAL, "--as", "pcap", "-o", str(path))

    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert path.read_bytes().count(b"host5:eth1") == 1


@pytest.mark.needs("tcpdump")
def test_a_folder_holds_a_file_for_each_tap_that_tcpdump_reads(tmp_path: Path) -> None:
    result = run(DUAL, "--as", "pcap", "-o", str(tmp_path / "taps"))

    files = sorted((tmp_path / "taps").iterdir())
    assert sorted(result.stdout.split()) == [str(each) for each in files]
    assert len(files) == 11
    told = blocks(run(DUAL, "--as", "tcpdump").stdout)
    shown = next(lines for head, lines in told.items() if "qg-5d88ef18-33" in head)
    env = {**os.environ, "TZ": "UTC"}
    argv = ["tcpdump", "-nnSr", str(tmp_path / "taps" / f"host1.{ROUTER}.qg-5d88ef18-33.pcapng")]
    assert (
        subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.splitlines() == shown
    )


@pytest.mark.needs("tshark")
def test_tshark_finds_nothing_wrong_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "all.pcapng"
    run(DUAL, "--as", "pcap", "-o", str(path))

    wrong = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0"
    checks = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    argv = ["tshark", "-r", str(path), *checks]
    every = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    bad = subprocess.run([*argv, "-Y", wrong], capture_output=True, text=True, check=True).stdout

    assert len(every.splitlines()) > 90
    assert bad == ""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--as", "pcap"], ["-o does not name one", "-o FILE.pcapng"]),
        (["-o", "x.pcapng"], ["--as steps prints text", "--as pcap"]),
        (["--as", "tcpdump", "--json"], ["--json prints the whole prediction"]),
        (["--outcome", "9"], ["there is no outcome 9", "2 outcomes"]),
        (["--outcome", "0"], ["0 is not in the range"]),
        (["--as", "wireshark"], ["'wireshark' is not one of"]),
    ],
)
def test_what_does_not_go_together(argv: list[str], said: list[str]) -> None:
    result = run(DUAL, *argv)

    assert result.exit_code == 2
    assert result.stdout == ""
    for each in said:
        assert each in result.stderr


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = run(DUAL, "--as", "pcap", "-o", str(tmp_path / "file" / "x.pcapng"))

    assert result.exit_code == 4
    assert "cannot be written" in result.stderr


def test_dumps_that_are_too_few_give_no_packets() -> None:
    result = run(INCIDENT, "--as", "tcpdump")

    assert result.exit_code == 0
    assert "no collected namespace holds this address" in result.stdout
    assert "Flags" not in result.stdout


def test_conntrack_prints_every_namespace_that_tracks() -> None:
    told = blocks(run(DUAL, "--as", "conntrack").stdout)

    lines = told[f"# host1: ip netns exec {ROUTER} conntrack -E"]
    assert [line.split("]")[0].strip() for line in lines] == ["[NEW", "[DESTROY"]
    assert "src=192.168.111.210 dst=192.168.111.223 sport=17350 dport=22 [UNREPLIED]" in lines[0]


def test_beside_lays_what_was_recorded_beside_it() -> None:
    result = run(DUAL, "--as", "beside")

    assert result.exit_code == 0
    assert "are both recorded and predicted" in result.stdout
    refused = run(DUAL, "--as", "beside", "--outcome", "2")
    assert (refused.exit_code, "--as beside" in refused.stderr) == (2, True)
