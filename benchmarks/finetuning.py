"""The last block from the cache against the whole network with the rest frozen, and the memory of activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memory import peak_megabytes
from timing import draw_images, featstore, in_turns

from featstore.images.readers import make_reader

IMAGES = {"VGG16": 64, "ResNet50": 128, "MobileNetV2": 256, "EfficientNetB0": 256}
BATCH = 32
PHOTOS, EPOCHS = 1200, 20  # of the story told end to end
STORIES = (
    ("cats_dogs", "MobileNet", 0.75, 224, "mobilenet_7_5_224_tf_no_top.h5"),
    ("cats_dogs", "DenseNet121", None, 224, "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ("flowers5", "MobileNet", 0.75, 128, "mobilenet_7_5_224_tf_no_top.h5"),
)


def measure_finetuning(data: Path, scratch: Path, rounds: int = 3) -> None:
    """Random weights: they cost what trained ones cost."""
    for model, count in IMAGES.items():
        folder = draw_images(scratch / f"{count}", count, 224)
        cut, extraction, ways = make_ways(model, folder, scratch / "cache")
        for way in ways.values():  # traced, and its memory mapped
            way()
        seconds = in_turns(ways, rounds)
        cached, whole = (seconds[name] / count for name in ("cached", "whole"))
        with_cache = PHOTOS * (extraction / count + EPOCHS * cached)
        without = PHOTOS * EPOCHS * whole
        extracting = PHOTOS * extraction / count / 60
        print(
            f"  {model:14} from {cut}: {1000 * whole:.1f} ms an image whole, {1000 * cached:.1f} cached, "
            f"ratio {whole / cached:.2f}{_describe_bfloat16(seconds)}"
        )
        print(
            f"  {'':14} {EPOCHS} epochs of {PHOTOS:,} photos: {without / 60:.1f} min, with the cache "
            f"{with_cache / 60:.1f} (extraction {extracting:.1f}), ratio {without / with_cache:.2f}",
            flush=True,
        )

    _measure_story(data, scratch)
    _measure_streaming(scratch)


def _describe_bfloat16(seconds: dict[str, float]) -> str:
    """How much faster an epoch from the cache is in bfloat16, where the processor has it."""
    return f", in bfloat16 {seconds['cached'] / seconds['bfloat16']:.2f} times as fast" if "bfloat16" in seconds else ""


def _measure_story(data: Path, scratch: Path) -> None:
    """`fine-tune` on real photos for 20 epochs, extraction included, against the usual script."""
    for name, model, alpha, side, file in STORIES:
        photos = data / "images" / name
        base = ("--model", model, "--weights", data / "weights" / file, *(("--alpha", alpha) if alpha else ()))
        featstore("train-head", photos, *base, "--size", side, cwd=scratch)()
        [run] = (scratch / "runs").glob(f"{name}-{model}*-logistic")
        epochs = ("--epochs", EPOCHS, "--patience", EPOCHS)
        ours = in_turns({"ours": featstore("fine-tune", run, photos, *epochs, cwd=scratch)}, 1)["ours"]
        seconds = usual_epoch(model, alpha, side, data / "weights" / file, photos)
        print(
            f"  {model:14} {name}, {EPOCHS} epochs: {ours / 60:.1f} min with the cache, {seconds:.1f} s an epoch "
            f"without it: {EPOCHS * seconds / 60:.1f} min, ratio {EPOCHS * seconds / ours:.1f}",
            flush=True,
        )


def usual_epoch(model: str, alpha: float | None, side: int, weights: Path, photos: Path) -> float:
    """Seconds of an epoch, with its validation, of the script that a user would write: all epochs do the same work."""
    import keras

    from featstore.bases.blocks import Blocks
    from featstore.bases.catalog import BASES, block_ends
    from featstore.finetuning.network import unfreeze

    options = {"alpha": alpha} if alpha else {}
    base = getattr(keras.applications, model)(include_top=False, weights=None, input_shape=(side, side, 3), **options)
    base.load_weights(weights)
    unfreeze(base)
    blocks = Blocks(base, base)
    first = blocks.top(1, block_ends(BASES[model])).place
    frozen = {id(layer) for layer in blocks.layers_between(-1, first)}
    for layer in base.layers:
        layer.trainable = layer.trainable and id(layer) not in frozen
    prepare = getattr(keras.applications, BASES[model].module).preprocess_input
    train, val = (
        keras.utils.image_dataset_from_directory(
            photos / split, image_size=(side, side), batch_size=BATCH, verbose=False
        ).map(lambda x, y: (prepare(x), y))
        for split in ("train", "val")
    )
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    classes = sum(path.is_dir() for path in (photos / "train").iterdir())
    network = keras.Model(base.input, keras.layers.Dense(classes, activation="softmax")(pooled))
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    network.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(train, validation_data=val, epochs=1, verbose=0)  # traced
    return in_turns({"epoch": lambda: network.fit(train, validation_data=val, epochs=1, verbose=0)}, 3)["epoch"]


def _measure_streaming(scratch: Path) -> None:
    """3,000 images, 1,800 to train on, whose activations take 472 MB: all of them in memory, or at most 32 MB."""
    folder = draw_images(scratch / "streamed", 3000, 64)
    base = ("--model", "tiny", "--size", 128, "--quiet")
    peak_megabytes("train-head", folder, *base, cwd=scratch)
    run = scratch / "runs" / "streamed-tiny-tf-128-logistic"
    peaks = [
        peak_megabytes(
            *("fine-tune", run, folder, "--unfreeze", "widen", "--epochs", 1, "--memory", memory, "--quiet"),
            cwd=scratch,
        )
        for memory in ("32M", "32M", "4G")  # the first time extracts
    ]
    print(f"  peak memory with --memory 32M {peaks[1]:.0f} MB, with 4G {peaks[2]:.0f} MB")


def make_ways(model: str, folder: Path, cache: Path) -> tuple[str, float, dict[str, Callable[[], None]]]:
    """(layer at the cut, seconds to extract its activations, one epoch of either way) on the images of `folder`."""
    import keras
    import numpy as np

    from featstore import extract
    from featstore.extraction.cache import Cache
    from featstore.extraction.recipe import Recipe
    from featstore.extraction.resolve import resolve_recipe
    from featstore.features.batches import ShuffledBatches
    from featstore.features.stored_rows import StoredRows
    from featstore.finetuning.network import Body, unfreeze
    from featstore.finetuning.optimizers import make_groups
    from featstore.finetuning.precision import in_precision
    from featstore.finetuning.settings import FineTuneSettings
    from featstore.heads.step import compile_step
    from featstore.store.rowid import row_id
    from featstore.system.processor import has_bfloat16

    options: dict[str, Any] = {"model": model, "weights": "random", "size": 224}
    recipe = Recipe(**options)
    spec = resolve_recipe(recipe, Cache(cache).digests)
    body = Body(recipe.source(), spec, None)
    cut = body.find_cut(None, None, None)
    for place in ("first", model):  # the first time traces the network
        extraction = extract(folder, layer=cut.layer, pool="none", cache=cache / place, **options)
    pictures = extraction.manifest.pictures
    targets = np.array([p.label == "b" for p in pictures], np.intp)
    store = Cache(cache / model).store(extraction.features[0].spec)
    rows = StoredRows([(store, row_id(p.digest, 0)) for p in pictures])
    random = np.random.default_rng(0)
    batches = ShuffledBatches(rows, targets, BATCH, 2**31, random)
    pixels = np.stack([make_reader(spec.reading)(Path(p.path).read_bytes()) for p in pictures])

    head = keras.Sequential([keras.Input(body._model.output_shape[1:]), keras.layers.Dense(2, activation="softmax")])
    networks = {"cached": body.network(cut, head), "whole": body.network(None, head)}
    for network in networks.values():
        unfreeze(network)
    above = {layer.name for layer in networks["cached"].layers}
    for layer in networks["whole"].layers:
        layer.trainable = layer.trainable and layer.name in above
    settings = FineTuneSettings(rate=1e-6)
    steps = {name: compile_step(n, make_groups(n, settings, len(pictures) // BATCH)) for name, n in networks.items()}
    if has_bfloat16():
        steps["bfloat16"] = in_precision(steps["cached"], "bfloat16")

    def of_pixels() -> Iterator[tuple[Any, Any]]:
        order = random.permutation(len(pixels))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            yield spec.preprocessing.apply(pixels[places]), targets[places]

    def run(name: str, epoch: Callable[[], Iterator[tuple[Any, Any]]]) -> Callable[[], None]:
        def way() -> None:
            for X, y in epoch():
                steps[name](X, y)[0].numpy()

        return way

    ways = {name: run(name, of_pixels if name == "whole" else lambda: batches.epoch(1)) for name in steps}
    return cut.layer, extraction.features[0].seconds, ways
