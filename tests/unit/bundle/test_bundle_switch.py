"""Open vSwitch of a host, merged from what its tools say."""

from __future__ import annotations

from pathlib import Path

from bundle_samples import about, opened

from bothways.facts.openflow import LOCAL, Switch

PLACE = "hosts/a/ovs"
FLOWS = " cookie=0x0, duration=1.5s, table=0, n_packets=2, n_bytes=148, priority=7,ip actions=output:7\n"
PORTS = (
    "OFPT_FEATURES_REPLY (xid=0x2): dpid:0000000000000001\n"
    " 5(patch-ext): addr:02:00:00:00:00:05\n     config:     0\n     state:      0\n"
    " LOCAL(br-int): addr:02:00:00:00:00:09\n     config:     0\n     state:      0\n"
)
SHOW = (
    "0d1f3a3e-0000-4000-8000-000000000001\n"
    "    Bridge br-int\n"
    "        datapath_type: netdev\n"
    "        Port patch-ext\n"
    "            Interface patch-ext\n"
    "                type: patch\n"
    "                options: {peer=patch-int}\n"
)
FDB = " port  VLAN  MAC  Age\n    5     0  02:00:00:00:00:0a    3\nLOCAL     0  02:00:00:00:00:0b    2\n"


def switch(folder: Path, files: dict[str, str]) -> Switch | None:
    bundle = opened(folder, {f"{PLACE}/{name}": text for name, text in files.items()})
    assert bundle.problems == ()
    return bundle.snapshot.hosts["a"].switch


def test_nothing_collected_is_no_switch(tmp_path: Path) -> None:
    assert switch(tmp_path, {}) is None


def test_a_bridge_is_merged_from_all_that_was_collected(tmp_path: Path) -> None:
    files = {"br-int.flows.txt": FLOWS, "br-int.ports.txt": PORTS, "show.txt": SHOW, "br-int.fdb.txt": FDB}
    found = switch(tmp_path, files)

    assert found is not None
    bridge = found.bridges["br-int"]
    assert (bridge.host, bridge.datapath) == ("a", "netdev")
    port = bridge.ports["patch-ext"]
    assert (port.number, port.kind, port.options["peer"]) == (5, "patch", "patch-int")
    assert port.mac == "02:00:00:00:00:05"
    assert bridge.flows is not None
    assert [(flow.table, flow.priority, flow.packets) for flow in bridge.flows] == [(0, 7, 2)]
    assert bridge.flows.file == f"{PLACE}/br-int.flows.txt"
    assert bridge.fdb is not None
    assert [row.port for row in bridge.fdb] == [5, LOCAL]


def test_each_part_may_be_missing(tmp_path: Path) -> None:
    flows = switch(tmp_path / "flows", {"br-int.flows.txt": FLOWS})
    fdb = switch(tmp_path / "fdb", {"br-ex.fdb.txt": ""})
    show = switch(tmp_path / "show", {"show.txt": SHOW})

    assert flows is not None
    assert flows.bridges["br-int"].flows is not None
    assert (flows.bridges["br-int"].fdb, flows.bridges["br-int"].ports) == (None, {})
    assert flows.tunnel_neighbours is None
    assert fdb is not None
    assert fdb.bridges["br-ex"].flows is None
    assert fdb.bridges["br-ex"].fdb is not None
    assert len(fdb.bridges["br-ex"].fdb) == 0
    assert show is not None
    assert show.bridges["br-int"].flows is None
    assert show.bridges["br-int"].ports["patch-ext"].number is None


def test_an_empty_table_of_flows_is_collected_and_empty(tmp_path: Path) -> None:
    found = switch(tmp_path, {"br-int.flows.txt": ""})

    assert found is not None
    assert found.bridges["br-int"].flows is not None
    assert len(found.bridges["br-int"].flows) == 0


def test_bridges_are_told_apart_by_the_whole_name(tmp_path: Path) -> None:
    found = switch(tmp_path, {"br.int.flows.txt": FLOWS, "br.flows.txt": ""})

    assert found is not None
    assert list(found.bridges) == ["br", "br.int"]


