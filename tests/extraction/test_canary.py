"""The canary: its images, which changes it detects, which it permits, and that refused rows are not stored."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, JpegImagePlugin

from featstore.bases.build import load_base
from featstore.bases.catalog import BASES
from featstore.bases.cut import cut_at
from featstore.bases.source import parse_source
from featstore.engines.tensorflow import TensorFlowNetwork
from featstore.errors import StoreError, UnreadableImage
from featstore.extraction import canary
from featstore.extraction.canary import IMAGES, NAMES, TOLERANCES, Guard, canary_pixels
from featstore.extraction.sketch import from_text, to_text
from featstore.images import decode
from featstore.images.preprocessing import NAMED
from featstore.images.readers import make_views_reader
from featstore.images.reading import Reading
from featstore.images.resize import fit_image
from featstore.store.spec_file import KeyFile
from helpers.cli import Done, call
from helpers.light import forbid_tensorflow
from helpers.photos import draw, write_photos

OLD, NEW = {"python": "3.11", "pillow": "11.3"}, {"python": "3.11", "pillow": "13.0"}
READING = Reading(32, 32)
PHOTOS = np.stack([np.asarray(draw("discs", number, (32, 32))) for number in range(2)])

DIGESTS = {
    "alpha.png": "f9a78f23ba747078257ed680a8106792cf7d7a178d4b22aa065f29bb9ee9b757",
    "grey-16-bit.png": "a8535c5ecc6be60abeb127c24ef54ee265846117138f04daf239051780fba1ab",
    "subsampled.jpg": "c2a3345c3be40266913d05123e57915e0dbf01a6eb5ef9e960d6552b9b295f3b",
    "turned.jpg": "ecf2a6485edc8bda7d46d7e7d429060cd11a205d1c69292c04d0b6704e8e1289",
}


@dataclass
class FakeStore:
    """The part of a store that the guard uses."""

    key_file: KeyFile | None = None
    folder: Path = Path("cache/tiny/tf-32-0123")

    @property
    def canary(self) -> dict[str, Any]:
        return self.key_file.canary


def read(raw: bytes) -> np.ndarray:
    return make_views_reader(READING, (0,))(raw)


def flat(images: np.ndarray) -> np.ndarray:
    """Return the pixels as features, so that rows are folded."""
    return images.reshape(len(images), -1).astype(np.float32)


def key_file(canary: dict[str, Any] | None = None) -> KeyFile:
    return KeyFile(key="0123", spec={}, versions=OLD, canary=canary)


def rows(read: Any = read, encode: Any = flat) -> dict[str, np.ndarray]:
    """Return the rows of the canary images, as the first batch of a run has them."""
    pixels = canary_pixels(read)
    return dict(zip(pixels, encode(np.stack([*pixels.values(), *PHOTOS])), strict=False))


def begun(read: Any = read, encode: Any = flat) -> FakeStore:
    """Return a store with rows of the environment OLD."""
    guard = Guard(FakeStore(), lambda: OLD)
    guard.check(rows(read, encode), {})
    return FakeStore(key_file(canary=guard.canary()))


def append(store: FakeStore, read: Any = read, encode: Any = flat, here: dict[str, str] = NEW) -> None:
    Guard(store, lambda: here).check(rows(read, encode), {})


# The images


def test_the_images_never_change() -> None:
    """Canaries in caches were computed from these very files."""
    found = {name: hashlib.sha256((IMAGES / name).read_bytes()).hexdigest() for name in NAMES}
    assert found == DIGESTS
    assert sorted(path.name for path in IMAGES.iterdir()) == sorted(NAMES)


def test_each_image_asks_something_else() -> None:
    """Subsampled colours, transparency, 16 bits, and an image with an EXIF rotation."""
    images = {name: Image.open(BytesIO((IMAGES / name).read_bytes())) for name in NAMES}
    assert JpegImagePlugin.get_sampling(images["subsampled.jpg"]) == 2  # 4:2:0
    assert {value for _, value in images["alpha.png"].getchannel("A").getcolors()} >= {0, 255, 102}
    assert images["grey-16-bit.png"].mode == "I;16"
    assert (images["turned.jpg"].format, images["turned.jpg"].getexif()[0x0112]) == ("JPEG", 6)


def test_one_image_is_scaled_down_for_every_base() -> None:
    """An enlarged image does not show whether resizing antialiases."""
    largest = max(info.input_size for info in BASES.values())
    assert min(decode.decode_rgb((IMAGES / "alpha.png").read_bytes()).size) > largest


# What the guard does


def test_a_new_store_gets_a_canary() -> None:
    """It is plain JSON of a few kilobytes, whatever the size of a row."""
    guard = Guard(FakeStore(), lambda: NEW)
    assert guard.canary() is None
    guard.check(rows(), {})
    kept = guard.canary()
    assert kept == json.loads(json.dumps(kept))
    assert list(kept["features"]) == list(NAMES)
    assert len(json.dumps(kept)) < 6000
    assert all(len(from_text(text)) == 256 for text in kept["features"].values())


def test_the_same_versions_are_compared_too() -> None:
    """A switch of a program, or a machine that computes differently, has no version."""
    append(begun(), here=OLD)
    with pytest.raises(StoreError) as refused:
        append(begun(), encode=lambda images: flat(images) * np.float32(1.01), here=OLD)
    assert "its rows were made with the same versions (canary" in str(refused.value)
    assert "see what this program or machine has set, or extract into another `cache`" in str(refused.value)


def test_a_store_without_a_canary_gets_one() -> None:
    """Another program began it, or an old release: there is nothing to compare with, but from now on there is."""
    guard = Guard(FakeStore(key_file()), lambda: NEW)
    guard.check(rows(), {})
    assert guard.canary() == begun().canary


@pytest.mark.parametrize("noise, fits", [(1e-6, True), (1e-2, False)])
def test_a_key_that_another_process_begins_meanwhile_is_compared(noise: float, fits: bool) -> None:
    """Both found none when they began: without this, two environments would mix their rows."""
    store = FakeStore()
    guard = Guard(store, lambda: NEW)
    guard.check(rows(), {"engine": "openvino 1"})
    assert guard.canary() is not None
    store.key_file = begun(encode=lambda images: flat(images) * np.float32(1 + noise)).key_file
    if fits:
        assert guard.canary() is None
    else:
        with pytest.raises(StoreError, match=r"with engine unknown, .* with engine openvino 1, .* differ by 9\.9e-03"):
            guard.canary()


def test_the_refusal_names_the_engines() -> None:
    """Two engines of one environment make the same features, or they do not go together."""
    with pytest.raises(StoreError, match=r"made with engine unknown \(.* here, with engine openvino 1 \("):
        Guard(begun(), lambda: OLD).check(rows(encode=lambda images: flat(images) + 1), {"engine": "openvino 1"})


@pytest.mark.parametrize("precision, noise, passes", [("bfloat16", 1e-2, True), ("bfloat16", 0.1, False)])
def test_a_lower_precision_has_a_wider_limit(precision: str, noise: float, passes: bool) -> None:
    """Engines round differently there, by as much as each is off."""
    random = np.random.default_rng(0)
    guard = Guard(begun(), lambda: NEW, tolerance=TOLERANCES[precision])
    found = {name: row * (1 + noise * random.normal(size=row.shape)) for name, row in rows().items()}
    with nullcontext() if passes else pytest.raises(StoreError, match="where 3e-02 is allowed"):
        guard.check(found, {})


@pytest.mark.parametrize("noise, passes", [(0, True), (1e-6, True), (2e-5, True), (5e-4, False), (1e-2, False)])
def test_the_limit_is_1e_4(noise: float, passes: bool) -> None:
    """Differences from rounding pass. Larger ones are refused, and refused again at the next call."""
    random = np.random.default_rng(0)

    def encode(images: np.ndarray) -> np.ndarray:
        made = flat(images)
        return (made * (1 + noise * random.normal(size=made.shape))).astype(np.float32)

    guard = Guard(begun(), lambda: NEW)
    for _ in range(2):
        with nullcontext() if passes else pytest.raises(StoreError, match="features of the same images differ by"):
            guard.check(rows(encode=encode), {})


def test_one_image_is_enough() -> None:
    """One format that is read differently is not averaged away by the others."""
    raw = (IMAGES / "turned.jpg").read_bytes()
    store = begun()
    with pytest.raises(StoreError):
        append(store, lambda given: read(given) // 2 * 2 if given == raw else read(given))


def test_the_refusal_says_what_and_what_to_do() -> None:
    """One line: the folder, the versions that differ, both fingerprints, the difference, and the remedy."""
    with pytest.raises(StoreError) as refused:
        append(begun(), encode=lambda images: flat(images) * np.float32(1.01))
    assert re.fullmatch(
        r"cache/tiny/tf-32-0123: its rows were made with pillow 11\.3 \(canary [0-9a-f]{8}\); here, with pillow 13\.0 "
        r"\(canary [0-9a-f]{8}\), features of the same images differ by 1\.0e-02, where 1e-04 is allowed: go back to "
        r"the versions they were made with, or extract into another `cache`",
        str(refused.value),
    )
    old, new = re.findall(r"canary (\w+)", str(refused.value))
    assert old != new


def test_what_only_one_environment_names_differs_too() -> None:
    """A device that was not recorded is unknown, on either side."""
    with pytest.raises(StoreError, match=r"made with device unknown, pillow 11.3 .* with device cpu, pillow 13.0 "):
        append(begun(), encode=lambda images: flat(images) + 1, here={**NEW, "device": "cpu"})


def colour_only(raw: bytes) -> np.ndarray:
    if raw == (IMAGES / "grey-16-bit.png").read_bytes():
        raise UnreadableImage("16 bits")
    return read(raw)


def nothing(raw: bytes) -> np.ndarray:
    raise UnreadableImage("no")


def test_images_that_the_old_environment_could_not_read_are_left_out() -> None:
    """The other images still count; if none is left, nothing is compared."""
    partly = begun(colour_only)
    assert [name for name, text in partly.canary["features"].items() if text is None] == ["grey-16-bit.png"]
    append(partly)
    append(partly, colour_only)
    append(begun(nothing))
    append(begun(nothing), nothing)
    with pytest.raises(StoreError):
        append(partly, colour_only, lambda images: flat(images) + 1)


@pytest.mark.parametrize("reader, named", [(colour_only, "grey-16-bit.png"), (nothing, ", ".join(NAMES))])
def test_an_environment_that_cannot_read_an_image_any_more_is_refused(reader: Any, named: str) -> None:
    """One image is enough; the line names it, both environments, and the remedy."""
    with pytest.raises(StoreError) as refused:
        append(begun(), reader)
    assert re.fullmatch(
        r"cache/tiny/tf-32-0123: its rows were made with pillow 11\.3 \(canary [0-9a-f]{8}\); here, with pillow 13\.0 "
        rf"\(canary [0-9a-f]{{8}}\), {re.escape(named)} cannot be read or give NaN or infinity, so images that were "
        r"read would be refused: go back to the versions they were made with, or extract into another `cache`",
        str(refused.value),
    )


def overflowing(images: np.ndarray) -> np.ndarray:
    """Return features with infinity for half of the canary."""
    made = flat(images)
    middle = np.median([flat(read((IMAGES / name).read_bytes())).mean() for name in NAMES])
    made[made.mean(axis=1) > middle, 0] = np.inf
    return made


def test_features_that_were_not_finite_are_left_out() -> None:
    """Such rows are never stored, so they need no comparison."""
    store = begun(encode=overflowing)
    assert list(store.canary["features"].values()).count(None) == 2
    append(store)
    append(store, encode=overflowing)


@pytest.mark.parametrize("encode", [overflowing, lambda images: flat(images) * np.float32("nan")])
def test_an_environment_whose_features_are_not_finite_is_refused(encode: Any) -> None:
    """NaN for an image that had features is a difference, though it compares as none."""
    with pytest.raises(StoreError, match=r"\.(png|jpg) cannot be read or give NaN or infinity"):
        append(begun(), encode=encode)


@pytest.mark.parametrize(
    "damage, reason",
    [
        ({"version": 2}, "has a canary of version 2, this featstore reads 1: upgrade it"),
        ({"features": {}}, "cannot be read"),
        ({"features": None}, "cannot be read"),
        ({"features": dict.fromkeys(NAMES, "*")}, "cannot be read"),
        ({"features": dict.fromkeys(NAMES, 7)}, "cannot be read"),
    ],
)
def test_a_canary_that_cannot_be_read_is_refused(damage: dict[str, Any], reason: str) -> None:
    """It is damaged, or of a newer featstore; rows without the comparison could be wrong."""
    store = FakeStore(key_file(canary=begun().canary | damage))
    with pytest.raises(StoreError, match=reason):
        append(store)


# What it catches, through the network


@pytest.fixture(scope="module")
def model() -> Any:
    return cut_at(load_base(parse_source("tiny", None, None, 0), 32, 32), "last", "avg")


def network(model: Any, **options: Any) -> Callable[[np.ndarray], np.ndarray]:
    made = TensorFlowNetwork(model, NAMED["tf"], **options)
    return lambda images: made(images)[0]


@pytest.fixture(scope="module")
def tiny(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    return network(model)


@pytest.fixture(scope="module")
def kept(tiny: Any) -> FakeStore:
    return begun(encode=tiny)


def by_tensorflow(raw: bytes, **options: Any) -> np.ndarray:
    """Read an image with JPEG decoded by TensorFlow."""
    if not raw.startswith(b"\xff\xd8"):
        return read(raw)
    image = Image.fromarray(tf.io.decode_jpeg(raw, channels=3, **options).numpy())
    turn = decode._TURNS.get(decode._orientation(Image.open(BytesIO(raw))))
    return fit_image(image if turn is None else image.transpose(turn), READING)[None]


def without_antialiasing(raw: bytes) -> np.ndarray:
    return np.asarray(tf.image.resize(np.asarray(decode.decode_rgb(raw)), (32, 32)))[None]


def with_patched(name: str, value: Any) -> Callable[[bytes], np.ndarray]:
    """Return `read` with something else for `decode.<name>`."""

    def patched(raw: bytes) -> np.ndarray:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decode, name, value)
            return read(raw)

    return patched


def on_black(image: Image.Image, *how: Any, to_rgb: Callable[..., Image.Image] = decode._to_rgb) -> Image.Image:
    if image.mode != "RGBA":
        return to_rgb(image, *how)
    black = Image.new("RGB", image.size)
    black.paste(image, mask=image)
    return black


def brighter(raw: bytes) -> np.ndarray:
    return np.maximum(read(raw), 1 + read(raw).clip(0, 254))


PLANTED = {
    "another DCT": lambda raw: by_tensorflow(raw, dct_method="INTEGER_FAST"),
    "colours not smoothed": lambda raw: by_tensorflow(raw, dct_method="INTEGER_ACCURATE", fancy_upscaling=False),
    "nearest": make_views_reader(replace(READING, interpolation="nearest"), (0,)),
    "box": make_views_reader(replace(READING, interpolation="box"), (0,)),
    "no antialiasing": without_antialiasing,
    "EXIF ignored": with_patched("_TURNS", {}),
    "alpha on black": with_patched("_to_rgb", on_black),
    "16 bits clipped": with_patched("_from_16_bit", lambda image, bits: image.convert("I").convert("RGB")),
    "16 bits cut off": with_patched(
        "_from_16_bit", lambda image, bits: Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    ),
    "channels swapped": lambda raw: read(raw)[..., ::-1],
    "one level brighter": brighter,
}


@pytest.mark.parametrize("change", PLANTED)
def test_another_reading_is_caught(kept: FakeStore, tiny: Any, change: str) -> None:
    """Every way in which a decoder or a filter may differ is detected."""
    with pytest.raises(StoreError, match="features of the same images differ by"):
        append(kept, PLANTED[change], tiny)


def test_the_same_pixels_from_another_decoder_pass(kept: FakeStore, tiny: Any) -> None:
    """TensorFlow's accurate DCT gives Pillow's pixels: only values count."""
    append(kept, lambda raw: by_tensorflow(raw, dct_method="INTEGER_ACCURATE"), tiny)


def test_another_batch_passes(kept: FakeStore, tiny: Any, model: Any) -> None:
    """Differences from rounding are permitted."""
    append(kept, read, network(model, batch=4))
    append(kept, read, lambda images: np.concatenate([tiny(images[i : i + 1]) for i in range(len(images))]))


def perturbed(weight: np.ndarray) -> np.ndarray:
    return weight * (1 + 0.01 * np.random.default_rng(weight.size).normal(size=weight.shape))


def as_bfloat16(weight: np.ndarray) -> np.ndarray:
    """Round a weight as mixed precision rounds one of the two factors of a product."""
    return tf.cast(tf.cast(weight, tf.bfloat16), tf.float32).numpy()


@pytest.mark.parametrize("change", [perturbed, as_bfloat16])
def test_another_computation_is_caught(kept: FakeStore, model: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Weights that are one percent off, and products of rounded factors, are detected."""
    before = model.get_weights()
    try:
        model.set_weights([change(weight) for weight in before])
        with pytest.raises(StoreError):
            append(kept, read, network(model))
    finally:
        model.set_weights(before)


