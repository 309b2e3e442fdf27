"""`featstore cache explain`: hits, misses, why rows are missing, and that explaining changes nothing."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from featstore import extract
from featstore.cli import cache_explain
from featstore.datasets.digests import DigestMemory
from featstore.datasets.sources import scan
from featstore.errors import DataError, StoreError, UsageError
from featstore.extraction import cache as cache_module
from featstore.extraction.cache import Cache
from featstore.extraction.misses import CacheLookup, Explanation, explain
from featstore.extraction.plan import make_plan
from featstore.extraction.recipe import Recipe
from featstore.images import reading
from featstore.images.reading import Reading
from featstore.spec import FeatureSpec
from featstore.store.rowid import row_id
from featstore.system.private_copy import FileDigest
from featstore.system.stamps import LOCAL_NS
from helpers.keyfolder import put
from helpers.light import forbid_tensorflow
from helpers.photos import draw, write_photos

LATER = functools.partial(DigestMemory, clock=lambda: 10**19)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work with 24 images in `photos`, without TensorFlow. Digests are remembered although the files are new."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    monkeypatch.setattr(cache_module, "DigestMemory", LATER)
    forbid_tensorflow(monkeypatch)
    write_photos(Path("photos"), 12)


def store(data: str = "photos", *, images: int | None = None, **options: Any) -> FeatureSpec:
    """Store rows of zeros for the first `images` of `data`, as if they had been extracted."""
    plan = make_plan(Recipe(**{"model": "pixels", "size": 8, **options}), LATER(Path("cache/digests")))
    pictures = explain(scan(data), []).manifest.pictures[:images]
    for spec, views in plan.parts:
        ids = [row_id(p.digest, view) for p in pictures for view in views]
        put(Cache("cache").store(spec), ids, np.zeros((len(ids), 2), np.float16))
    return plan.spec


def look_up(data: str = "photos", **options: Any) -> CacheLookup:
    [lookup] = look_up_all(data, **options).features
    return lookup


def look_up_all(data: str = "photos", **options: Any) -> Explanation:
    return explain(data, [Recipe(**{"model": "pixels", "size": 8, **options})])


def missing(lookup: CacheLookup) -> dict[str, str]:
    return {str(Path(*Path(item.path).parts[1:])): item.why for item in lookup.missing}


def state(folder: str) -> dict[str, tuple[int, bytes]]:
    files = (p for p in Path(folder).rglob("*") if p.is_file())
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def test_what_is_stored_is_a_hit() -> None:
    """Other keys in the cache do not matter."""
    store(fit="crop")
    spec = store()
    lookup = look_up()
    assert (lookup.hit, lookup.images, lookup.rows, lookup.stored, lookup.missing) == (True, 24, 24, 24, ())
    assert (lookup.spec, lookup.nearest, lookup.key_is_stored) == (spec, None, True)
    assert lookup.folder == Path("cache") / spec.folder


def test_moved_renamed_and_copied_images_are_hits() -> None:
    """Rows belong to the bytes of an image."""
    extract("photos", model="pixels", size=8)
    Path("photos").rename("elsewhere")
    Path("elsewhere/discs/000.png").rename("elsewhere/stripes/new.png")
    Path("elsewhere/discs/copy.png").write_bytes(Path("elsewhere/discs/001.png").read_bytes())
    lookup = look_up("elsewhere")
    assert (lookup.hit, lookup.images, lookup.stored) == (True, 25, 25)


def test_new_and_changed_images_are_named() -> None:
    """A second explanation says the same: the first does not overwrite the remembered digests."""
    extract("photos", model="pixels", size=8)
    draw("discs", 50).save("photos/discs/003.png")
    draw("discs", 51).save("photos/discs/new.png")
    for _ in range(2):
        lookup = look_up()
        assert missing(lookup) == {"discs/003.png": "changed", "discs/new.png": "new"}
        assert (lookup.hit, lookup.images, lookup.stored, lookup.key_is_stored) == (False, 25, 23, True)
    assert extract("photos", model="pixels", size=8).features[0].computed == 2
    assert look_up().hit


def test_a_changed_image_without_rows_before_is_new() -> None:
    """Its former content has no row in this store."""
    store(images=3)
    extract("photos", model="pixels", size=9)
    draw("discs", 50).save("photos/discs/007.png")
    assert missing(look_up())["discs/007.png"] == "new"


def test_an_image_may_have_some_of_its_views() -> None:
    """Crops are rows of one store: with two of ten, the images are known."""
    store(views="flip")
    lookup = look_up(views="ten")
    assert (lookup.rows, lookup.stored) == (240, 48)
    assert set(missing(lookup).values()) == {"views"}
    assert look_up(views="one", resize=round(8 / 0.875)).hit


def test_a_key_with_rows_of_other_images_has_nothing_near() -> None:
    """The key is the same; all images are new."""
    write_photos(Path("others"), 2, first=100)
    store("others")
    lookup = look_up()
    assert (lookup.key_is_stored, lookup.nearest, lookup.stored, len(lookup.missing)) == (True, None, 0, 24)


def test_the_nearest_key_has_the_fewest_differences() -> None:
    """Ties go to the same base and kind of views, then to the most of these images, then to the first name."""
    store(size=16, fit="crop")
    assert near(size=8) == ("input size 16 -> 8", "fit crop -> squash")
    store(preprocess="raw", images=2)
    assert near(size=8) == ("preprocessing raw -> rescale",)
    store(interpolation="box", images=20)
    assert near(size=8) == ("interpolation box -> bilinear",)
    for interpolation in ("nearest", "lanczos"):
        store(interpolation=interpolation, images=20)
    names = {str(look_up().nearest.folder) for _ in range(3)}  # type: ignore[union-attr]
    assert names == {min(str(p.parent) for p in Path("cache").glob("pixels/rescale-8-*/spec.json"))}


@pytest.mark.parametrize(
    "asked, sizes, nearest",
    [(192, (150, 224), 224), (10, (8, 64), 8), (32, (8, 100), 100), (12, (8, 18), 18), ("8x4", ("4x8", 8), 8)],
)
def test_of_sizes_as_good_the_nearest_is_chosen(asked: Any, sizes: Any, nearest: Any) -> None:
    """The ratio of sizes decides, up or down, then the name of the folder; the number of images comes before both."""
    for size in sizes:
        store(size=size)
    assert near(size=asked)[0].startswith(f"input size {nearest} ->")
    store("photos", size=asked, fit="crop", images=1)
    assert near(size=asked)[0].startswith(f"input size {nearest} ->")


@pytest.mark.parametrize("size", [None, 8, [0, 0], [-1, 0], [10**400, 8], [8], ["8", "8"]])
def test_a_size_that_makes_no_sense_is_the_farthest(size: Any) -> None:
    """Its spec was written by hand, or by another version."""
    path = Path("cache") / store(size=8).folder / "spec.json"
    content = json.loads(path.read_text())
    content["spec"]["reading"]["size"] = size
    path.write_text(json.dumps(content))
    store(size=300)
    assert near(size=10) == ("input size 300 -> 10",)


def near(**options: Any) -> tuple[str, ...]:
    lookup = look_up(**options)
    assert lookup.nearest is not None
    assert lookup.nearest.folder.is_dir()
    return lookup.nearest.differences


def test_a_setting_is_nearer_than_another_base() -> None:
    """Both are one difference, but a base determines the row."""
    spec = store(fit="pad", images=1)
    other = FeatureSpec("Abc", spec.weights, Reading(8, 8), spec.preprocessing, pool="none")
    ids = [row_id(p.digest) for p in explain("photos", []).manifest.pictures]
    put(Cache("cache").store(other), ids, np.zeros((24, 2), np.float16))
    assert near() == ("fit pad -> squash",)
    assert look_up().nearest.images == 1  # type: ignore[union-attr]


def test_a_cache_of_another_version_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its specs cannot be used any more, but they still give the reason."""
    store()
    monkeypatch.setitem(reading.VERSIONS, "pillow", 7)
    assert near() == ("version of the reading code 1 -> 7",)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": "x", "spec": 5}', "[" * 100_000, "\xff"])
def test_a_spec_that_cannot_be_read_is_passed_over_with_a_note(text: str) -> None:
    """The other keys are still compared."""
    store(fit="crop")
    Path("cache/pixels/broken").mkdir()
    Path("cache/pixels/broken/spec.json").write_text(text, "latin-1")
    explanation = look_up_all()
    assert explanation.features[0].nearest is not None
    [note] = explanation.notes
    assert note.startswith("passed over: cache/pixels/broken/spec.json: cannot be read: ")


def test_a_key_without_shards_is_no_key_of_its_own() -> None:
    """Its spec equals the request, so there would be no difference to name."""
    store(fit="crop")
    folder = Path("cache") / store().folder
    for shard in folder.glob("s-*.h5"):
        shard.unlink()
    assert near() == ("fit crop -> squash",)


def damage(spec: FeatureSpec, shards: int) -> None:
    """Cut the last byte off the smallest shards of the key."""
    paths = sorted((Path("cache") / spec.folder).glob("s-*.h5"), key=lambda path: path.stat().st_size)
    for path in paths[:shards]:
        path.write_bytes(path.read_bytes()[:-1])


def test_a_damaged_key_is_there() -> None:
    """No other key is offered instead, and every damaged shard has its line."""
    store(fit="crop")
    spec = store()
    damage(spec, 1)
    lookup = look_up()
    assert (lookup.key_is_stored, lookup.nearest, lookup.stored, len(lookup.missing)) == (True, None, 0, 24)
    [line] = lookup.damaged
    assert line.startswith("s-") and line.endswith("the bytes do not match the name: damaged")
    assert lookup.describe()["damaged"] == [line]


def test_what_is_whole_of_a_damaged_key_counts() -> None:
    """A hit may be damaged too, if two shards have the same rows."""
    store(images=2)
    spec = store()
    assert look_up().damaged == ()
    damage(spec, 1)
    assert (look_up().hit, len(look_up().damaged)) == (True, 1)
    damage(spec, 2)
    assert (look_up().hit, len(look_up().damaged)) == (False, 2)


def test_each_size_and_each_recipe_has_an_answer() -> None:
    """They are in the order of an extraction; recipes may have the same key."""
    store()
    recipes = [Recipe(model="pixels", size=8, preprocess=name) for name in ("keras", "rescale", "tf")]
    assert [lookup.hit for lookup in explain("photos", recipes).features] == [True, True, False]


def test_augmented_versions_are_asked_for_training_images_only() -> None:
    """This is what an extraction does."""
    extraction = extract("photos", model="pixels", size=8, views="augment:2")
    plain, versions = look_up_all(views="augment:2").features
    assert plain.hit and versions.hit
    assert (versions.images, versions.rows) == (extraction.features[1].images, extraction.features[1].rows)
    assert versions.images < plain.images
    plain, versions = look_up_all(views="augment:3", augment="zoom=0.5").features
    assert plain.hit and versions.nearest is not None
    assert versions.nearest.differences == ("augmentation's zoom 0.2 -> 0.5",)


def test_asking_writes_nothing_and_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds without a cache, for a hit, for a partial miss and for a complete one."""
    assert look_up().nearest is None
    assert not Path("cache").exists()
    store(images=20)
    monkeypatch.setattr("featstore.images.decode.open_image", pytest.fail)
    before = state("cache")
    for options in ({}, {"fit": "pad"}, {"views": "five"}):
        look_up(**options)
    assert state("cache") == before


def test_the_digest_of_weights_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs the start of TensorFlow, and unlike the digests of images it is not needed to explain changes."""
    computed: list[object] = []

    def compute(*arguments: Any) -> FileDigest:
        computed.append(arguments)
        return FileDigest("ab" * 32, arguments[-1], LOCAL_NS)

    monkeypatch.setattr("featstore.extraction.resolve._compute_weights_digest", compute)
    for _ in range(2):
        assert not explain("photos", [Recipe(model="tiny")]).features[0].hit
    assert len(computed) == 1
    assert len(list(Path("cache/digests").iterdir())) == 1


def test_files_that_cannot_be_read_are_listed() -> None:
    """They are neither hit nor miss; `on_step` counts the files that had to be read."""
    store()
    manifest = scan("photos")
    Path("photos/discs/003.png").unlink()
    steps: list[tuple[int, int]] = []
    explanation = explain(manifest, [Recipe(model="pixels", size=8)], on_step=lambda *step: steps.append(step))
    assert [Path(item.path).name for item in explanation.manifest.skipped] == ["003.png"]
    assert explanation.features[0].images == 23
    assert steps == [(n, 24) for n in range(1, 25)]
    shutil.rmtree("photos")
    with pytest.raises(
        DataError, match="photos: none of 24 files can be read; the first: photos/discs/000.png: cannot"
    ):
        explain(manifest, [])


@pytest.mark.parametrize(
    ("data", "options", "error"),
    [
        ("nowhere", {}, DataError),
        ("photos", {"fit": "shrink"}, UsageError),
        ("photos/discs", {"views": "augment:2"}, DataError),
    ],
)
def test_what_cannot_be_extracted_cannot_be_explained(data: str, options: dict[str, Any], error: Any) -> None:
    """The errors are the same."""
    with pytest.raises(error):
        look_up_all(data, **options)


def test_a_folder_of_another_key_is_an_error() -> None:
    """An extraction raises the same error."""
    folder = Path("cache") / store().folder
    content = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**content, "key": "0" * 64}))
    with pytest.raises(StoreError):
        look_up()


