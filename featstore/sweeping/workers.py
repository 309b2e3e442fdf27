"""The processes that try heads: one for each core, each with one thread, and features that are not copied.

joblib keeps the processes, with TensorFlow loaded once in each, and hands large arrays over as memory maps. Unlike
those of `multiprocessing`, its processes do not run the user's script again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from featstore.errors import RunError, param
from featstore.system.environment import limit_threads
from featstore.system.imports import loaded

Result = TypeVar("Result")
Map = Callable[[Callable[..., Result], Iterable[Sequence[Any]]], Iterator[Result]]

_IDLE = 30  # seconds after which a process without work ends


@contextmanager
def workers(jobs: int) -> Iterator[Map[Any]]:
    """Yield a function that calls a function with each of some arguments, and yields the results as they come.

    With one job it is called in this process. Raises RunError if one of the processes is killed.
    """
    if jobs == 1:
        yield lambda work, arguments: (work(*some) for some in arguments)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        with (
            parallel_config(backend="loky", inner_max_num_threads=1, idle_worker_timeout=_IDLE),
            Parallel(jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=jobs + 1) as parallel,
        ):
            yield lambda work, arguments: parallel(delayed(_in_worker)(work, *some) for some in arguments)
    except BrokenProcessPool as error:
        raise RunError(
            "a process that tries heads was killed, most often since the memory was full: use fewer "
            f"{param('jobs')}; what was done is kept, and the same command goes on"
        ) from error


def _in_worker(work: Callable[..., Result], *arguments: Any) -> Result:
    """Call `work` in a process of its own, whose Ctrl-C is for the one that it works for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_threads(1)
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    result = work(*arguments)
    if keras := loaded("keras"):
        keras.utils.clear_session()  # or each network would stay in memory
    return result
