"""Every reader on bytes, text and JSON that nobody in their right mind would write: a result, or our error in one line.

Examples are the same in every run. Mutations of whole files go deeper than arbitrary bytes: most of what they make is
nearly right. Check sums and digests are made to fit again, since a stranger would do that too.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer import BadParameter

from featstore import predict
from featstore.cli.csv_columns import all_columns
from featstore.cli.predict import _as_csv
from featstore.cli.units import parse_setting
from featstore.datasets.digests import DigestMemory
from featstore.datasets.file_lists import list_files
from featstore.datasets.sources import scan
from featstore.errors import FeatstoreError, UsageError
from featstore.extraction.recipe import Recipe
from featstore.heads.registry import make_head
from featstore.images.preprocessing import parse_variant
from featstore.images.readers import make_reader
from featstore.images.reading import Reading, parse_size
from featstore.images.views import parse_augmentation, parse_views
from featstore.runs.files import load_curve, load_run, load_splits
from featstore.runs.run import Run
from featstore.spec import FeatureSpec
from featstore.store.rowstore import RowStore
from featstore.system.files import FileStat, file_digest
from featstore.system.stamps import LOCAL_NS
from featstore.training.job import train
from helpers.archives import repacked
from helpers.children import in_child
from helpers.encoded import WHOLE
from helpers.paths import TESTS
from helpers.photos import draw, write_photos
from helpers.shards import IDS, KEY, ROWS, named, shard
from helpers.specs import SPEC


def fuzz(examples: int) -> Callable[[Any], Any]:
    """Settings of so many examples: always the same ones, with time enough for each."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Errors of featstore in one line may leave the block; anything else fails the test, as do ten seconds in it."""

    def too_long(*_: object) -> None:
        raise TimeoutError("a reader takes more than ten seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 10)
    try:
        yield
    except FeatstoreError as error:
        assert "\n" not in str(error)
        assert str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Mutations

places = st.floats(0, 1, exclude_max=True)
ENDLESS = b'"' + b"x" * 140_000  # longer than the csv module's limit
MARKS = (b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80")  # byte order marks, and a surrogate in UTF-8
inserted = st.binary(max_size=8) | st.sampled_from([b"\0", b"\r", b"\n", b'"', b"../", b"9" * 5000, ENDLESS, *MARKS])


def _edit(data: bytes, kind: str, place: float, length: float, value: bytes) -> bytes:
    start = int(place * (len(data) + 1))
    stop = start + int(length**4 * (len(data) - start))  # mostly short
    if kind == "flip" and start < len(data):
        return data[:start] + bytes([data[start] ^ (1 << int(8 * length))]) + data[start + 1 :]
    if kind == "end":
        return data[:start]
    if kind == "recode":
        return data.decode("latin-1").encode(("utf-16", "utf-8-sig", "utf-32", "utf-7")[int(4 * length)])
    middle = {
        "cut": b"",
        "insert": value + data[start:stop],
        "double": 2 * data[start:stop],
        "zero": bytes(stop - start),
    }
    return data[:start] + middle.get(kind, value) + data[stop:]


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "flip", "cut", "insert", "double", "zero", "write", "end", "recode"]),
        places | places.map(lambda place: place**3),  # more of them near the beginning
        places,
        inserted,
    ),
    min_size=1,
    max_size=5,
)


def edited(data: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    for change in changes:
        data = _edit(data, *change)
    return data


strange_text = st.text(max_size=6) | st.sampled_from(
    ["", "\ud800", "\udcff", "a\0b", "a\nb", "\u202e", "../..", "/dev/zero", "1", "nan", "9" * 5000, "deep", "none"]
)
strange_numbers = st.sampled_from(
    [
        0,
        -1,
        1,
        2,
        True,
        False,
        None,
        0.5,
        -0.0,
        1e308,
        10**11,
        2**63,
        2**64,
        10**400,
        *map(float, ("nan", "inf", "-inf")),
    ]
)
leaves = strange_numbers | strange_text
strange = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strange_text, inner, max_size=3), max_leaves=4
)


def _slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """All places in a JSON value where another may stand: (container, key)."""
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _slots(inner)


