"""
A private Open vSwitch: its own database, run directory and network namespace, a dummy datapath.

Nothing of the machine's own switch is touched. The daemons are ended with the context, and by the kernel if
this process is killed (``setpriv --pdeathsig``). A dummy datapath forwards nothing; ``ofproto/trace`` asks
the same translation code that a real one has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_interface
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bothways.conform.live import CannotAskError
from bothways.conform.openflow_case import BridgeRecord
from bothways.conform.openflow_unixctl import ControlSocket, RefusedError
from bothways.parse.ovs_tlv_map import parse_tlv_map

__all__ = ["LoadError", "PrivateSwitch"]

_SCHEMAS: Final = ("/usr/share/openvswitch", "/usr/local/share/openvswitch")
_PROGRAMS: Final = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "unshare")
_VERSION: Final = "OpenFlow15"
_PROTOCOLS: Final = "protocols=[OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15]"
_PATIENCE: Final = 20.0
#: what ``ovs-ofctl show`` says of a port -> how ``mod-port`` sets it
_SETTINGS: Final = {
    "NO_FLOOD": "no-flood", "NO_FWD": "no-forward", "NO_RECV": "no-receive", "PORT_DOWN": "down",
    "NO_PACKET_IN": "no-packet-in",
}  # fmt: skip
_LOCAL: Final = 65534


class LoadError(Exception):
    """The switch refused flows or groups; the text is its own."""


class PrivateSwitch:
    """The two daemons, and what is asked of them."""

    def __init__(self) -> None:
        self._path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        _check(self._path)
        dies_with_us = ("setpriv", "--pdeathsig", "KILL", "--")
        self._around = dies_with_us if shutil.which("setpriv", path=self._path) else ()
        self._folder = Path(tempfile.mkdtemp(prefix="bw-ovs-"))
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._control: ControlSocket | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, *, patience: float = 5.0) -> None:
        """End the daemons and remove their folder; a daemon that is busy for longer than this is killed."""
        if self._control is not None:
            self._control.close()
            self._control = None
        while self._daemons:
            daemon = self._daemons.pop()
            daemon.terminate()
            try:
                daemon.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def restart(self) -> None:
        """Begin anew with an empty switch, after the daemon died or hangs."""
        self.close(patience=0.5)
        self._folder = Path(tempfile.mkdtemp(prefix="bw-ovs-"))
        self._start()

    @property
    def version(self) -> str:
        """Release of the switch, ``3.1.0``."""
        first = self.control.ask("version").splitlines()[0]
        return first.rpartition(" ")[2]

    @property
    def control(self) -> ControlSocket:
        """The switch's control socket."""
        if self._control is None:
            raise CannotAskError("the private switch does not run", "")
        return self._control

    # -- what is asked -----------------------------------------------------------------------------

    def bridges(self, records: Sequence[BridgeRecord]) -> None:
        """Make bridges with their ports, in place of those that are there."""
        words: list[str] = []
        for name in self._vsctl("list-br").split():
            words += ["--", "del-br", name]
        for record in records:
            words += _made(record)
        self._vsctl(*words)
        for record in records:
            for row in record.ports:
                for setting in row.get("config") or ():
                    self._modified(record.name, str(row["name"]), _SETTINGS[setting])
            if record.tlv_map:
                self._mapped(record)
            if record.address:
                self._carrying(record)

    def _mapped(self, record: BridgeRecord) -> None:
        """Say which options of Geneve the fields are; what was said outlives a bridge."""
        target = f"unix:{self._folder}/{record.name}.mgmt"
        there = parse_tlv_map(self._run("ovs-ofctl", "dump-tlv-map", target).stdout, file=record.name).rows
        texts = [
            f"{{class={row.option_class:#x},type={row.type:#x},len={row.length}}}->{row.field}"
            for row in parse_tlv_map(record.tlv_map, file=record.name).rows
            if row.field not in {each.field for each in there}
        ]
        done = self._run("ovs-ofctl", "add-tlv-map", target, ",".join(texts)) if texts else None
        if done is not None and done.returncode:
            said = done.stderr.strip()
            raise CannotAskError(f"ovs-ofctl: {said}", "the switch does not take these options")

    def _carrying(self, record: BridgeRecord) -> None:
        """Let tunnels go out of a bridge; a route outlives its bridge."""
        route = str(ip_interface(record.address).network)
        with suppress(RefusedError):
            self.control.ask("ovs/route/del", route)
        try:
            self.control.ask("netdev-dummy/ip4addr", record.name, record.address)
            self.control.ask("ovs/route/add", route, record.name)
            for number, neighbour in enumerate(record.neighbours, 1):
                self.control.ask("tnl/arp/set", record.name, neighbour, f"02:00:00:00:01:{number:02x}")
        except RefusedError as error:
            raise CannotAskError(
                f"ovs-appctl: {error}", "the switch carries no tunnels of its own"
            ) from error

    def _modified(self, bridge: str, port: str, setting: str) -> None:
        target = f"unix:{self._folder}/{bridge}.mgmt"
        # NO_FLOOD is known to OpenFlow 1.0 alone
        done = self._run("ovs-ofctl", "-O", "OpenFlow10", "mod-port", target, port, setting)
        if done.returncode:
            raise CannotAskError(f"ovs-ofctl: {done.stderr.strip()}", "the switch does not take this setting")

    def load(self, bridge: str, flows: Iterable[str], groups: Iterable[str] = ()) -> None:
        """
        Put flows and groups in place of those that are there, all or nothing.

        :raises LoadError: if the switch refuses one of them.
        """
        lines = ["flow delete", "group delete"]
        lines += [f"group add {group}" for group in groups]
        lines += [f"flow add {flow}" for flow in flows]
        target = f"unix:{self._folder}/{bridge}.mgmt"
        done = self._run("ovs-ofctl", "-O", _VERSION, "bundle", target, "-", given="\n".join(lines) + "\n")
        if done.returncode:
            raise LoadError(done.stderr.strip())

    def dumped(self, bridge: str, *, groups: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """
        Flows and groups as the switch has them, which need not be as they were given.

        :param groups: False: there are none, and they are not asked for.
        """
        target = f"unix:{self._folder}/{bridge}.mgmt"
        rows = []
        for what in ("dump-flows", "dump-groups") if groups else ("dump-flows",):
            stats = ("--no-stats", "--no-names") if what == "dump-flows" else ("--no-names",)
            done = self._run("ovs-ofctl", "-O", _VERSION, *stats, what, target)
            if done.returncode:
                raise LoadError(done.stderr.strip())
            lines = (line.strip() for line in done.stdout.splitlines())
            rows.append(tuple(line for line in lines if line and not line.startswith(("OFPST", "NXST"))))
        return rows[0], rows[1] if groups else ()

    def trace(self, *words: str) -> str:
        """
        Ask ``ofproto/trace``.

        :raises RefusedError: if the switch cannot read the packet.
        """
        return self.control.ask("ofproto/trace", *words)

    # -- daemons -----------------------------------------------------------------------------------

    def _start(self) -> None:
        schema = next(Path(folder) for folder in _SCHEMAS if Path(folder, "vswitch.ovsschema").is_file())
        database = self._folder / "conf.db"
        done = self._run("ovsdb-tool", "create", str(database), str(schema / "vswitch.ovsschema"))
        if done.returncode:
            raise CannotAskError(f"ovsdb-tool: {done.stderr.strip()}", "")
        remote = f"--remote=punix:{self._folder}/db.sock"
        self._daemon("db.sock", "ovsdb-server", str(database), remote)
        self._vsctl("--no-wait", "init")
        flags = ("--enable-dummy", "--disable-system", "--disable-system-route")
        control = self._folder / "vs.ctl"
        self._daemon("vs.ctl", "ovs-vswitchd", f"unix:{self._folder}/db.sock", f"--unixctl={control}", *flags)
        self._control = ControlSocket(control)

    def _daemon(self, sign: str, program: str, *words: str) -> None:
        """Start a daemon and wait for its socket."""
        log = self._folder / f"{program}.log"
        argv = [*self._around, "unshare", "-n", "--", program, *words, "-vconsole:off", f"--log-file={log}"]
        with log.open("ab") as said:
            daemon = subprocess.Popen(
                [*argv, "-vfile:err"], env=self._env(), cwd=self._folder, stdout=said, stderr=said
            )
        self._daemons.append(daemon)
        deadline = time.monotonic() + _PATIENCE
        while not (self._folder / sign).exists():
            if daemon.poll() is not None or time.monotonic() > deadline:
                words_of_it = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
                raise CannotAskError(
                    f"{program} did not start: {words_of_it[0]}", "network namespaces need root"
                )
            time.sleep(0.01)

    def _vsctl(self, *words: str) -> str:
        done = self._run("ovs-vsctl", f"--db=unix:{self._folder}/db.sock", "--timeout=20", *words)
        if done.returncode:
            raise CannotAskError(f"ovs-vsctl: {done.stderr.strip()}", "the switch does not take this setting")
        return done.stdout

    def _run(self, *argv: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        # ovs-vsctl waits for a switch that has died with us: it must go as well
        argv = (*self._around, *argv)
        return subprocess.run(
            argv, input=given, env=self._env(), cwd=self._folder, capture_output=True, text=True, check=False
        )

    def _env(self) -> dict[str, str]:
        folder = str(self._folder)
        places = dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"), folder)
        return {**os.environ, **places, "PATH": self._path}


def _check(path: str) -> None:
    missing = [program for program in _PROGRAMS if not shutil.which(program, path=path)]
    if missing or not any(Path(folder, "vswitch.ovsschema").is_file() for folder in _SCHEMAS):
        what = ", ".join(f"`{program}`" for program in missing) or "`vswitch.ovsschema`"
        raise CannotAskError(f"{what} is needed", "apt-get install -y openvswitch-switch")
    if os.geteuid() != 0:
        raise CannotAskError(
            "a private switch needs root, for its network namespace", "run it again with sudo"
        )


def _made(record: BridgeRecord) -> list[str]:
    """The words of ``ovs-vsctl`` that make a bridge."""
    words = ["--", "add-br", record.name, "--", "set", "bridge", record.name]
    words += ["datapath_type=dummy", "fail_mode=secure", _PROTOCOLS]
    for row in record.ports:
        name = str(row["name"])
        if name == record.name or row.get("ofport") == _LOCAL:
            continue
        words += ["--", "add-port", record.name, name, *_columns(row)]
        words += ["--", "set", "interface", name, f"type={row.get('type') or 'dummy'}"]
        number = row.get("ofport")
        words += [f"ofport_request={number}"] if isinstance(number, int) and number > 0 else []
        words += [f'options:{key}="{value}"' for key, value in (row.get("options") or {}).items()]
    return words + _mirrors(record)


def _mirrors(record: BridgeRecord) -> list[str]:
    """The words that make mirrors; ports are called by name in a recording, and by row in the database."""
    ports: dict[str, None] = {}
    for row in record.mirrors:
        named = [
            row.get("output_port"),
            *(row.get("select_src_port") or ()),
            *(row.get("select_dst_port") or ()),
        ]
        ports |= dict.fromkeys(str(port) for port in named if port)
    words: list[str] = []
    for port in ports:
        words += ["--", f"--id=@{record.name}-{port}", "get", "port", port]
    for row in record.mirrors:
        words += _mirror(record.name, row)
    return words


def _mirror(bridge: str, row: Mapping[str, Any]) -> list[str]:
    name = str(row["name"])
    words = ["--", f"--id=@{name}", "create", "mirror", f"name={name}"]
    for column, value in row.items():
        if column == "name" or value in (None, [], (), ""):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if column.endswith("_port"):
            values = [f"@{bridge}-{each}" for each in values]
        text = ",".join(str(each).lower() if isinstance(each, bool) else str(each) for each in values)
        words.append(f"{column}={text}")
    return [*words, "--", "add", "bridge", bridge, "mirrors", f"@{name}"]


def _columns(row: Mapping[str, Any]) -> list[str]:
    words = []
    for column in ("tag", "trunks", "vlan_mode", "cvlans"):
        value = row.get(column)
        if value not in (None, [], (), ""):
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
            words.append(f"{column}={text}")
    words += [f'other_config:{key}="{value}"' for key, value in (row.get("other_config") or {}).items()]
    return [*words, *(["protected=true"] if row.get("protected") else [])]
