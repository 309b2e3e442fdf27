"""Lines that libraries log at their start, taken off standard error."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_lines_dropped(pattern: re.Pattern[bytes]) -> Iterator[None]:
    """Drop the lines that come on standard error in this block and match; anything else follows after it.

    They are caught at the descriptor, since some come before any setting of logging holds.
    """
    if not _is_open(2):
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            caught.seek(0)
            for line in caught:
                if not pattern.match(line):
                    os.write(kept, line)
            os.close(kept)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
