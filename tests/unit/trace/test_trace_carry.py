"""The probe as one file that runs from memory."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bothways.trace import carry, probe


def test_the_file_holds_the_probe_and_nothing_else_of_us() -> None:
    packed = carry.pack()
    names = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    modules = {path.name for path in Path(probe.__file__).parent.glob("*.py")}
    assert {name.rpartition("/")[2] for name in names if name.startswith("bothways/trace/probe/")} == modules
    rest = [name for name in names if not name.startswith(("bothways/trace/probe/", "bothways/trace/bpf/"))]
    assert rest == ["__main__.py", "bothways/__init__.py", "bothways/trace/__init__.py"]
    assert all(name.endswith(".bpf.o") for name in names if name.startswith("bothways/trace/bpf/"))


def test_equal_sources_give_equal_bytes() -> None:
    assert carry.pack() == carry.pack()


@pytest.mark.parametrize("words", [["levitate"], ["trace", "--filter", "it's {"]])
def test_it_runs_from_memory_and_leaves_nothing(words: list[str], tmp_path: Path) -> None:
    command = carry.remote_command(words, python=sys.executable)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        input=carry.payload(carry.pack()),
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert b'"type":"problem"' in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_ends_early_is_no_traceback(tmp_path: Path) -> None:
    command = carry.remote_command(["trace"], python=sys.executable)
    result = subprocess.run(
        shlex.split(command),
        input=carry.payload(carry.pack())[:1000],
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    assert (result.returncode, result.stderr) == (6, b"")
