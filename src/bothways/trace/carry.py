"""
The probe as one file that runs on another host from memory and leaves nothing there.

The file is a zip archive (:pep:`441`) of the modules of ``trace/probe`` and of the objects of
``trace/bpf``. Over ssh it goes into the standard input of a Python that was started with a few lines of
source: these read the archive, put it into a file without a name, and run it. Standard input stays open
behind it: when it closes, the probe ends.
"""

from __future__ import annotations

import io
import shlex
import zipfile
from collections.abc import Sequence
from importlib import resources

__all__ = ["pack", "payload", "remote_command"]

_PACKAGES = ("bothways", "bothways.trace")
_PROBE = "bothways.trace.probe"
_OBJECTS = "bothways.trace.bpf"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same sources give the same bytes

_MAIN = "import sys\nfrom bothways.trace.probe.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"

# Runs under any Python from 3.6 on, and says where it is older. No single quote may stand in it: the shell of
# the other host has it between such.
_BOOTSTRAP = """
import os,sys
v=sys.version_info
if v<(3,6):
    sys.stderr.write("bothways: Python %d.%d is too old, 3.6 is needed\\n"%v[:2])
    sys.exit(5)
def take(n):
    d=b""
    while len(d)<n:
        p=os.read(0,n-len(d))
        if not p:sys.exit(6)
        d+=p
    return d
data=take(int(take(16)))
try:
    f=os.fdopen(os.memfd_create("bothways"),"w+b")
except (AttributeError,OSError):
    import tempfile
    f=tempfile.TemporaryFile()
f.write(data);f.flush()
sys.path.insert(0,"/proc/self/fd/%d"%f.fileno())
sys.dont_write_bytecode=True
from bothways.trace.probe.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def pack() -> bytes:
    """Pack the probe; equal sources give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _put(archive, "__main__.py", _MAIN.encode())
        for package in _PACKAGES:
            _put(archive, package.replace(".", "/") + "/__init__.py", b"")
        for package, endings in ((_PROBE, (".py",)), (_OBJECTS, (".bpf.o",))):
            folder = resources.files(_PACKAGES[1]).joinpath(package.rpartition(".")[2])
            for each in sorted(folder.iterdir(), key=lambda each: each.name):
                if each.name.endswith(endings):
                    _put(archive, f"{package.replace('.', '/')}/{each.name}", each.read_bytes())
    return buffer.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def payload(packed: bytes) -> bytes:
    """What has to be written to the standard input of :func:`remote_command` before anything else."""
    return b"%16d" % len(packed) + packed


def remote_command(arguments: Sequence[str], *, python: str = "python3") -> str:
    """
    Write the command line, for the shell of the other host, that runs the probe with *arguments*.

    It ends with 5 where Python is too old, and with 6 where its input ended early.
    """
    return shlex.join([python, "-I", "-S", "-c", _BOOTSTRAP.strip(), *arguments])