def swapped(value: Any, changes: list[tuple[str, float, Any]]) -> bytes:
    """JSON of `value` with some of its parts exchanged, taken away, added or wrapped."""
    value = json.loads(json.dumps(value))
    for kind, place, new in changes:
        slots = list(_slots(value))
        if not slots:
            break
        container, key = slots[int(place * len(slots))]
        if kind == "swap":
            container[key] = new
        elif kind == "wrap":
            container[key] = [container[key]]
        elif kind == "other":
            other, name = slots[int(place * 7919) % len(slots)]
            container[key] = deepcopy(other[name])  # not the same: it may be what holds the place
        elif kind == "take":
            del container[key]
        elif isinstance(container, dict):
            container[str(new)] = new
        else:
            container.append(new)
    return json.dumps(value).encode().replace(b'"deep"', b"[" * 5000 + b"]" * 5000)


swaps = st.lists(
    st.tuples(st.sampled_from(["swap", "swap", "swap", "wrap", "other", "take", "add"]), places, strange),
    min_size=1,
    max_size=3,
)


def signed(body: bytes) -> bytes:
    """A file whose check sum fits."""
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


# Options


numeric = st.text(alphabet="0123456789.-+e_xX/:,=nai ٣", max_size=12)
option_text = (
    numeric
    | st.text(max_size=12)
    | st.tuples(st.integers(0, 5000), st.sampled_from("019")).map(lambda t: t[1] * t[0])
    | st.integers(0, 10**8).map("{:012d}".format)
)
NAMES = ("crop", "mirror", "rotation", "shear", "zoom", "brightness", "seed", "order", "scale", "mean", "std", "C")
items = st.lists(st.tuples(st.sampled_from(NAMES), option_text), max_size=3).map(
    lambda pairs: ",".join(f"{name}={value}" for name, value in pairs)
)


@fuzz(400)
@given(option_text | items)
def test_options(text: str) -> None:
    """--size, --views, --augment, --preprocess and --set: whatever is typed is a value or a UsageError."""
    readers: tuple[Callable[[str], object], ...] = (
        parse_size,
        parse_views,
        lambda text: parse_views(f"augment:{text}"),
        parse_augmentation,
        lambda text: parse_augmentation(f"seed={text}"),
        lambda text: parse_variant(text, "tf")[1].factors(),
        lambda text: parse_variant(f"scale={text}", None)[1].describe(),
        lambda text: make_head("logistic", dict([parse_setting(text)])),
        lambda text: make_head("logistic", {"C": text, "folds": text}),
    )
    for read in readers:
        with only_our_errors(), suppress(UsageError, BadParameter):
            read(text)


@fuzz(200)
@given(option_text)
def test_augmented_versions_are_no_more_than_a_thousand(text: str) -> None:
    """Row ids have room for 65,535: what is accepted is within bounds, however it is written."""
    with suppress(UsageError):
        assert parse_views(f"augment:{text}")[1] <= 1000


# Manifests

TABLE = "path,label,split,group\na.jpg,cat,train,1\nb.jpg,dög,val,2\nc.jpg,,test,\n".encode()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV beside the images that it names."""
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    return tmp_path / "table.csv"


@fuzz(400)
@given(st.binary(max_size=80) | edits.map(lambda changes: edited(TABLE, changes)))
def test_tables(table: Path, raw: bytes) -> None:
    """A CSV of paths in any encoding, cut, doubled or interspersed with anything."""
    table.write_bytes(raw)
    with only_our_errors():
        scan(table)


@fuzz(200)
@given(strange_text.filter(lambda name: not set(name) <= {".", "/"}))
def test_paths(tmp_path: Path, name: str) -> None:
    """What the file system cannot have is not there."""
    for path in (name, f"{tmp_path}/{name}"):
        with only_our_errors():
            list_files([path])
        with only_our_errors():
            scan(path)


# Specs and stores


@fuzz(500)
@given(st.binary(max_size=40) | swaps.map(lambda c: swapped(SPEC.describe(), c)))
def test_specs(raw: bytes) -> None:
    """What is read is a spec whose text is the one that was read."""
    with only_our_errors():
        assert json.loads(FeatureSpec.from_json(raw).to_json()) == json.loads(raw)


def open_store(folder: Path) -> RowStore:
    return RowStore(folder, KEY, "{}", lambda: {"featstore": "test"})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one shard, with its index and spec.json."""
    folder = tmp_path_factory.mktemp("stored")
    store = open_store(folder)
    with store.writing() as writer:
        writer.append(IDS, ROWS)
    return folder


