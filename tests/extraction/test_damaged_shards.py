"""Shards that are not as described: no command uses their rows, and an extraction computes them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from featstore import Bottleneck, extract
from featstore.errors import StoreError
from featstore.extraction.cache import Cache
from featstore.features.load import load_features
from featstore.store.rowid import RowId
from featstore.store.shard import build_shard, load_shard
from helpers.cli import call

pytestmark = pytest.mark.tf

Rows = np.ndarray
Change = Callable[[list[RowId], Rows], tuple[list[RowId], Rows]]


def with_value(value: float) -> Change:
    def change(ids: list[RowId], rows: Rows) -> tuple[list[RowId], Rows]:
        rows[3, 0] = value
        return ids, rows

    return change


def one_id_twice(ids: list[RowId], rows: Rows) -> tuple[list[RowId], Rows]:
    return [*ids, ids[0]], np.concatenate([rows, rows[1:2]])


def narrower(ids: list[RowId], rows: Rows) -> tuple[list[RowId], Rows]:
    return ids, rows[:, :100]


WRONG: dict[str, tuple[Change, str]] = {
    "nan": (with_value(np.nan), "has NaN or infinity in 1 of its 24 rows"),
    "overflow of float16": (with_value(1e6), "has NaN or infinity in 1 of its 24 rows"),
    "id twice": (one_id_twice, "holds an id twice"),
    "another shape": (narrower, "rows of shape (100,), those of the key have shape (256,)"),
    "another dtype": (lambda ids, rows: (ids, rows), "rows are float16, the spec says float32"),
}


@pytest.fixture(params=WRONG)
def damaged(
    request: pytest.FixtureRequest, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[list[str], str, np.ndarray]]:
    """Options of a key whose only shard is wrong, what is wrong, and the rows as they should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    change, reason = WRONG[request.param]
    dtype = "float32" if request.param == "another dtype" else "float16"
    extraction = extract(photos, model="tiny", dtype=dtype, cache="cache")
    [features] = extraction.features
    expected = load_features(extraction.manifest, features.spec, cache="cache").X
    [shard] = features.folder.glob("s-*.h5")
    contents, rows = load_shard(shard.name, shard.read_bytes(), None)
    ids = [contents.ids[at : at + 34] for at in range(0, len(contents.ids), 34)]
    shard.unlink()
    with np.errstate(over="ignore"):
        ids, rows = change(ids, rows.copy())
        name, data = build_shard(features.spec.key, contents.spec, {}, ids, rows.astype(np.float16))
    (features.folder / name).write_bytes(data)
    yield ["--model", "tiny", "--dtype", dtype], reason, expected


def test_extract_computes_the_rows_again_and_says_why(damaged: tuple[list[str], str, np.ndarray], photos: Path) -> None:
    """In words, and as JSON with the reason; `verify` says it too, `compact` refuses, `repair` moves it away."""
    options, reason, expected = damaged
    verified = call("cache", "verify")
    assert (verified.code, reason in verified.out + verified.err) == (1, True)
    assert reason in call("cache", "compact").err
    done = call("extract", photos, *options)
    assert "passed over 1 damaged shard: `featstore cache repair`" in done.err
    [features] = json.loads(call("extract", photos, *options, "--json").out)["features"]
    assert [reason in line for line in features["damaged"]] == [True]
    assert features["computed"] == 0
    extraction = extract(photos, model="tiny", dtype=options[-1], cache="cache")
    found = load_features(extraction.manifest, extraction.features[0].spec, cache="cache").X
    assert np.array_equal(found, expected)
    assert call("cache", "repair").code == 0
    assert call("cache", "verify").code == 0
    assert call("cache", "compact").code == 0
    assert json.loads(call("extract", photos, *options, "--json").out)["features"][0]["computed"] == 0


def test_nothing_else_uses_them(damaged: tuple[list[str], str, np.ndarray], photos: Path) -> None:
    """A head, the transformer, and reading the features of a manifest that was made before."""
    options, _, expected = damaged
    extraction_before = extract(photos, model="pixels", size=8, cache="elsewhere").manifest
    spec = json.loads(call("extract", photos, *options, "--json").out)["features"][0]
    assert (spec["computed"], spec["images"]) == (24, 24)
    assert len(extraction_before) == 24
    done = call("train-head", photos, *options, "--runs", "runs")
    assert done.code == 0, done.err
    paths = [picture.path for picture in extraction_before.pictures]
    assert np.allclose(Bottleneck("tiny", dtype=options[-1], cache="cache").transform(paths), expected)  # type: ignore[arg-type]


def test_rows_that_were_planned_before_the_damage_are_an_error_of_one_line(photos: Path, tmp_path: Path) -> None:
    """A shard that takes another's place while a program runs is checked before it is read."""
    cache = Cache(tmp_path / "cache")
    extraction = extract(photos, model="tiny", cache=cache)
    [features] = extraction.features
    [shard] = features.folder.glob("s-*.h5")
    contents, rows = load_shard(shard.name, shard.read_bytes(), None)
    ids = [contents.ids[at : at + 34] for at in range(0, len(contents.ids), 34)]
    name, data = build_shard(features.spec.key, contents.spec, {}, ids, np.full_like(rows, np.inf))
    shard.unlink()
    (features.folder / name).write_bytes(data)
    with pytest.raises(StoreError, match="have no features yet") as caught:
        load_features(extraction.manifest, features.spec, cache=cache)
    assert "\n" not in str(caught.value)