def test_tunnel_neighbours(tmp_path: Path) -> None:
    text = (
        "IP                                            MAC                 Bridge\n"
        "==========================================================================\n"
        "10.1.0.15                                     a6:7e:30:d1:fb:42   br-phy\n"
    )
    found = switch(tmp_path, {"tnl-neigh-show.txt": text})

    assert found is not None
    assert found.tunnel_neighbours is not None
    assert [str(row.address) for row in found.tunnel_neighbours] == ["10.1.0.15"]


def test_garbage_in_one_file_spoils_no_other(tmp_path: Path) -> None:
    files = {"br-int.flows.txt": FLOWS, "br-int.ports.txt": PORTS, "show.txt": SHOW, "br-int.fdb.txt": FDB}
    whole: dict[str, str | bytes] = {f"{PLACE}/{name}": text for name, text in files.items()}
    for name in (*files, "ovsdb.jsonl", "tnl-neigh-show.txt"):
        for number, garbage in enumerate(
            (b"\xff\0\xfe" * 99, b"ovs-ofctl: br-int is not a bridge\n", b"{" * 9999)
        ):
            bundle = opened(tmp_path / name / str(number), {**whole, f"{PLACE}/{name}": garbage})
            found = bundle.snapshot.hosts["a"].switch

            assert found is not None
            assert "br-int" in found.bridges
            assert {p.span.file for p in bundle.problems} <= {f"{PLACE}/{name}"}
            assert about(bundle, f"{PLACE}/{name}") or number > 0


LISTS = {
    "list-bridge.txt": (
        "_uuid : 11111111-0000-4000-8000-000000000001\nname : br-int\ndatapath_type : netdev\n"
        "ports : [22222222-0000-4000-8000-000000000001]\n"
    ),
    "list-port.txt": (
        "_uuid : 22222222-0000-4000-8000-000000000001\nname : patch-ext\ntag : 7\n"
        "interfaces : [33333333-0000-4000-8000-000000000001]\n"
    ),
    "list-interface.txt": (
        "_uuid : 33333333-0000-4000-8000-000000000001\nname : patch-ext\nofport : 5\ntype : patch\n"
        'options : {peer=patch-int}\nexternal_ids : {attached-mac="02:00:00:00:00:0c"}\n\n'
        "_uuid : 33333333-0000-4000-8000-000000000002\nname : another\nofport : 9\ntype : internal\n"
    ),
}


def test_lists_of_all_three_tables_describe_the_bridges(tmp_path: Path) -> None:
    found = switch(tmp_path, LISTS)

    assert found is not None
    bridge = found.bridges["br-int"]
    assert (bridge.datapath, list(bridge.ports)) == ("netdev", ["patch-ext"])
    port = bridge.ports["patch-ext"]
    assert (port.number, port.kind, port.options["peer"], port.tag) == (5, "patch", "patch-int", 7)
    assert port.attached_mac == "02:00:00:00:00:0c"


def test_a_list_of_interfaces_completes_the_ports_that_are_known(tmp_path: Path) -> None:
    tagged = SHOW.replace("Port patch-ext\n", "Port patch-ext\n            tag: 3\n")
    lists = {"list-interface.txt": LISTS["list-interface.txt"]}
    shown = switch(tmp_path / "show", {"show.txt": tagged, **lists})
    numbered = switch(tmp_path / "ports", {"br-int.ports.txt": PORTS, **lists})
    alone = switch(tmp_path / "alone", lists)

    assert shown is not None
    assert numbered is not None
    port = shown.bridges["br-int"].ports["patch-ext"]
    # VLANs are of the port and stay as they were shown.
    assert (port.number, port.tag, list(shown.bridges["br-int"].ports)) == (5, 3, ["patch-ext"])
    assert numbered.bridges["br-int"].ports["patch-ext"].kind == "patch"
    assert alone is not None
    assert alone.bridges == {}
