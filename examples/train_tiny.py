"""Train the built-in base `tiny` on CIFAR-10 and write the weights that the package ships.

    python examples/train_tiny.py --data cifar10.zip     # a zip or folder with train/<class>/ and test/<class>/
    python examples/train_tiny.py                        # Keras' own CIFAR-10, downloaded

SGD with momentum and a cosine schedule; random crops, mirrors and some greyscale, all drawn from one seed.
The figure printed last is measured on the test images with the weights as stored (float16).
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from featstore.bases.tiny import TINY_WEIGHTS, build_tiny, load_tiny_weights

Split = tuple[np.ndarray, np.ndarray]


def read_files(data: Path) -> Iterator[tuple[str, bytes]]:
    """Names like train/cat/0001.jpg and their bytes, sorted, from a zip file or a folder."""
    if data.is_dir():
        for path in sorted(p for p in data.rglob("*") if p.is_file()):
            yield path.relative_to(data).as_posix(), path.read_bytes()
    else:
        with zipfile.ZipFile(data) as archive:
            for name in sorted(n for n in archive.namelist() if not n.endswith("/")):
                yield name, archive.read(name)


def load_cifar(data: Path | None) -> tuple[Split, Split]:
    """Train and test: images (n, 32, 32, 3) uint8, labels (n,) int64."""
    if data is None:
        (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
        return (x, y[:, 0].astype("int64")), (x_test, y_test[:, 0].astype("int64"))
    images: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    labels: dict[str, list[str]] = {"train": [], "test": []}
    for name, raw in read_files(data):
        split, label = name.split("/")[:2]
        images[split].append(np.asarray(Image.open(io.BytesIO(raw)).convert("RGB")))
        labels[split].append(label)
    classes = sorted(set(labels["train"]))
    train, test = ((np.stack(images[s]), np.array([classes.index(c) for c in labels[s]])) for s in ("train", "test"))
    return train, test


def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift by up to 4 px, mirror, make one in ten grey; (n, 32, 32, 3) uint8 to float32 in [-1, 1]."""
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    out = np.empty(x.shape, "float32")
    for i, (top, left) in enumerate(rng.integers(0, 9, (len(x), 2))):
        out[i] = padded[i, top : top + 32, left : left + 32]
    mirrored = rng.random(len(x)) < 0.5
    out[mirrored] = out[mirrored, :, ::-1]
    grey = rng.random(len(x)) < 0.1
    out[grey] = out[grey].mean(-1, keepdims=True)
    return out / 127.5 - 1


def batches(x: np.ndarray, y: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[Split]:
    order = rng.permutation(len(x))
    for start in range(0, len(x) - size + 1, size):
        rows = order[start : start + size]
        yield augment(x[rows], rng), y[rows]


def train(x: np.ndarray, y: np.ndarray, epochs: int, batch: int, rate: float, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    base = build_tiny()
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, keras.layers.Dense(int(y.max()) + 1)(pooled))
    steps = epochs * (len(x) // batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 10, steps - 500, warmup_target=rate, warmup_steps=500, alpha=0.0
    )
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05)
    decayed = [v for v in model.trainable_variables if v.path.endswith("kernel")]

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            fit = loss(tf.one_hot(labels, model.output_shape[-1]), model(images, training=True))
            total = fit + 2.5e-4 * tf.add_n([tf.reduce_sum(tf.square(v)) for v in decayed])
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return fit

    for epoch in range(epochs):
        start = time.perf_counter()
        mean = np.mean([float(step(images, labels)) for images, labels in batches(x, y, batch, rng)])
        print(f"epoch {epoch + 1:3d}/{epochs}  loss {mean:.4f}  {time.perf_counter() - start:.0f} s", flush=True)
    return model


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    scores = model.predict(x.astype("float32") / 127.5 - 1, batch_size=256, verbose=0)
    return float((scores.argmax(-1) == y).mean())


def save_float16(base: keras.Model, path: Path) -> None:
    with h5py.File(path, "w") as file:
        for variable in base.weights:
            value = np.asarray(variable).astype("float16")
            assert np.isfinite(value).all(), f"{variable.path} does not fit float16"
            file.create_dataset(variable.path, data=value, track_times=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="zip or folder; without it Keras downloads CIFAR-10")
    parser.add_argument("--out", type=Path, default=TINY_WEIGHTS)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (x, y), (x_test, y_test) = load_cifar(options.data)
    print(f"{len(x)} training and {len(x_test)} test images", flush=True)
    model = train(x, y, options.epochs, options.batch, options.rate, options.seed)
    base = keras.Model(model.input, model.layers[-3].output)
    save_float16(base, options.out)
    load_tiny_weights(base, options.out)
    print(f"test accuracy {accuracy(model, x_test, y_test):.4f}, {options.out.stat().st_size / 1e3:.0f} KB")


if __name__ == "__main__":
    main()
