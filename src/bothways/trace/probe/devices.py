"""
Every network namespace with its devices, and the kernel function that transmits for each.

The kernel tells that function to nobody, so a BPF program reads it: from the list of devices of the
namespace in which the task is that runs it. The probe goes into one namespace after the other and has it
run there. Without BPF the devices are told, and the function is unknown.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from bothways.trace.probe.btf import Unreadable
from bothways.trace.probe.elf import Malformed
from bothways.trace.probe.hostns import Namespace, namespaces
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.lines import Lines
from bothways.trace.probe.load import Object
from bothways.trace.probe.netns_devices import inside
from bothways.trace.probe.objects import object_bytes
from bothways.trace.probe.options import Misused
from bothways.trace.probe.program import Refused
from bothways.trace.probe.symbols import Symbols
from bothways.trace.probe.syscall import Unsupported, address, bpf

__all__ = ["SCHEMA", "Device", "Walker", "driver", "list_devices", "main"]

SCHEMA = "bothways/trace-devices/1"

_OBJECT = "devices.bpf.o"
_PROGRAM = "list_devices"
_RUN = 10  # BPF_PROG_TEST_RUN, uapi/linux/bpf.h
_RUN_ATTRIBUTE = struct.Struct("<IIIIQQIIIIQQIII4x")
_ROW = struct.Struct("<QQIIII16s16s")
_PROGRESS = struct.Struct("<QII")
_KEY = struct.Struct("<I")
_MOST_RUNS = 1024  # of 16 devices each
_GIVE_DRIVER = 0x3  # ETHTOOL_GDRVINFO
_ETHTOOL = 0x8946  # SIOCETHTOOL
_DRIVER_INFORMATION = 196  # struct ethtool_drvinfo
_UP = 1  # IFF_UP
_FEW = 8  # processes that are named


class Device(NamedTuple):
    """
    One device as the kernel keeps it.

    ``transmit`` is the address of its ``ndo_start_xmit``, 0 for none.
    """

    ifindex: int
    name: str
    kind: Optional[str]
    mtu: int
    up: bool
    transmit: int


class Walker:
    """
    The program that lists devices, loaded.

    :raises Refused: where the kernel does not take it; the text says why.
    :raises Unsupported: where there are no types of this kernel.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._object = Object(object_bytes(_OBJECT), kernel)
        self._object.create()
        self._program = self._object.load(_PROGRAM)

    def devices(self) -> List[Device]:
        """
        List the devices of the namespace in which this thread is.

        :raises OSError: where the kernel does not run programs on demand (before Linux 5.10).
        """
        told = self._object.maps["list"]
        found: Dict[int, Device] = {}
        told.update(_KEY.pack(0), bytes(told.shape.value))
        for _ in range(_MOST_RUNS):
            bpf(_RUN, _RUN_ATTRIBUTE.pack(self._program, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
            raw = told.lookup(_KEY.pack(0)) or bytes(told.shape.value)
            behind, _, count = _PROGRESS.unpack_from(raw)
            for number in range(count):
                device = _read_row(raw[_PROGRESS.size + number * _ROW.size :][: _ROW.size])
                found[device.ifindex] = device
            if not behind:
                break
        return list(found.values())

    def close(self) -> None:
        """Take the program out of the kernel."""
        os.close(self._program)
        self._object.close()


def _read_row(raw: bytes) -> Device:
    transmit, _, ifindex, mtu, flags, _, name, kind = _ROW.unpack(raw)
    return Device(ifindex, _text(name), _text(kind) or None, mtu, bool(flags & _UP), transmit)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _by_name() -> List[Device]:
    """List what the namespace tells without BPF: numbers and names."""
    return [
        Device(number, name, None, _sysfs_number(name, "mtu"), bool(_sysfs_number(name, "flags") & _UP), 0)
        for number, name in socket.if_nameindex()
    ]


def _sysfs_number(name: str, what: str) -> int:
    """Ask a device for its MTU or flags, by the ioctl of netdevice(7)."""
    request = {"mtu": 0x8921, "flags": 0x8913}[what]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, request, struct.pack("16s24x", name.encode()))
        except OSError:
            return 0
    return int(struct.unpack_from("<i" if what == "mtu" else "<H", answer, 16)[0])


def driver(name: str) -> Optional[str]:
    """
    Ask a device of this thread's namespace for its driver, as ``ethtool -i`` does.

    None where it does not say.

    The loopback device has none.
    """
    information = bytearray(struct.pack("<I", _GIVE_DRIVER).ljust(_DRIVER_INFORMATION, b"\0"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        place = address(information)
        try:
            fcntl.ioctl(asking, _ETHTOOL, struct.pack("16sQ16x", name.encode(), place))
        except OSError:
            return None
    return _text(bytes(information[4:36])) or None


def list_devices() -> Iterator[Dict[str, Any]]:
    """
    Tell each namespace with its devices, in the order of the namespaces' numbers.

    The first line says who speaks, and why functions are unknown where they are; a namespace that cannot be
    entered says why.
    """
    symbols = Symbols()
    walker, why_not = _open_walker()
    if walker is not None:
        symbols.read()
    yield {
        "type": "host",
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "kernel": os.uname().release,
        "functions": walker is not None and symbols.why_not is None,
        "why_not": why_not or symbols.why_not,
    }
    for each in namespaces():
        yield _namespace(each, walker, symbols.function)
    if walker is not None:
        walker.close()


def _open_walker() -> "tuple[Optional[Walker], Optional[str]]":
    try:
        return Walker(Kernel()), None
    except (Refused, Unsupported, Unreadable, Malformed) as error:
        return None, str(error)


def _namespace(
    each: Namespace, walker: Optional[Walker], function: Callable[[int], Optional[str]]
) -> Dict[str, Any]:
    told: Dict[str, Any] = {
        "type": "namespace",
        "netns": each.name,
        "inode": each.inode,
        "path": each.path,
        "pids": list(each.pids[:_FEW]),
        "processes": len(each.pids),
        "why_not": None,
        "devices": [],
    }

    def look() -> List[Dict[str, Any]]:
        return [_told(device, function) for device in _devices(walker)]

    try:
        told["devices"] = inside(each.path, look)
    except OSError as error:
        told["why_not"] = "it cannot be entered: {}".format(
            "that needs CAP_SYS_ADMIN" if error.errno == errno.EPERM else error.strerror
        )
    return told


def _devices(walker: Optional[Walker]) -> List[Device]:
    if walker is not None:
        with contextlib.suppress(OSError):
            return sorted(walker.devices())
    return _by_name()


def _told(device: Device, function: Callable[[int], Optional[str]]) -> Dict[str, Any]:
    return {
        "ifindex": device.ifindex,
        "device": device.name,
        "kind": device.kind,
        "driver": driver(device.name),
        "mtu": device.mtu,
        "up": device.up,
        "transmit": function(device.transmit) if device.transmit else None,
    }


def main(arguments: List[str], lines: Lines) -> int:
    """
    Run the verb ``devices``: one line for the host, one a namespace.

    :raises Misused: for arguments; there are none.
    """
    if arguments:
        raise Misused("devices takes no options, and not {}".format(arguments[0]))
    for line in list_devices():
        lines.add(line)
    lines.flush()
    return 0
