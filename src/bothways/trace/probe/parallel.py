"""Work that waits for the kernel, on several processors at once: a program is verified for milliseconds."""

import os
import threading
from typing import Callable, Dict, List, Sequence, TypeVar

__all__ = ["in_parallel"]

_MOST = 4
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Item], Result], items: Sequence[Item]) -> List[Result]:
    """
    Do *work* for every item, and return the results in the order of the items.

    Whatever *work* raises is raised here, after all threads have ended: that of the first item that failed.
    """
    waiting = list(enumerate(items))[::-1]
    results: Dict[int, Result] = {}
    failures: Dict[int, BaseException] = {}
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                index, item = waiting.pop()
            try:
                results[index] = work(item)
            except BaseException as error:  # noqa: BLE001  raised again below
                failures[index] = error

    threads = [threading.Thread(target=run) for _ in range(min(_MOST, os.cpu_count() or 1, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in sorted(failures):
        raise failures[index]
    return [results[index] for index in range(len(items))]