def test_the_last_known_digest_outlives_a_change() -> None:
    """`get` no longer knows the file, `last_known` knows what it was."""
    extract("photos", model="pixels", size=8)
    before = scan("photos").pictures[0]
    draw("discs", 50).save(before.path)
    memory = DigestMemory(Path("cache/digests"))
    known = memory.get(before.path, before.stat)
    assert known is not None
    assert memory.get(before.path, scan("photos").pictures[0].stat) is None
    assert memory.last_known(before.path) == known
    assert memory.last_known("photos/discs/none.png") is None


LIGHT = """
import sys, featstore.extraction.misses
from featstore.extraction.recipe import Recipe
[hit] = featstore.extraction.misses.explain("photos", [Recipe(model="pixels", size=8)]).features
assert hit.hit and hit.images == 24
print(sorted({"tensorflow", "keras", "numpy", "h5py", "PIL"} & set(sys.modules)))
"""


def test_a_question_is_light() -> None:
    """No TensorFlow, and for a hit no numpy, h5py or Pillow either."""
    extract("photos", model="pixels", size=8)
    done = subprocess.run([sys.executable, "-W", "error", "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The command

app = typer.Typer()
app.command()(cache_explain.command)


def call(*arguments: str) -> tuple[str, str]:
    """Return standard output and standard error of the command, which must succeed."""
    done = CliRunner().invoke(app, ["photos", "--model", "pixels", "--size", "8", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout, done.stderr


def test_the_command_says_it_in_lines() -> None:
    """A hit, a near miss, and a miss by some images."""
    assert call("--views", "ten")[0].splitlines()[1:] == ["      the cache holds no features at all"]
    spec = store()
    assert call() == (f"hit   pixels, keras, 8 px: 24 of 24 images in cache/{spec.folder}\n", "")
    draw("discs", 51).save("photos/discs/\x1b[31m.png")
    out, _ = call("--preprocess", "keras", "--preprocess", "tf")
    lines = [line.split(" in cache")[0] for line in out.splitlines()]
    assert lines == [
        "miss  pixels, keras, 8 px: 24 of 25 images",
        r"      new: photos/discs/\x1b[31m.png",
        "miss  pixels, tf, 8 px: 0 of 25 images",
        "      nearest: preprocessing rescale -> tf; 24 of the images",
    ]


def test_damage_has_a_line_with_what_to_do() -> None:
    """It comes before the images, also for a hit, and JSON has all lines."""
    store(images=2)
    spec = store()
    damage(spec, 1)
    remedy = "of the key; repair it with `featstore cache repair`"
    assert call()[0].splitlines()[1:] == [f"      damaged: 1 shard {remedy}"]
    damage(spec, 2)
    lines = call()[0].splitlines()
    assert lines[0].startswith("miss  pixels, keras, 8 px: 0 of 24 images in ")
    assert lines[1] == f"      damaged: 2 shards {remedy}"
    assert {line.split(":")[0].strip() for line in lines[2:-1]} == {"new"}
    assert len(json.loads(call("--json")[0])["features"][0]["damaged"]) == 2


def test_a_long_list_of_images_is_cut() -> None:
    """Twenty lines for all features together; the changed ones come first."""
    extract("photos", model="pixels", size=8)
    write_photos(Path("photos"), 30, first=12)
    draw("discs", 99).save("photos/stripes/011.png")
    lines = call()[0].splitlines()
    assert lines[1] == "      changed: photos/stripes/011.png"
    assert [line.split(":")[0].strip() for line in lines[2:21]] == ["new"] * 19
    assert lines[21:] == ["      ... and 41 more (all of them with --json)"]


def test_json_has_everything() -> None:
    """One object, with every image that lacks rows; notes and skipped files in it."""
    store(images=2)
    Path("cache/pixels/broken").mkdir()
    Path("cache/pixels/broken/spec.json").write_text("")
    out, err = call("--preprocess", "keras", "--preprocess", "tf", "--json")
    result = json.loads(out)
    assert err == ""
    assert set(result) == {"features", "skipped", "notes"}
    assert len(result["notes"]) == 1
    some, none = result["features"]
    assert [some[name] for name in ("hit", "images", "rows", "stored", "key_is_stored")] == [False, 24, 24, 2, True]
    assert len(some["missing"]) == 22
    assert set(some["missing"][0]) == {"path", "why"}
    assert none["nearest"]["differences"] == ["preprocessing rescale -> tf"]
    assert none["nearest"]["images"] == 2


def test_quiet_leaves_the_notes() -> None:
    """A word for each set of features, and warnings on standard error."""
    store(fit="crop")
    Path("cache/pixels/broken").mkdir()
    Path("cache/pixels/broken/spec.json").write_text("")
    out, err = call("--quiet")
    assert (out, err.count("\n")) == ("miss\n", 1)


def test_an_image_whose_row_was_lost_is_not_called_new() -> None:
    """An extraction has read the image; its shard is gone."""
    extract("photos", model="pixels", size=8)
    for shard in Path("cache").glob("pixels/*/s-*.h5"):
        shard.unlink()
    draw("discs", 99).save("photos/discs/new.png")
    why = missing(look_up())
    assert why.pop("discs/new.png") == "new"
    assert set(why.values()) == {"known"}
    assert len(why) == 24