def use(folder: Path) -> None:
    """Open the store and ask for all that it may have; a row that is not there is a KeyError."""
    with only_our_errors():
        store = open_store(folder)
        len(store), store.row_shape, store.bytes_on_disk
        with suppress(KeyError):
            store.read([row for row in IDS if row in store])


@fuzz(300)
@given(edits | swaps)
def test_spec_files(stored: Path, changes: Any) -> None:
    """The spec.json of a store, damaged in its text or in its values."""
    content = (stored / "spec.json").read_bytes()
    folder = stored / "copy"
    folder.mkdir(exist_ok=True)
    by_value = len(changes[0]) == 3
    (folder / "spec.json").write_bytes(swapped(json.loads(content), changes) if by_value else edited(content, changes))
    use(folder)


@fuzz(400)
@given(edits | swaps)
def test_indexes(stored: Path, changes: Any) -> None:
    """The index of a store, damaged in its header or in its records, under a check sum that fits."""
    _, header, records = (stored / "index").read_bytes().split(b"\n", 2)
    if len(changes[0]) == 3:
        body = swapped(json.loads(header), changes) + b"\n" + records
    else:
        body = edited(header + b"\n" + records, changes)
    folder = stored.parent / "indexed"
    shutil.copytree(stored, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("copy"))
    (folder / "index").write_bytes(signed(body))
    use(folder)


def check_mutated_shards(first: str, last: str) -> None:
    """Each number is the seed of one mutation; the last one that was printed is the one that ended the process."""
    from featstore.store import sandbox

    sandbox.SECONDS = sandbox.AGAIN_SECONDS = 1.0
    data = shard()
    for number in range(int(first), int(last)):
        print(number, flush=True)
        draw = random.Random(number)
        changed = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        raw = bytes(changed[: draw.choice((len(data), len(data), len(data), draw.randrange(len(data))))])
        try:
            sandbox.inspect_shard(named(raw), raw, KEY)
        except FeatstoreError as error:
            assert "\n" not in str(error)


def test_shards() -> None:
    """Damaged anywhere, under the digest of the damaged file, in a process of their own: libhdf5 may take it along."""
    in_child(check_mutated_shards, 0, 1500, seconds=40)


# Digests


@fuzz(400)
@given(edits | swaps)
def test_digest_files(tmp_path: Path, changes: Any) -> None:
    """The memory of file digests, under a check sum that fits: what it answers is a digest or nothing."""
    memory = DigestMemory(tmp_path / "digests", clock=lambda: 10**19)
    stat = FileStat(1, 2, 3, 4)
    memory.get(f"{tmp_path}/a.png", stat)
    memory.remember(f"{tmp_path}/a.png", stat, "ab" * 32, LOCAL_NS)
    memory.save()
    [file] = (tmp_path / "digests").iterdir()
    body = file.read_bytes().partition(b"\n")[2]
    by_value = len(changes[0]) == 3
    file.write_bytes(signed(swapped(json.loads(body), changes) if by_value else edited(body, changes)))
    with only_our_errors():
        for name in ("a.png", "b.png", ""):
            found = DigestMemory(tmp_path / "digests").get(f"{tmp_path}/{name}", stat)
            assert found is None or len(bytes.fromhex(found)) == 32
        DigestMemory(tmp_path / "digests").remember(f"{tmp_path}/c.png", stat, "cd" * 32, LOCAL_NS)


# Runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A logistic head on bare pixels, which needs no TensorFlow."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_photos(folder / "photos", 6)
    recipe = Recipe(model="pixels", size=8, preprocess="rescale")
    draw("discs", 99).save(folder / "new.png")
    return train(data, recipe, cache=folder / "cache", runs=folder / "runs").run


def ask(trained: Run, run_json: bytes) -> None:
    """Predict with the run whose `run.json` was exchanged."""
    work = trained.folder.parents[1]
    folder = work / "changed"
    shutil.copytree(trained.folder, folder, dirs_exist_ok=True)
    (folder / "run.json").write_bytes(run_json)
    with only_our_errors():
        run = load_run(folder)
        prediction = predict(run, [work / "new.png"], cache=work / "cache")
        json.dumps(prediction.images, allow_nan=False)
        assert _as_csv(all_columns(run.classes), prediction)


def test_the_run_as_it_is_predicts(trained: Run) -> None:
    """So what follows does not stop at the first look."""
    work = trained.folder.parents[1]
    assert len(predict(load_run(trained.folder), [work / "new.png"], cache=work / "cache").images) == 1


