"""The compiled programs, from a folder or from the packed probe."""

import os
from typing import Any

import bothways.trace

__all__ = ["object_bytes"]


def object_bytes(name: str) -> bytes:
    """
    Read an object of ``trace/bpf`` by its file's name.

    Who loaded the package reads it, be that a folder or an archive: what does so in the library
    (``pkgutil``) takes longer to import than the object to read.

    :raises OSError: where it is not there.
    """
    package = bothways.trace
    path = os.path.join(os.path.dirname(package.__file__ or ""), "bpf", name)
    loader: Any = package.__loader__
    data: bytes = loader.get_data(path)
    return data
