"""The journal of a sweep: a plain file with one line for each trial that is done, so that a sweep can go on.

The first line says which sweep it is of. A line is written at once and whole; what a killed process leaves of a line is
cut off when the file is opened next.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from featstore.errors import RunError, StoreError, param
from featstore.sweeping.scoring import Score
from featstore.sweeping.trials import Trial
from featstore.system.files import make_folders

FORMAT = "featstore-sweep"
FORMAT_VERSION = 1


class Journal:
    """An open journal; `scores` are those of the trials that it has.

    Raises RunError for a file of another sweep, and where another process is at work on it; StoreError if it cannot be
    written.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.scores: dict[Trial, Score] = {}
        with self._as_store_error():
            make_folders(path.parent)
            self._file: IO[bytes] = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read(identity)
        except BaseException as error:
            self._file.close()
            if isinstance(error, BlockingIOError):
                raise RunError(f"{path}: another process goes on with this sweep; wait for it") from None
            raise

    def add(self, scores: Mapping[Trial, Score]) -> None:
        """Note the scores of trials that are done; those of a path are solved together, and noted together."""
        self.scores |= scores
        self._write([_describe(trial, score) for trial, score in scores.items()])

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read(self, identity: str) -> None:
        """Read what is there, and cut off what is not a whole line; begin an empty file with its first line."""
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file):
            if not line.endswith(b"\n"):
                break
            try:
                content = json.loads(line)
                if number == 0:
                    self._check(content, identity)
                else:
                    trial, score = _read_trial(content)
                    self.scores[trial] = score
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(
                    f"{self.path}: line {number + 1} is not that of a sweep ({type(error).__name__}); remove the file, "
                    f"or give another {param('journal')}"
                ) from error
            whole += len(line)
        self._file.truncate(whole)
        if not whole:
            self._write([{"format": FORMAT, "format_version": FORMAT_VERSION, "identity": identity}])

    def _check(self, header: Mapping[str, Any], identity: str) -> None:
        if (header["format"], header["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError("another format")
        if header["identity"] != identity:
            raise RunError(
                f"{self.path}: is of another sweep: the images, their splits, the features, the heads, a setting, the "
                f"seed or a library have changed; give another {param('journal')}, or leave it out"
            )

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with self._as_store_error():
            self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            self._file.flush()
            os.fsync(self._file.fileno())

    @contextmanager
    def _as_store_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be written: {error.strerror}; choose another file for {param('journal')}"
            ) from error


def _describe(trial: Trial, score: Score) -> dict[str, Any]:
    return {
        **trial.describe(),
        "seconds": round(score.seconds, 4),
        "behind": score.behind,
        "failed": score.failed,
        "losses": _text(score.losses.astype("<f4").tobytes()),
        "right": _text(np.packbits(score.right).tobytes()),
    }


def _read_trial(content: Mapping[str, Any]) -> tuple[Trial, Score]:
    losses = np.frombuffer(_bytes(content["losses"]), "<f4").astype(np.float32)
    right = np.unpackbits(np.frombuffer(_bytes(content["right"]), np.uint8), count=len(losses)).astype(bool)
    trial = Trial(int(content["recipe"]), str(content["head"]), tuple(sorted(content["parameters"].items())))
    return trial, Score(losses, right, float(content["seconds"]), bool(content["behind"]), content["failed"])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
