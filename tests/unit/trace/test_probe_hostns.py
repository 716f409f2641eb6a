"""Namespaces are called by what their operator calls them."""

from __future__ import annotations

from pathlib import Path

from bothways.trace.probe.hostns import Namespaces, namespaces

CONTAINER = "0::/system.slice/docker-{}.scope\n"
IDENT = "0123456789ab" + "c" * 52


def process(proc: Path, pid: int, namespace: Path, comm: str = "x", cgroup: str = "0::/\n") -> None:
    folder = proc / str(pid) / "ns"
    folder.mkdir(parents=True)
    (folder / "net").hardlink_to(namespace)
    (folder.parent / "comm").write_text(comm + "\n")
    (folder.parent / "cgroup").write_text(cgroup)


def host(tmp_path: Path) -> tuple[str, tuple[tuple[str, str], ...], dict[str, int]]:
    proc, bound, docker = tmp_path / "proc", tmp_path / "netns", tmp_path / "docker"
    for folder in (proc, bound, docker):
        folder.mkdir()
    files = {name: tmp_path / name for name in ("first", "router", "sandbox", "container", "service")}
    for file in files.values():
        file.touch()
    process(proc, 1, files["first"], "init")
    process(proc, 30, files["router"], "haproxy")
    process(proc, 40, files["container"], "nginx", CONTAINER.format(IDENT))
    process(proc, 51, files["service"], "sshd")
    process(proc, 50, files["service"], "systemd")
    (bound / "qrouter-1").hardlink_to(files["router"])
    (docker / ("f" * 20)).hardlink_to(files["sandbox"])
    folders = ((str(bound), ""), (str(docker), "docker:"), (str(tmp_path / "absent"), ""))
    return str(proc), folders, {name: file.stat().st_ino for name, file in files.items()}


def test_names(tmp_path: Path) -> None:
    proc, folders, inodes = host(tmp_path)
    found = {each.inode: each for each in namespaces(proc, folders)}
    names = {name: found[inode].name for name, inode in inodes.items()}
    assert names == {
        "first": "root",
        "router": "qrouter-1",
        "sandbox": "docker:" + "f" * 12,
        "container": "docker:0123456789ab",
        "service": "systemd[50]",
    }
    assert found[inodes["router"]].pids == (30,)
    assert found[inodes["service"]].pids == (50, 51)
    assert found[inodes["service"]].path == f"{proc}/50/ns/net"
    assert found[inodes["router"]].path.endswith("/netns/qrouter-1")


def test_an_unknown_number_is_told_as_a_number_and_a_name_outlives_its_namespace(tmp_path: Path) -> None:
    proc, folders, inodes = host(tmp_path)
    names = Namespaces(proc, folders)
    assert names.name(0) is None
    assert names.name(1) == "inode:1"
    (tmp_path / "netns" / "qrouter-1").unlink()
    assert names.name(inodes["router"]) == "qrouter-1"
    assert names.known()[inodes["router"]] == "qrouter-1"
