"""Classify two cartoon characters, from folders of images to a fine-tuned base, and test what it relies on.

    python examples/two_characters.py                                          # draws its images; offline, a minute
    python examples/two_characters.py --data FOLDER --model VGG16 --epochs 50  # images of your own

"teal" has long teal twin tails, "yellow" short yellow hair and a bow. Pose, background and other details vary.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from characters import SIDE, write_drawings
from PIL import Image, ImageDraw, ImageFont, ImageOps

import featstore


def choose_eight(manifest: featstore.Manifest) -> list[tuple[str, str]]:
    """Return path and class of eight labelled images that were not trained on, with alternating classes."""
    labelled = [p for p in manifest.pictures if p.label and p.split in (None, "test")] or manifest.of_split("val")
    # Sorted by content, once it is read: the first names of a real folder are often one burst, or one photographer.
    by_class = [sorted((p.known_digest or "", p.path) for p in labelled if p.label == n) for n in manifest.classes]
    turns = zip_longest(*by_class)
    return [(one[1], name) for turn in turns for one, name in zip(turn, manifest.classes, strict=True) if one][:8]


def write_grey(paths: Sequence[str], folder: Path) -> list[str]:
    """Write greyscale copies and return their paths in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / f"{number}-{Path(path).stem}.png" for number, path in enumerate(paths, 1)]
    for path, copy in zip(paths, copies, strict=True):
        with Image.open(path) as image:
            ImageOps.exif_transpose(image).convert("L").save(copy)
    return [str(copy) for copy in copies]


def describe_effect_of_colour(colour: np.ndarray, grey: np.ndarray, right: Sequence[int], shape: str) -> str:
    """Return a sentence on how the predictions change without colour.

    colour, grey: probabilities (n, classes) for the same images. right: index of the right class of each image.
    """
    changed, chance = int((colour.argmax(1) != grey.argmax(1)).sum()), 1 / colour.shape[1]
    before, after = (float(p[np.arange(len(right)), right].mean()) for p in (colour, grey))
    facts = (
        f"Without colour {changed} of {len(right)} predictions change, and the right class gets a mean probability of "
        f"{after:.2f} instead of {before:.2f} (chance: {chance:.2f})"
    )
    if before - chance < 0.1:
        return f"{facts}. In colour it is close to chance as well, so nothing can be said."
    kept = (after - chance) / (before - chance)
    basis = (
        f"mainly on {shape}" if kept > 0.8 else "mainly on the colour" if kept < 0.2 else f"on the colour and {shape}"
    )
    return f"{facts}. On these {len(right)} images the network relies {basis}."


