"""Tell two cartoon characters apart: from folders of images to a fine-tuned base, and what its answers rest on.

    python examples/two_characters.py                                          # draws its images; offline, a minute
    python examples/two_characters.py --data FOLDER --model VGG16 --epochs 50  # images of your own

"teal" has long teal twin tails, "yellow" short yellow hair and a bow. Much that should not matter varies as well.
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
    """Path and class of eight labelled images that were not trained on, the classes in turn."""
    labelled = [p for p in manifest.pictures if p.label and p.split in (None, "test")] or manifest.of_split("val")
    # By content: of a real folder, the first by name are often of one burst or one photographer.
    by_class = [
        sorted((p.known_digest or "", p.path) for p in labelled if p.label == name) for name in manifest.classes
    ]
    turns = zip_longest(*by_class)
    return [(one[1], name) for turn in turns for one, name in zip(turn, manifest.classes, strict=True) if one][:8]


def write_grey(paths: Sequence[str], folder: Path) -> list[str]:
    """Copies in greyscale, in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / f"{number}-{Path(path).stem}.png" for number, path in enumerate(paths, 1)]
    for path, copy in zip(paths, copies, strict=True):
        with Image.open(path) as image:
            ImageOps.exif_transpose(image).convert("L").save(copy)
    return [str(copy) for copy in copies]


def strength(probability: float) -> str:
    """A word for how sure an answer is."""
    words = ((0.6, "a guess"), (0.8, "leaning"), (0.95, "fairly sure"))
    return next((word for limit, word in words if probability < limit), "sure")


def what_counts(colour: np.ndarray, grey: np.ndarray, right: Sequence[int], shape: str) -> str:
    """What the loss of colour does to the answers, in a sentence.

    colour, grey: probabilities (n, classes) of the same images. right: the column of the right class of each.
    """
    changed, chance = int((colour.argmax(1) != grey.argmax(1)).sum()), 1 / colour.shape[1]
    before, after = (float(answers[np.arange(len(right)), right].mean()) for answers in (colour, grey))
    facts = (
        f"Without colour {changed} of {len(right)} answers change, and the right class gets a mean probability of "
        f"{after:.2f} instead of {before:.2f} (chance: {chance:.2f})"
    )
    if before - chance < 0.1:
        return f"{facts}. It hardly knows them in colour either, so this tells nothing."
    kept = (after - chance) / (before - chance)
    verdict = f"mostly {shape}" if kept > 0.8 else "mostly the colour" if kept < 0.2 else f"both the colour and {shape}"
    return f"{facts}: as far as {len(right)} images tell, it is {verdict}."


def save_sheet(path: Path, rows: Sequence[Sequence[str]], answers: Sequence[Any], right: Sequence[str]) -> None:
    """Rows of images with their answers below, wrong ones in red."""
    sheet = Image.new("RGB", (len(right) * (SIDE + 8), len(rows) * (SIDE + 32)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for y, (files, row) in enumerate(zip(rows, answers, strict=True)):
        for x, (file, answer) in enumerate(zip(files, row, strict=True)):
            left, top = x * (SIDE + 8) + 4, y * (SIDE + 32) + 4
            with Image.open(file) as image:
                sheet.paste(ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (SIDE, SIDE)), (left, top))
            colour = "black" if answer.label == right[x] else "crimson"
            draw.text((left + SIDE / 2, top + SIDE + 4), f"{answer.label} {answer.probability:.2f}", colour, font, "ma")
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
    """Run the base over all images; the manifest with the splits that the head gets as well."""
    heading("2. Extract: the base looks at each image once")
    extraction = featstore.extract(data, **base, cache=cache, progress=True)
    if options.data:  # else it would list the folders of this program beside train
        for path, reason in extraction.manifest.skipped:
            print(f"skipped: {path}: {reason}", file=sys.stderr)
    part = extraction.features[0]
    shape = " x ".join(map(str, part.shape))
    print(f"{part.images} images, {part.computed} of them computed now in {part.seconds:.1f} s: {shape} numbers each")
    print(f"kept in {part.folder}")
    return featstore.complete_splits(extraction.manifest)


def fine_tune(run: featstore.Run, data: Path, epochs: int, places: dict[str, Path]) -> featstore.Run:
    """Fine-tune the top block, print the metrics before and after; the run that is recommended comes back."""
    heading("5. Fine-tune the top block, from its cached input")
    tuned = featstore.fine_tune(run, data, blocks=1, epochs=epochs, rate=1e-3, **places)
    print(tuned)
    print(f"curves of both, one after the other: {tuned.run.folder / 'curve.png'}")
    return tuned.recommended


def answer(run: featstore.Run, files: Sequence[str], right: Sequence[str], cache: Path) -> Sequence[Any]:
    """Predict, and print a table of the answers."""
    images = featstore.predict(run, files, cache=cache).images
    rows = []
    for image, name in zip(images, right, strict=True):
        wrong = "" if image.label == name else f"wrong: {name}"
        rows.append((image.path, image.label, f"{image.probability:.3f}", strength(image.probability), wrong))
    print(featstore.Table(["image", "answer", "probability", "that is", ""], rows))
    return images


def ask(run: featstore.Run, eight: Sequence[tuple[str, str]], options: argparse.Namespace) -> None:
    """Eight images in colour and in grey: the answers, what they rest on, and a sheet of it all."""
    files, right = [path for path, _ in eight], [name for _, name in eight]
    cache, shape = options.folder / "cache", "the shape" if options.data else "the twin tails"
    heading("6. Images that it has not seen")
    colour = answer(run, files, right, cache)
    heading(f"7. The same in greyscale: is it the colour or {shape}?")
    copies = write_grey(files, options.folder / "grey")
    grey = answer(run, copies, right, cache)
    probabilities = (np.array([image.probabilities for image in images]) for images in (colour, grey))
    print("\n" + what_counts(*probabilities, [run.classes.index(name) for name in right], shape))
    save_sheet(options.folder / "eight.png", [files, copies], [colour, grey], right)
    print(f"All of them on one sheet: {options.folder / 'eight.png'}")


def tell(options: argparse.Namespace) -> None:
    """The whole story, step by step."""
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
    ask(run, choose_eight(manifest if options.data else featstore.scan(data / "unseen")), options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("two_characters"), help="drawings, cache and runs go there")
    parser.add_argument("--data", type=Path, help="images of your own: DATA/<class>/, or DATA/train/<class>/ and so on")
    parser.add_argument("--drawings", type=int, default=240, help="how many to train on (default 240)")
    parser.add_argument("--model", default="tiny", help="a base of keras.applications, or tiny (default)")
    parser.add_argument("--weights", help="a file with its weights; without it Keras downloads those of ImageNet")
    parser.add_argument("--size", help="input size, 224 or 224x320; default 64 for tiny, else the base's own")
    parser.add_argument("--epochs", type=int, default=100, help="at most; fine-tuning takes up to 20 (default 100)")
    options = parser.parse_args(arguments)
    if options.size is None and options.model == "tiny":
        options.size = "64"
    return options


def main() -> None:
    options = parse()
    try:
        tell(options)
    except featstore.FeatstoreError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
