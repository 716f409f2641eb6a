"""
A running ``ovs-vswitchd`` and the model, asked the same about the same small flow tables.

The switch is private: its own database, run directory and network namespace, a dummy datapath, nothing of
the machine's own Open vSwitch. It is ended by its process ID.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge
from bothways.model.openflow.pipeline import MacTable, process
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_assemble import merge_bridge

sys.path.append(str(Path(__file__).parents[1] / "unit" / "model"))
from openflow_datapath import Copy, cut, interpret, looks
from openflow_samples import Asked, arrival

pytestmark = [pytest.mark.live, pytest.mark.needs("ovs-vswitchd", "ovs-ofctl", "ip")]

PORTS = (1, 2, 3, 4)
MACS = "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
IP = f"{MACS},nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64"
ARP = "arp_spa=10.0.0.1,arp_tpa=10.0.0.9,arp_op=1,arp_sha=02:00:00:00:00:01,arp_tha=00:00:00:00:00:00"

#: what it is about -> flows, and packets to send through them
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "priorities and masks": (
        """
        priority=30,ip,nw_dst=10.0.0.0/24 actions=output:2
        priority=20,tcp,tp_dst=0x10/0xfff0 actions=output:3
        priority=10,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=FLOOD
        priority=0 actions=drop
        """,
        (
            f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",
            f"in_port=1,tcp,{MACS},nw_src=10.0.0.1,nw_dst=10.9.0.2,nw_ttl=4,tp_src=9,tp_dst=22",
            f"in_port=1,udp,{MACS},nw_src=10.0.0.1,nw_dst=10.9.0.2,nw_ttl=4,udp_src=9,udp_dst=22",
            f"in_port=3,arp,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,{ARP}",
        ),
    ),
    "an ARP responder": (
        """
        arp,arp_tpa=10.0.0.9,arp_op=1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
set_field:02:00:00:00:00:09->eth_src,load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],\
move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0x20000000009->NXM_NX_ARP_SHA[],load:0xa000009->NXM_OF_ARP_SPA[],IN_PORT
        """,
        (
            f"in_port=1,arp,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,{ARP}",
            f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",
        ),
    ),
    "TTL in a list that another list entered": (
        """
        table=0 actions=resubmit(,1),output:3
        table=1,ip actions=dec_ttl,output:2
        """,
        (
            f"in_port=1,tcp,{MACS},nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=1,tp_src=9,tp_dst=22",
            f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",
        ),
    ),
    "the action set after a table miss": (
        """
        table=0,in_port=1 actions=write_actions(output:2),goto_table:1
        table=0,in_port=2 actions=output:3,goto_table:1
        """,
        (f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22", f"in_port=2,tcp,{IP},tp_src=9,tp_dst=22"),
    ),
    "the order of the action set": (
        """
        table=0,ip actions=write_actions(output:3,set_field:10.9.9.9->ip_dst),goto_table:1
        table=1,tcp actions=set_field:10.8.8.8->ip_src,write_actions(output:2,dec_ttl),goto_table:2
        table=1,udp actions=clear_actions,write_actions(set_field:10.7.7.7->ip_src),goto_table:2
        table=2 actions=output:4
        """,
        (f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22", f"in_port=1,udp,{IP},udp_src=9,udp_dst=53"),
    ),
    "resubmit with another ingress port": (
        """
        table=0,in_port=1 actions=resubmit(4,1),output:1
        table=1,in_port=4 actions=output:1,output:4,resubmit(,2),IN_PORT
        table=2,in_port=1 actions=output:3,exit
        """,
        (f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",),
    ),
    "registers, the stack and a port from a register": (
        """
        table=0 actions=load:0x3->NXM_NX_REG0[4..7],push:NXM_NX_REG0[0..7],load:0x2->NXM_NX_REG0[],\