# From end to end


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATSTORE_CACHE", raising=False)
    yield tmp_path / "cache"


def extract(*arguments: object) -> Done:
    return call("extract", "photos", "--model", "tiny", *arguments)


def spec_file(cache: Path) -> Path:
    [path] = cache.glob("tiny/*/spec.json")
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def of_another_environment(content: dict[str, Any]) -> None:
    content["versions"]["pillow"] = "1.0"


def of_another_network(content: dict[str, Any]) -> None:
    of_another_environment(content)
    features = content["canary"]["features"]
    features["alpha.png"] = to_text(from_text(features["alpha.png"]) * np.float32(1.001))


def test_the_canary_is_kept_with_the_spec(photos: Path, cache: Path) -> None:
    """The environment with its device is stored next to it."""
    assert extract().code == 0
    content = json.loads(spec_file(cache).read_bytes())
    assert list(content["canary"]["features"]) == sorted(NAMES)
    assert content["versions"].keys() >= {"tensorflow", "device", "onednn", "libjpeg"}


def test_it_takes_no_batch_of_its_own(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 images and the canary are one batch; 40 are one that is full with the canary, and the rest."""
    batches: list[int] = []
    run_batch = TensorFlowNetwork._run_batch
    monkeypatch.setattr(TensorFlowNetwork, "_run_batch", lambda self, x: batches.append(len(x)) or run_batch(self, x))
    extract()
    write_photos(photos, 20, first=50)
    extract()
    assert batches == [28, 32, 12]


def test_a_key_that_another_program_began_gets_one(photos: Path, cache: Path) -> None:
    """`spec.json` then has a canary, and nothing else in it has changed."""
    extract()
    whole = json.loads(spec_file(cache).read_bytes())
    edit(spec_file(cache), lambda content: content.pop("canary"))
    assert extract().code == 0
    assert "canary" not in json.loads(spec_file(cache).read_bytes())  # nothing was added to the key
    draw("discs", 90).save(photos / "discs" / "new.png")
    assert extract().code == 0
    assert json.loads(spec_file(cache).read_bytes()) == whole


def test_keys_that_begin_with_maps_have_the_canary_of_the_maps(
    photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, and equal to that of the same key begun by one."""
    extract("--pool", "none", "--dtype", "float32")
    with monkeypatch.context() as patch:
        forbid_tensorflow(patch)
        pooled = [extract("--pool", pool, "--json") for pool in ("avg", "max")]
    found = [json.loads(done.out)["features"][0] for done in pooled]
    assert [features["computed"] for features in found] == [0, 0]
    for features, pool in zip(found, ("avg", "max"), strict=True):
        extract("--pool", pool, "--cache", "direct")
        ours, direct = (
            canary._parse(json.loads((Path(folder) / "spec.json").read_bytes())["canary"], cache)
            for folder in (features["path"], features["path"].replace("cache", "direct", 1))
        )
        assert canary._largest_difference(direct, ours) < 1e-5
        assert not [name for name, numbers in ours.items() if numbers is None]


def test_maps_of_another_environment_are_refused(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are pooled from maps join only those that the same network makes; again without a network."""
    extract("--pool", "none")
    extract("--cache", "direct")
    draw("discs", 90).save(photos / "discs" / "new.png")
    extract("--pool", "none")
    specs = {path: json.loads(path.read_bytes())["spec"] for path in cache.glob("tiny/*/spec.json")}
    [maps] = [path for path, spec in specs.items() if spec["pool"] == "none"]
    shutil.copytree(maps.parent, Path("direct") / maps.parent.relative_to(cache))
    forbid_tensorflow(monkeypatch)
    copied = Path("direct") / maps.relative_to(cache)

    def elsewhere(content: dict[str, Any]) -> None:
        pooled = content["canary"]["pooled"]["avg"]
        pooled["turned.jpg"] = to_text(from_text(pooled["turned.jpg"]) * np.float32(1.001))

    edit(copied, elsewhere)
    refused = extract("--cache", "direct")
    assert refused.code == 1
    assert "differ by 1.0e-03, where 1e-04 is allowed" in refused.err
    shutil.copy(maps, copied)
    assert extract("--cache", "direct").code == 0


def test_a_new_environment_that_makes_the_same_goes_on(photos: Path, cache: Path) -> None:
    """Only recorded versions differ: the new row joins the old ones, and `spec.json` stays as it was."""
    extract()
    edit(spec_file(cache), of_another_environment)
    kept = spec_file(cache).read_bytes()
    draw("discs", 90).save(photos / "discs" / "new.png")
    done = extract("--json")
    [features] = json.loads(done.out)["features"]
    assert (done.code, features["images"], features["computed"]) == (0, 25, 1)
    assert spec_file(cache).read_bytes() == kept


def test_a_new_environment_that_makes_others_is_refused(photos: Path, cache: Path) -> None:
    """Exit code 1, one line, nothing stored. Stored rows are still served, and another cache takes the new ones."""
    extract()
    edit(spec_file(cache), of_another_network)
    shards = sorted(cache.glob("tiny/*/*.h5"))
    draw("discs", 90).save(photos / "discs" / "new.png")
    done = extract()
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("featstore: ")
    assert "its rows were made with pillow 1.0 (canary" in done.err
    assert "differ by 1.0e-03, where 1e-04 is allowed" in done.err
    assert sorted(cache.glob("tiny/*/*.h5")) == shards
    assert extract("--cache", "another").code == 0
    (photos / "discs" / "new.png").unlink()
    [features] = json.loads(extract("--json").out)["features"]
    assert (features["images"], features["computed"]) == (24, 0)


@pytest.mark.parametrize("options", [("--reading", "keras-compat"), ("--pool", "none"), ("--layer", "stem_relu")])
def test_every_kind_of_features_has_one(photos: Path, cache: Path, options: tuple[str, ...]) -> None:
    """Other readings, maps and inner layers have sketches of all four images."""
    assert extract(*options).code == 0
    content = json.loads(spec_file(cache).read_bytes())["canary"]["features"]
    assert {len(from_text(text)) for text in content.values()} <= {32, 256}


def test_pixels_without_a_network_have_one(photos: Path, cache: Path) -> None:
    """Only the reading can differ there."""
    assert call("extract", "photos", "--model", "pixels", "--size", "8").code == 0
    [path] = cache.glob("pixels/*/spec.json")
    found = json.loads(path.read_bytes())["canary"]["features"]["turned.jpg"]
    assert len(from_text(found)) == 8 * 8 * 3


def test_all_views_of_a_key_have_the_same_canary(photos: Path, cache: Path) -> None:
    """A key serves several sets of views, and the order of extraction does not matter."""
    found = []
    for views in ("one", "ten"):
        assert extract("--views", views, "--resize", "37", "--cache", views).code == 0
        found.append(json.loads(spec_file(cache.parent / views).read_bytes())["canary"])
    assert found[0] == found[1]


def test_augmented_versions_have_one_that_repeats(photos: Path, cache: Path) -> None:
    """They are random, and the same in every run."""
    found = []
    for folder in ("first", "second"):
        assert extract("--views", "augment:1", "--cache", folder).code == 0
        paths = sorted(Path(folder).glob("tiny/*/spec.json"))
        found.append([json.loads(path.read_bytes())["canary"] for path in paths])
    assert len(found[0]) == 2
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]
