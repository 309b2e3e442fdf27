"""Extraction from disk against the bare network, and against the usual script, on 1,200 photos of cats and dogs."""

from __future__ import annotations

import shutil
from pathlib import Path

from timing import in_turns

from featstore.images.readers import make_reader

BASES = {
    "MobileNet 0.75": ("MobileNet", 0.75, "mobilenet_7_5_224_tf_no_top.h5"),
    "DenseNet121": ("DenseNet121", None, "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"),
}


def measure_extraction(data: Path, scratch: Path, rounds: int = 3) -> None:
    for title, (model, alpha, weights) in BASES.items():
        ways = _ways(data / "images" / "cats_dogs", model, alpha, data / "weights" / weights, scratch)
        seconds = in_turns(ways, rounds)
        for name, value in seconds.items():
            print(f"  {title:15} {name:32} {1200 / value:7.1f} images/s", flush=True)
        print(f"  {title:15} featstore / bare network: {seconds['bare network'] / seconds['featstore']:.2f}")
        print(f"  {title:15} featstore / usual script: {seconds['usual script'] / seconds['featstore']:.2f}")


def _ways(images: Path, model: str, alpha: float | None, weights: Path, scratch: Path) -> dict:
    import keras
    import numpy as np
    import tensorflow as tf

    from featstore import Recipe, scan
    from featstore.extraction.encoder import make_encoder
    from featstore.extraction.pipeline import extract_features

    recipe = Recipe(model=model, alpha=alpha, weights=str(weights))
    options = {} if alpha is None else {"alpha": alpha}
    base = getattr(keras.applications, model)(
        include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg", **options
    )
    base.load_weights(weights)
    prepare = (keras.applications.mobilenet if model == "MobileNet" else keras.applications.densenet).preprocess_input
    bare = tf.function(lambda x: base(x, training=False), autograph=False)

    reader = make_reader(extract_features(scan(images), [recipe], scratch / "warm").features[0].spec.reading)
    pixels = [reader(Path(p.path).read_bytes()) for p in scan(images).pictures]
    batches = [tf.constant(prepare(np.stack(pixels[i : i + 32]).astype("float32"))) for i in range(0, len(pixels), 32)]
    spec = extract_features(scan(images), [recipe], scratch / "warm").features[0].spec
    make_encoder(recipe.source(), spec)  # the network is in memory from here on, as it is for the other ways

    def bare_network() -> None:
        np.concatenate([bare(batch).numpy() for batch in batches])

    def ours() -> None:
        shutil.rmtree(scratch / "cache", ignore_errors=True)
        shutil.copytree(scratch / "warm" / "digests", scratch / "cache" / "digests")  # of the weights
        for file in (scratch / "cache" / "digests").iterdir():
            if str(weights.parent) not in file.read_text():
                file.unlink()  # of the images: they have to be read
        extract_features(images, [recipe], scratch / "cache")

    def usual_script() -> None:
        dataset = keras.utils.image_dataset_from_directory(
            images / "train", image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
        )
        for split in ("val", "test"):
            dataset = dataset.concatenate(
                keras.utils.image_dataset_from_directory(
                    images / split, image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
                )
            )
        features = base.predict(dataset.map(lambda x, y: prepare(x)), verbose=0)
        np.save(scratch / "features.npy", features)

    bare_network()
    ours()
    return {"bare network": bare_network, "featstore": ours, "usual script": usual_script}