output:NXM_NX_REG0[],pop:NXM_NX_REG1[0..7],move:NXM_NX_REG1[4..7]->NXM_NX_REG2[0..3],output:NXM_NX_REG2[0..15],\
push:NXM_OF_IN_PORT[],load:0->NXM_OF_IN_PORT[],output:1,pop:NXM_OF_IN_PORT[],output:1,resubmit(,1)
        table=1,xreg0=0x200000030/0xffffffffffffffff actions=output:4
        """,
        (f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",),
    ),
    "VLAN tags": (
        """
        in_port=1 actions=push_vlan:0x8100,set_field:4106->vlan_vid,output:2,pop_vlan,output:3
        in_port=2,dl_vlan=10 actions=set_field:4116->vlan_vid,output:1
        in_port=3,vlan_tci=0 actions=mod_vlan_vid:30,output:1
        in_port=4,vlan_tci=0x1000/0x1000 actions=strip_vlan,output:1
        """,
        (
            f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",
            f"in_port=2,dl_vlan=10,tcp,{IP},tp_src=9,tp_dst=22",
            f"in_port=3,tcp,{IP},tp_src=9,tp_dst=22",
            f"in_port=4,dl_vlan=10,tcp,{IP},tp_src=9,tp_dst=22",
            f"in_port=4,tcp,{IP},tp_src=9,tp_dst=22",
        ),
    ),
    "writes that the packet has no place for": (
        """
        actions=mod_nw_src:10.7.7.7,mod_tp_dst:7,set_field:02:00:00:00:00:07->eth_src,output:2
        """,
        (
            f"in_port=1,arp,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,{ARP}",
            f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22,nw_frag=later",
        ),
    ),
    "ALL, LOCAL and a port that is not there": (
        """
        in_port=1 actions=ALL
        in_port=2 actions=LOCAL,output:77
        in_port=3 actions=output:3
        in_port=LOCAL actions=NORMAL
        """,
        tuple(f"in_port={port},tcp,{IP},tp_src=9,tp_dst=22" for port in ("1", "2", "3", "LOCAL")),
    ),
    "going round in tables": (
        """
        table=0 actions=output:2,resubmit(,1)
        table=1 actions=resubmit(,0)
        """,
        (f"in_port=1,tcp,{IP},tp_src=9,tp_dst=22",),
    ),
}


@dataclass
class Switch:
    directory: Path

    def run(self, *argv: str, given: str | None = None) -> str:
        done = subprocess.run(
            argv,
            input=given,
            env={**os.environ, "OVS_RUNDIR": str(self.directory), "OVS_LOGDIR": str(self.directory)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def appctl(self, *words: str) -> str:
        return self.run("ovs-appctl", "-t", str(self.directory / "vs.ctl"), *words)

    def vsctl(self, *words: str) -> str:
        return self.run("ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=10", *words)

    def load(self, flows: str) -> Bridge:
        """Load flows and read the bridge back as a collector would."""
        socket = f"unix:{self.directory}/br0.mgmt"
        # Later versions refuse to write a field that the match does not ask for.
        version = ("-O", "OpenFlow10" if "mod_nw_src" in flows else "OpenFlow15")
        self.run("ovs-ofctl", *version, "del-flows", socket)
        lines = "\n".join(line.strip() for line in flows.strip().splitlines())
        self.run("ovs-ofctl", *version, "add-flows", socket, "-", given=lines + "\n")
        printed = parse_flows(self.run("ovs-ofctl", *version, "dump-flows", socket), file="flows")
        shown = parse_ports(self.run("ovs-ofctl", *version, "show", socket), file="ports")
        assert not printed.problems
        return merge_bridge(
            "h", "br0", ports=shown.rows, flows=Dump(tuple(printed.rows), "flows"), fdb=Dump((), "fdb")
        )

    def trace(self, packet: str) -> tuple[str, list[str]]:
        """The packet as the switch reads it, and what its datapath would do, with OpenFlow's ports."""
        said = self.appctl("ofproto/trace", "br0", packet)
        numbers = {dp: of for of, dp in re.findall(r" (\d+)/(\d+):", self.appctl("dpif/show"))}
        actions = re.findall(r"^Datapath actions: (.*)$", said, re.MULTILINE)[-1]
        flow = re.findall(r"^Flow: (.*)$", said, re.MULTILINE)[0]
        return flow, [f"of:{numbers[a]}" if a in numbers else a for a in cut(actions)]


def started(directory: Path, socket: str, *argv: str) -> subprocess.Popen[bytes]:
    """Start a daemon in a network namespace of its own and wait for its socket."""
    env = {**os.environ, "OVS_RUNDIR": str(directory), "OVS_LOGDIR": str(directory)}
    process = subprocess.Popen(
        ["unshare", "-n", *argv], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while not (directory / socket).exists():
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            process.wait()
            pytest.fail(f"{argv[0]} did not start")
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    directory = tmp_path_factory.mktemp("ovs")
    schema = next(
        path
        for path in (Path("/usr/share/openvswitch"), Path("/usr/local/share/openvswitch"))
        if path.is_dir()
    )
    one = Switch(directory)
    one.run("ovsdb-tool", "create", str(directory / "conf.db"), str(schema / "vswitch.ovsschema"))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        daemons.append(
            started(
                directory,
                "db.sock",
                "ovsdb-server",
                str(directory / "conf.db"),
                f"--remote=punix:{directory}/db.sock",
                "-vconsole:off",
            )
        )
        one.vsctl("--no-wait", "init")
        daemons.append(
            started(
                directory,
                "vs.ctl",
                "ovs-vswitchd",
                f"unix:{directory}/db.sock",
                "--enable-dummy",
                "--disable-system",
                "--disable-system-route",
                f"--unixctl={directory}/vs.ctl",
                "-vconsole:off",
            )
        )
        words = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure"]
        words += ["protocols=[OpenFlow10,OpenFlow13,OpenFlow15]"]
        for number in PORTS:
            words += ["--", "add-port", "br0", f"p{number}"]
            words += ["--", "set", "interface", f"p{number}", "type=dummy", f"ofport_request={number}"]
        one.vsctl(*words)
        yield one
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=20)


@pytest.mark.parametrize("about", TABLES)
def test_the_model_says_what_a_running_switch_says(switch: Switch, about: str) -> None:
    flows, packets = TABLES[about]
    bridge = switch.load(flows)

    for text in packets:
        flow, actions = switch.trace(text)
        given = arrival(flow)
        passage = process(bridge, given, MacTable(), Asked())
        copies: Counter[Copy] = Counter(
            (LOCAL if o.port.name == "br0" else o.port.number or 0, looks(o.packet)) for o in passage.outputs
        )

        assert passage.unknown == (), text
        assert copies == interpret(given.packet, actions), text