def save_sheet(path: Path, rows: Sequence[Sequence[str]], predictions: Sequence[Any], right: Sequence[str]) -> None:
    """Save rows of images with their predicted labels below; wrong ones are red."""
    sheet = Image.new("RGB", (len(right) * (SIDE + 8), len(rows) * (SIDE + 32)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for y, (files, row) in enumerate(zip(rows, predictions, strict=True)):
        for x, (file, prediction) in enumerate(zip(files, row, strict=True)):
            left, top = x * (SIDE + 8) + 4, y * (SIDE + 32) + 4
            with Image.open(file) as image:
                sheet.paste(ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (SIDE, SIDE)), (left, top))
            colour = "black" if prediction.label == right[x] else "crimson"
            text = f"{prediction.label} {prediction.probability:.2f}"
            draw.text((left + SIDE / 2, top + SIDE + 4), text, colour, font, "ma")
    sheet.save(path)


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def show_folders(options: argparse.Namespace, data: Path) -> None:
    heading(f"1. Folders: {data}")
    if not options.data:
        write_drawings(data, options.drawings)
    counts = Counter((p.split or "", p.label or "") for p in featstore.scan(data).pictures)
    splits = sorted({split for split, _ in counts}, key=["train", "val", "test", ""].index)
    classes = sorted({label for _, label in counts})
    rows = [(s or "all", *(str(counts[s, label]) for label in classes)) for s in splits]
    print(featstore.Table(["images", *classes], rows))


def extract(options: argparse.Namespace, data: Path, base: dict[str, Any], cache: Path) -> featstore.Manifest:
    """Extract features of all images, and return the manifest with the splits that the head gets as well."""
    heading("2. Extract: the base runs once for each image")
    extraction = featstore.extract(data, **base, cache=cache, progress=True)
    if options.data:  # otherwise it would list the folders that this program writes
        for path, reason in extraction.manifest.skipped:
            print(f"skipped: {path}: {reason}", file=sys.stderr)
    part = extraction.features[0]
    shape = " x ".join(map(str, part.shape))
    print(f"{part.images} images, {part.computed} of them computed now in {part.seconds:.1f} s: {shape} numbers each")
    print(f"stored in {part.folder}")
    return featstore.complete_splits(extraction.manifest)


def fine_tune(run: featstore.Run, data: Path, epochs: int, places: dict[str, Path]) -> featstore.Run:
    """Fine-tune the top block, print the metrics before and after, and return the recommended run."""
    heading("5. Fine-tune the top block, from its cached input")
    tuned = featstore.fine_tune(run, data, blocks=1, epochs=epochs, rate=1e-3, **places)
    print(tuned)
    print(f"curves of the head and of fine-tuning: {tuned.run.folder / 'curve.png'}")
    return tuned.recommended


def predict(run: featstore.Run, files: Sequence[str], right: Sequence[str], cache: Path) -> Sequence[Any]:
    """Predict the images, print a table of the predictions, and return them."""
    images = featstore.predict(run, files, cache=cache).images
    rows = []
    for image, name in zip(images, right, strict=True):
        wrong = "" if image.label == name else f"wrong: {name}"
        rows.append((image.path, image.label, f"{image.probability:.3f}", image.strength, wrong))
    print(featstore.Table(["image", "label", "probability", "strength", ""], rows))
    return images


def show_predictions(run: featstore.Run, eight: Sequence[tuple[str, str]], options: argparse.Namespace) -> None:
    """Predict eight images in colour and in grey, compare the predictions, and save a sheet of them."""
    files, right = [path for path, _ in eight], [name for _, name in eight]
    cache, shape = options.folder / "cache", "the shape" if options.data else "the twin tails"
    heading("6. Unseen images")
    colour = predict(run, files, right, cache)
    heading(f"7. The same in greyscale: does it rely on the colour or on {shape}?")
    copies = write_grey(files, options.folder / "grey")
    grey = predict(run, copies, right, cache)
    probabilities = (np.array([image.probabilities for image in images]) for images in (colour, grey))
    print("\n" + describe_effect_of_colour(*probabilities, [run.classes.index(name) for name in right], shape))
    save_sheet(options.folder / "eight.png", [files, copies], [colour, grey], right)
    print(f"all of them on one sheet: {options.folder / 'eight.png'}")


def show_probes(run: featstore.Run, data: Path, cache: Path) -> None:
    """Measure what the head loses without colour and without fine detail, on all images of the test split."""
    heading("8. The same on all test images, with intervals")
    print(featstore.evaluate(run, data, probes=["greyscale", "blur"], cache=cache, progress=True).probing)


def run_steps(options: argparse.Namespace) -> None:
    """Run and print all steps."""
    data = options.data or options.folder
    places = {"cache": options.folder / "cache", "runs": options.folder / "runs"}
    base = {"model": options.model, "weights": options.weights, "size": options.size}
    show_folders(options, data)
    manifest = extract(options, data, base, places["cache"])
    heading("3. Train a head")
    run = featstore.train_head(data, "bn-dropout", {"epochs": options.epochs}, **base, **places)
    print(run)
    heading("4. Curves")
    print(f"best after epoch {run.chosen['best_epoch']} of {run.chosen['epochs']}: {run.folder / 'curve.png'}")
    run = fine_tune(run, data, min(options.epochs, 20), places)
    show_predictions(run, choose_eight(manifest if options.data else featstore.scan(data / "unseen")), options)
    show_probes(run, data, places["cache"])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("two_characters"), help="for the drawings, the cache and the runs"
    )
    parser.add_argument("--data", type=Path, help="images of your own: DATA/<class>/, or DATA/train/<class>/ and so on")
    parser.add_argument("--drawings", type=int, default=240, help="how many to train on (default 240)")
    parser.add_argument("--model", default="tiny", help="a base of keras.applications, or tiny (default)")
    parser.add_argument("--weights", help="file of its weights; by default Keras downloads those of ImageNet")
    parser.add_argument("--size", help="input size, 224 or 224x320; default 64 for tiny, else the base's own")
    parser.add_argument(
        "--epochs", type=int, default=100, help="largest number; for fine-tuning at most 20 (default 100)"
    )
    options = parser.parse_args(arguments)
    if options.size is None and options.model == "tiny":
        options.size = "64"
    return options


def main() -> None:
    options = parse()
    try:
        run_steps(options)
    except featstore.FeatstoreError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
