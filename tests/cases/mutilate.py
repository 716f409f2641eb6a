"""Bundles with pieces missing or cut: what people send who had only a part of the evidence."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

__all__ = ["CLASSES", "Mutilation", "single_files", "write_as_text", "write_cut", "write_kept"]

#: Whether a file of a bundle stays, by its path.
Mutilation = Callable[[str], bool]


def _without(pattern: str) -> Mutilation:
    return lambda file: re.search(pattern, file) is None


def _only(pattern: str) -> Mutilation:
    return lambda file: not file.startswith("hosts/") or re.search(pattern, file) is not None


#: Whole classes of evidence.
CLASSES: Final[Mapping[str, Mutilation]] = {
    "no manifest's collection": _without(r"^collection\.jsonl"),
    "dumps only": _without(r"/captures/"),
    "captures only": _only(r"/captures/"),
    "captures and devices only": _only(r"/captures/|/addr\.(?:json|txt)$"),
    "no dumps of the router": _without(r"/netns/qrouter"),
    "no captures of the router": _without(r"/captures/qrouter"),
    "nothing of the router": _without(r"/qrouter"),
    "the router only": _only(r"/qrouter"),
    "no qg- capture": _without(r"/qg-"),
    "no qr- capture": _without(r"/qr-"),
    "no switches": _without(r"/ovs/"),
    "no flows": _without(r"\.flows\.txt$"),
    "no flows of host5": _without(r"hosts/host5/ovs/.*\.flows\.txt$"),
    "host1 only": _only(r"^hosts/host1/"),
    "host5 only": _only(r"^hosts/host5/"),
    "the server only": _only(r"^hosts/test51/"),
    "no server": _without(r"^hosts/test51/"),
    "no gateway": _without(r"^hosts/extgw/"),
    "the client's view only": _only(r"^hosts/host1/captures/root/br-ex"),
    "the client's `any` only": _only(r"^hosts/host1/captures/root/any"),
    "no `any`": _without(r"/any\."),
    "no descriptions of captures": _without(r"\.capture\.json$"),
    "no tracker": _without(r"/conntrack"),
    "no rules": _without(r"/(?:iptables-save|nft)\.txt$"),
    "no addresses": _without(r"/addr\.(?:json|txt)$"),
    "no neighbours": _without(r"/(?:neigh\.json|tnl-neigh-show\.txt)$"),
    "no routes": _without(r"/(?:route|rule)\.json$"),
    "no sockets": _without(r"/ss\.txt$"),
    "no settings": _without(r"/sysctl\.txt$"),
    "no neighbours and no captures": _without(r"/(?:neigh\.json|tnl-neigh-show\.txt)$|/captures/"),
    "no port numbers": _without(r"\.ports\.txt$|ovsdb\.jsonl$|/show\.txt$"),
    "rules and tracker only": _only(r"/(?:iptables-save|conntrack[\w-]*)\.txt$|/captures/"),
}


def single_files(bundle: Path) -> list[str]:
    """Every file of a bundle's evidence, each to be taken away alone."""
    return sorted(
        p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file() and p.parent != bundle
    )


def write_kept(bundle: Path, target: Path, keep: Mutilation) -> int:
    """Write what stays of a bundle; returns how many files of evidence these are."""
    kept = 0
    for file, data in _files(bundle):
        if keep(file):
            _write(target / file, data)
            kept += file.startswith("hosts/")
    return kept


def write_cut(bundle: Path, target: Path, seed: int) -> None:
    """Write a bundle whose captures break off in the middle of a frame, as a full disk leaves them."""
    dice = random.Random(seed)  # noqa: S311 - the same cuts for the same seed, and no secret
    for file, data in _files(bundle):
        cut = file.endswith(".pcap") and len(data) > 24
        _write(target / file, data[: dice.randrange(25, len(data))] if cut else data)


def write_as_text(bundle: Path, target: Path, *options: str) -> None:
    """Write a bundle whose captures are what tcpdump prints of them."""
    for file, data in _files(bundle):
        if file.endswith(".pcap"):
            argv = ["tcpdump", "-nn", *options, "-r", str(bundle / file)]
            text = subprocess.run(argv, capture_output=True, check=True).stdout
            _write((target / file).with_suffix(".txt"), text)
        else:
            _write(target / file, data)


def _files(bundle: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(bundle.rglob("*")):
        if path.is_file():
            yield path.relative_to(bundle).as_posix(), path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
