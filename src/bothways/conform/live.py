"""Fresh sequences through the running kernel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from bothways.conform.kernel import RunningKernel
from bothways.conform.mixed_kernel import MixedKernel
from bothways.conform.recording import Case

__all__ = ["CannotAskError", "asked"]


class CannotAskError(Exception):
    """The kernel of this machine cannot be asked; *hint* says what it lacks."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@contextmanager
def asked(cases: Iterable[Case]) -> Iterator[Iterator[Case]]:
    """
    Give sequences with what the running kernel makes of them, one by one.

    The routers stand as long as the context does: four at most, for TCP over IPv4 and for the rest,
    each with one that translates and one that does not, in namespaces ``bwPID-…``.

    :raises CannotAskError: without root, ``ip``, ``nft``, or what the kernel needs.
    """
    if os.geteuid() != 0:
        raise CannotAskError("asking the running kernel needs root", "run it again with sudo")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [
        package
        for program, package in (("ip", "iproute2"), ("nft", "nftables"))
        if not shutil.which(program, path=path)
    ]
    if missing:
        raise CannotAskError("`ip` and `nft` are needed", f"apt-get install -y {' '.join(missing)}")
    with ExitStack() as stack:
        yield _answers(cases, stack)


def _answers(cases: Iterable[Case], stack: ExitStack) -> Iterator[Case]:
    kernels: dict[tuple[bool, bool], RunningKernel | MixedKernel] = {}
    for case in cases:
        kernel = kernels.get((case.mixed, case.nat))
        if kernel is None:
            name = f"bw{os.getpid()}-{'x' if case.mixed else ''}{'n' if case.nat else 'p'}"
            try:
                kernel = (MixedKernel if case.mixed else RunningKernel)(name, nat=case.nat)
            except OSError as error:
                message = f"the kernel cannot be asked: {error.strerror or error} ({error.filename or ''})"
                hint = "it takes network namespaces, veth, nftables, ctnetlink and nfnetlink_log"
                raise CannotAskError(message, hint) from error
            stack.callback(kernel.close)
            kernels[case.mixed, case.nat] = kernel
        yield kernel.ask(case)
