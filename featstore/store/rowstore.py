"""The rows of one key, to read and to add to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from featstore.store.folders import FolderLike
from featstore.store.reader import RowReader
from featstore.store.writer import RowWriter


class RowStore(RowReader):
    """A reader of a key that also knows what its rows are, and so can store more of them. Rows are never rewritten.

    spec_json: canonical JSON of the spec, whose SHA-256 is the key. environment: returns the versions that the rows
    are made with; it is called when rows are stored, when all that belongs to the environment is loaded.
    """

    def __init__(
        self, folder: FolderLike, key: str, spec_json: str, environment: Callable[[], Mapping[str, str]]
    ) -> None:
        super().__init__(folder, key)
        self._spec_json = spec_json
        self._environment = environment

    def writing(
        self, on_wait: Callable[[], None] = lambda: None, more: Callable[[], Mapping[str, str]] = dict
    ) -> RowWriter:
        """Begin to write: `with store.writing() as writer`.

        Waits while another process prunes, compacts or repairs the key; `on_wait` is called once if it does. Takes in
        what others have stored. `more` returns what the rows are made with in addition to the environment of the store.
        """
        return RowWriter(self._inventory, self._spec_json, lambda: {**self._environment(), **more()}, on_wait)
