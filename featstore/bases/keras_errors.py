"""What Keras and HDF5 raise, for messages: shortened, or with the way out."""

from __future__ import annotations

from pathlib import Path

from featstore.bases.hdf5 import LOCKS, is_about_locks
from featstore.errors import BaseUnavailable


def refuse_locks(path: Path, error: Exception) -> None:
    """Raise BaseUnavailable if Keras failed for want of a lock."""
    if is_about_locks(error):
        raise BaseUnavailable(f"{path}: cannot be locked where it is read: set {LOCKS}=FALSE before Python starts")


def summary_of(error: Exception) -> str:
    """Return the last part of Keras' message, in one short line: the part before it quotes whole configurations."""
    text = " ".join(str(error).rpartition("Exception encountered: ")[2].split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
