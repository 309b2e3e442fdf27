"""Each layout that people have is understood and told, or refused with one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets.layouts import FOLDERS, Layout
from datasets.table_layouts import TABLES

from featstore.datasets.options import DataOptions
from featstore.datasets.sources import scan
from featstore.datasets.splits import check_splittable
from featstore.datasets.summary import summarize
from featstore.errors import FeatstoreError

LAYOUTS = [*FOLDERS, *TABLES]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_understood_or_refused(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is taken for another thing in silence."""
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    data = layout.draw(tmp_path)
    try:
        manifest = scan(data, DataOptions(**layout.options))
        check_splittable(manifest)
    except FeatstoreError as error:
        assert layout.refused, error
        assert layout.refused in str(error)
        return
    assert not layout.refused
    summary = summarize(manifest)
    assert summary.line() == layout.line
    assert len(summary.notes) == len(layout.notes), summary.notes
    for part in layout.notes:
        assert any(part in note for note in summary.notes), summary.notes


def test_there_are_fifty_and_no_two_of_one_name() -> None:
    """A layout is found by its name."""
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS) >= 50
