"""The golden pixels: what each reading makes of a few drawn files, kept to see when that changes.

    python tests/golden/make.py             writes the pixels of versions that have none yet
    python tests/golden/make.py --replace   writes all of them again, for cases that are new

One file of pixels for each reading and version, so that a version that was raised has no pixels until they are made.
"""

from __future__ import annotations

import argparse
import io
import struct
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from featstore.images.probe import PROBES, Probe
from featstore.images.readers import make_views_reader
from featstore.images.reading import FITS, INTERPOLATIONS, KERAS_INTERPOLATIONS, VERSIONS, Reading
from featstore.images.views import VIEWS, WHOLE, Augmentation

HERE = Path(__file__).parent
GROUPS = ("pillow", "fast", "keras-compat", "augmented", "probed")
HEIGHT, WIDTH = 9, 11  # no aspect of the images, or some fits would be the same
CANVAS = (12, 14)  # odd margins, so that rounding shows
ALL_AT_ONCE = Augmentation(crop=0.3, rotation=20.0, brightness=0.2, seed=7)


class Case(NamedTuple):
    """Views of one file by one reading."""

    image: str
    reading: Reading
    views: tuple[int, ...]

    def read(self) -> np.ndarray:
        """(views, height, width, 3) uint8 or float32."""
        return make_views_reader(self.reading, self.views)((HERE / "images" / self.image).read_bytes())


def images() -> list[str]:
    return sorted(path.name for path in (HERE / "images").iterdir())


def cases(group: str) -> dict[str, Case]:
    """By a name that says what it is."""
    return {
        f"{case.image} {case.reading.fit} {case.reading.interpolation} views {min(case.views)}-{max(case.views)}"
        + (" of a canvas" if case.reading.resize else "")
        + (f" {case.reading.probe}" if case.reading.probe else ""): case
        for case in _cases(group)
    }


def _cases(group: str) -> Iterator[Case]:
    if group == "augmented":
        for image, (count, ranges) in product(("photo.jpg", "alpha.png"), ((3, Augmentation()), (4, ALL_AT_ONCE))):
            yield Case(image, Reading(HEIGHT, WIDTH, augmentation=ranges), tuple(range(1, count + 1)))
    elif group == "probed":
        for image, probe in product(("photo.jpg", "alpha.png"), map(Probe, PROBES)):
            if image.endswith(".jpg") or probe.name != "jpeg":  # which a decoder of photos has read
                yield Case(image, Reading(HEIGHT, WIDTH, probe=probe), (WHOLE,))
    elif group == "fast":  # which is `pillow` for all other files
        for image, fit in product(("photo.jpg", "turned.jpg", "cmyk.jpg"), FITS):
            yield Case(image, Reading(HEIGHT, WIDTH, "fast", fit), (WHOLE,))
            yield Case(image, Reading(HEIGHT, WIDTH, "fast", fit, resize=CANVAS), VIEWS["ten"])
    else:
        yield from _plain_cases(group)


def _plain_cases(group: str) -> Iterator[Case]:
    interpolations = INTERPOLATIONS if group == "pillow" else KERAS_INTERPOLATIONS
    read = [image for image in images() if group == "pillow" or image.endswith((".jpg", ".png", ".gif"))]
    for image, fit, interpolation in product(read, FITS, interpolations):
        yield Case(image, Reading(HEIGHT, WIDTH, group, fit, interpolation), (WHOLE,))
    if group == "pillow":
        for image, fit in product(("photo.jpg", "alpha.png"), FITS):
            yield Case(image, Reading(HEIGHT, WIDTH, fit=fit, resize=CANVAS), VIEWS["ten"])


def file_of(group: str) -> Path:
    """Where the pixels of its version are."""
    if group == "augmented":  # it begins with what `pillow` reads
        return HERE / f"augmented-{VERSIONS['pillow']}.{Augmentation().describe()['version']}.npz"
    if group == "probed":
        versions = "-".join(str(Probe(name).describe()["version"]) for name in PROBES)
        return HERE / f"probed-{VERSIONS['pillow']}.{versions}.npz"
    return HERE / f"{group}-{VERSIONS[group]}.npz"


def decoder(group: str) -> str:
    """Who decodes photos: all else is lossless, and the same everywhere."""
    if group == "keras-compat":
        return f"TensorFlow {version('tensorflow')}"
    turbo = features.version("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"


def save(path: Path, made_with: str, pixels: dict[str, np.ndarray]) -> None:
    """All views in one array: a member of the file for each case would take more than its pixels."""
    ends = np.cumsum([len(views) for views in pixels.values()])
    content = {"names": list(pixels), "ends": ends, "pixels": np.concatenate([*pixels.values()])}
    np.savez_compressed(path, made_with=made_with, **content)


def load(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The inverse of `save`: who decoded the photos, and pixels (views, height, width, 3) by case."""
    with np.load(path) as kept:
        views = np.split(kept["pixels"], kept["ends"][:-1])
        return str(kept["made_with"]), dict(zip(kept["names"].tolist(), views, strict=True))


def draw_images() -> None:
    """The files that are missing. Those that are there stay: another encoder would write other bytes."""
    y, x = np.mgrid[:37, :53]
    disc = (y - 15) ** 2 + (x - 30) ** 2 < 140
    ramps = np.stack([x * 4, y * 6, (x * y) % 256, (x * 3 + y * 5) % 256], -1)
    rgb = np.where(disc[..., None], (230, 40, 60), ramps[..., :3]).astype(np.uint8)
    photo, alpha = Image.fromarray(rgb), Image.fromarray(ramps.astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.mgrid[:61, :22].prod(axis=0) * 49
    palette = photo.quantize(16)
    drawn = {
        "photo.jpg": (photo, {"quality": 85, "subsampling": "4:2:0"}),
        "turned.jpg": (photo, {"quality": 95, "subsampling": "4:4:4", "exif": exif}),
        "cmyk.jpg": (photo.convert("CMYK"), {"quality": 90}),
        "alpha.png": (alpha, {}),
        "16-bit.png": (Image.fromarray(deep.astype(np.uint16)), {}),
        "palette.png": (palette, {"transparency": 3}),
        "animated.gif": (photo, {"save_all": True, "append_images": [alpha.convert("RGB")]}),
    }
    raw = {  # what Pillow does not write
        "white-is-zero.tif": _tiff(Image.fromarray(deep.astype(np.uint16))).replace(_tag(262, 1), _tag(262, 0)),
        "undeclared-band.tif": _tiff(alpha).replace(_tag(338, 2), _tag(65338, 2)),
        "levels-1023.pgm": b"P5\n22 61\n1023\n" + (deep // 64).astype(">u2").tobytes(),
    }
    (HERE / "images").mkdir(exist_ok=True)
    for name, content in raw.items():
        if not (HERE / "images" / name).exists():
            (HERE / "images" / name).write_bytes(content)
    for name, (image, options) in drawn.items():
        if not (HERE / "images" / name).exists():
            image.save(HERE / "images" / name, **options)


def _tiff(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "TIFF")
    return out.getvalue()


def _tag(number: int, value: int) -> bytes:
    return struct.pack("<HHIHH", number, 3, 1, value, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replace", action="store_true", help="also pixels of versions that have some")
    replace = parser.parse_args().replace
    draw_images()
    for group in GROUPS:
        path = file_of(group)
        if path.exists() and not replace:
            print(f"{path.name} is there and stays: raise the version if its pixels have changed")
            continue
        save(path, decoder(group), {name: case.read() for name, case in cases(group).items()})
        print(f"{path.name}: {len(cases(group))} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