@fuzz(300)
@given(edits | swaps)
def test_run_files(trained: Run, changes: Any) -> None:
    """run.json with other values, without some, or as text that is damaged; used to predict where it is accepted."""
    content = (trained.folder / "run.json").read_bytes()
    ask(trained, swapped(json.loads(content), changes) if len(changes[0]) == 3 else edited(content, changes))


@fuzz(150)
@given(st.sampled_from(["recipes", "parameters", "classes", "average", "train_on", "fractions", "specs"]), swaps)
def test_fields_of_runs(trained: Run, field: str, changes: Any) -> None:
    """The fields that decide what is computed get more than their share."""
    content = json.loads((trained.folder / "run.json").read_bytes())
    part = swapped({field: content.pop(field)}, changes)
    ask(trained, json.dumps(content).encode()[:-1] + b", " + part[1:])


@fuzz(200)
@given(st.sampled_from(["images.csv", "curve.csv"]), st.binary(max_size=40) | edits)
def test_tables_of_runs(trained: Run, name: str, changes: Any) -> None:
    """The list of images and the curve."""
    path = trained.folder / name
    before = path.read_bytes()
    path.write_bytes(changes if isinstance(changes, bytes) else edited(before, changes))
    try:
        with only_our_errors():
            load_curve(trained)
            load_splits(trained)
    finally:
        path.write_bytes(before)


def ask_with_head(run: Run, work: Path, change: Callable[[dict[str, bytes]], object] | bytes) -> None:
    """Predict with a copy of `run` whose head was changed in its members, or is other bytes, under its right digest."""
    folder = work / f"headed-{run.folder.name}"
    shutil.copytree(run.folder, folder, dirs_exist_ok=True)
    head = folder / run.head_file
    if isinstance(change, bytes):
        head.write_bytes(change)
    else:
        repacked(run.folder / run.head_file, head, change)
    content = json.loads((run.folder / "run.json").read_bytes()) | {"head_sha256": file_digest(head)}
    (folder / "run.json").write_text(json.dumps(content))
    side = run.specs[0].reading.height
    with only_our_errors():
        found = load_run(folder).predict_proba(np.zeros((2, side, side, 3), np.float32))
        assert np.isfinite(found).all()


@fuzz(200)
@given(edits, places)
def test_heads(trained: Run, changes: Any, which: float) -> None:
    """head.npz: its bytes, or one of its arrays with its header."""

    def change(members: dict[str, bytes]) -> None:
        name = sorted(members)[int(which * len(members))]
        members[name] = edited(members[name], changes)

    whole = edited((trained.folder / trained.head_file).read_bytes(), changes)
    ask_with_head(trained, trained.folder.parents[1], whole if which < 0.1 else change)


@fuzz(150)
@given(edits | swaps, places)
def test_heads_of_version_3(trained: Run, changes: Any, which: float) -> None:
    """head.skops: its bytes, its schema or one of its arrays."""
    run = load_run(TESTS / "format" / "run-version-3")

    def change(members: dict[str, bytes]) -> None:
        name = "schema.json" if len(changes[0]) == 3 else sorted(members)[int(which * len(members))]
        content = members[name]
        members[name] = swapped(json.loads(content), changes) if len(changes[0]) == 3 else edited(content, changes)

    of_bytes = which < 0.1 and len(changes[0]) == 4
    whole = edited((run.folder / run.head_file).read_bytes(), changes) if of_bytes else b""
    ask_with_head(run, trained.folder.parents[1], whole if of_bytes else change)


# Images


def sealed(raw: bytes) -> bytes:
    """A PNG whose chunks have check sums that fit, so that what is wrong in them is looked at."""
    found, place = bytearray(raw), 8
    while place + 12 <= len(raw) and (end := place + 8 + int.from_bytes(raw[place : place + 4])) + 4 <= len(raw):
        found[end : end + 4] = zlib.crc32(raw[place + 4 : end]).to_bytes(4)
        place = end + 4
    return bytes(found)


@fuzz(800)
@given(st.sampled_from(sorted(WHOLE)), edits)
def test_images(kind: str, changes: Any) -> None:
    """Photos damaged anywhere, most of all near the header: pixels of the input size, or a reason."""
    raw = edited(WHOLE[kind], changes)
    raw = sealed(raw) if kind == "PNG" else raw
    for fit in ("crop", "pad"):
        with only_our_errors():
            assert make_reader(Reading(16, 24, fit=fit))(raw).shape == (16, 24, 3)
