"""`featstore train-head` from the cache as a whole process, against a bare script that does the same from an array.

Last come 20 epochs on 2,000 maps of 7x7x512, and what an epoch costs that runs the frozen VGG16 each time instead.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from timing import draw_images, featstore, in_turns, python

LOGISTIC = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
data = np.load("features.npz")
X, y = data["train_X"].astype("float32"), data["train_y"]
grid = np.logspace(-5, 1, 7)
losses = np.zeros((5, 7))
for fold, (train, held_out) in enumerate(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y)):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, warm_start=True))
    for place, C in enumerate(grid):
        model[-1].C = C
        model.fit(X[train], y[train])
        losses[fold, place] = log_loss(y[held_out], model.predict_proba(X[held_out]))
model = make_pipeline(StandardScaler(), LogisticRegression(C=grid[losses.mean(0).argmin()], max_iter=1000))
model.fit(X, y)
for split in ("train", "val", "test"):
    print(split, model.score(data[split + "_X"].astype("float32"), data[split + "_y"]))
"""

BN_DROPOUT = """
import keras
import numpy as np
from keras import layers
keras.utils.set_random_seed(0)
data = np.load("features.npz")
X = {s: data[s + "_X"].astype("float32") for s in ("train", "val", "test")}
y = {s: np.unique(data[s + "_y"], return_inverse=True)[1] for s in ("train", "val", "test")}
model = keras.Sequential([
    keras.Input(X["train"].shape[1:]), layers.Flatten(),
    layers.Dropout(0.25), layers.Dense(128, activation="relu"), layers.BatchNormalization(momentum=0.9),
    layers.Dropout(0.25), layers.Dense(128, activation="relu"), layers.BatchNormalization(momentum=0.9),
    layers.Dropout(0.5), layers.Dense(1, activation="sigmoid"),
])
model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping("val_loss", patience=30, restore_best_weights=True)
model.fit(X["train"], y["train"], batch_size=64, epochs=300, validation_data=(X["val"], y["val"]),
          callbacks=[stop], verbose=0)
for split in X:
    print(split, ((model.predict(X[split], batch_size=256, verbose=0)[:, 0] > 0.5) == y[split]).mean())
model.save("head.keras")
"""

MAPS_SCRIPT = """
import keras
import numpy as np
from keras import layers
keras.utils.set_random_seed(0)
X = {s: np.load(s + "_X.npy").astype("float32") for s in ("train", "val", "test")}
y = {s: np.load(s + "_y.npy") for s in X}
model = keras.Sequential([
    keras.Input(X["train"].shape[1:]), layers.MaxPooling2D(), layers.Flatten(),
    layers.Dropout(0.25), layers.Dense(128, activation="relu"), layers.BatchNormalization(momentum=0.9),
    layers.Dropout(0.25), layers.Dense(128, activation="relu"), layers.BatchNormalization(momentum=0.9),
    layers.Dropout(0.5), layers.Dense(1, activation="sigmoid"),
])
model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping("val_loss", patience=20, restore_best_weights=True)
model.fit(X["train"], y["train"], batch_size=64, epochs=20, validation_data=(X["val"], y["val"]),
          callbacks=[stop], verbose=0)
for split in X:
    print(split, ((model.predict(X[split], batch_size=256, verbose=0)[:, 0] > 0.5) == y[split]).mean())
model.save("head.keras")
"""

MAP = (7, 7, 512)
IMAGES = {"train": 2000, "val": 200, "test": 200}
EPOCHS = 20
BASE_BATCHES, BASE_BATCH = 3, 32  # of VGG16, from which its epoch is scaled


def measure_heads(data: Path, scratch: Path, rounds: int = 5) -> None:
    import numpy as np

    from featstore import extract, load_features

    images, weights = data / "images" / "cats_dogs", data / "weights" / "mobilenet_7_5_224_tf_no_top.h5"
    base = {"model": "MobileNet", "alpha": 0.75, "weights": str(weights)}
    extraction = extract(images, cache=scratch / "cache", **base)
    arrays = {}
    for split in ("train", "val", "test"):
        X, y, _ = load_features(extraction.manifest, extraction.features[0].spec, split=split, cache=scratch / "cache")
        arrays |= {f"{split}_X": X.astype("float16"), f"{split}_y": y}
    np.savez(scratch / "features.npz", **arrays)
    flags = [part for key, value in base.items() for part in (f"--{key}", value)]
    for head, script in (("logistic", LOGISTIC), ("bn-dropout", BN_DROPOUT)):
        ours = featstore("train-head", images, *flags, "--head", head, cwd=scratch)
        seconds = in_turns({"featstore": ours, "bare script": python(("-c", script), scratch)}, rounds)
        print(
            f"  {head:10}  featstore {seconds['featstore']:5.2f} s, bare script {seconds['bare script']:5.2f} s, "
            f"ratio {seconds['featstore'] / seconds['bare script']:.2f}",
            flush=True,
        )
    _measure_maps(data, scratch / "maps", rounds)


def _measure_maps(data: Path, scratch: Path, rounds: int) -> None:
    """20 epochs on 2,000 maps: as a process against a bare script, and an epoch against one that runs the base.

    The maps are random numbers under the key of VGG16 at 224 px, where its own would be: only their shape counts here.
    """
    weights = data / "weights" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    base = {"model": "VGG16", "weights": str(weights), "size": 224, "pool": "none"}
    _fill_with_maps(scratch, base)
    flags = [part for key, value in base.items() for part in (f"--{key}", value)]
    ours = featstore(
        "train-head", "images", *flags, "--head", "bn-dropout", "--epochs", EPOCHS, "--patience", EPOCHS, cwd=scratch
    )
    seconds = in_turns({"featstore": ours, "bare script": python(("-c", MAPS_SCRIPT), scratch)}, rounds)
    print(
        f"  {EPOCHS} epochs of bn-dropout on 2,000 maps of 7x7x512: featstore {seconds['featstore']:.2f} s, bare Keras "
        f"script {seconds['bare script']:.2f} s, ratio {seconds['featstore'] / seconds['bare script']:.2f}",
        flush=True,
    )
    head, network = _seconds_of_a_head_epoch(scratch), _seconds_of_a_base_epoch(base)
    print(
        f"  an epoch of the head {head:.2f} s, of the frozen VGG16 {network:.0f} s (scaled to 2,000 images from "
        f"{BASE_BATCHES} batches of {BASE_BATCH}, in memory), ratio {network / head:.0f}",
        flush=True,
    )


def _fill_with_maps(scratch: Path, base: dict[str, Any]) -> None:
    """Draw images, and store a map for each, two thirds of it zeros as after a ReLU; the same maps as plain arrays."""
    import numpy as np

    from featstore import Cache, Recipe, extract
    from featstore.extraction.plan import make_plan
    from featstore.store.rowid import row_id

    for split, count in IMAGES.items():
        draw_images(scratch / "images" / split, count, seed=list(IMAGES).index(split))
    os.environ["FEATSTORE_CACHE"] = str(scratch / "cache")
    pictures = extract(scratch / "images", model="pixels", size=32, cache=scratch / "cache").manifest
    cache, random = Cache(scratch / "cache"), np.random.default_rng(0)
    with cache.store(make_plan(Recipe(**base), cache.digests).spec).writing() as writer:
        for split in IMAGES:
            chosen = pictures.of_split(split)
            y = np.array([picture.label == "b" for picture in chosen], np.int64)
            maps = random.normal(-0.5, 1, (len(y), *MAP)) + 0.02 * y[:, None, None, None]
            rows = np.maximum(maps, 0).astype(np.float16)
            writer.append([row_id(picture.digest) for picture in chosen], rows)
            np.save(scratch / f"{split}_X.npy", rows)
            np.save(scratch / f"{split}_y.npy", y)


def _seconds_of_a_head_epoch(scratch: Path) -> float:
    import numpy as np

    from featstore.heads.registry import make_head

    part = {s: (np.load(scratch / f"{s}_X.npy").astype("float32"), np.load(scratch / f"{s}_y.npy")) for s in IMAGES}
    ends: list[float] = []
    head = make_head("bn-dropout", {"epochs": EPOCHS, "patience": EPOCHS})
    head.fit(*part["train"], part["val"], 0, lambda *_: ends.append(time.perf_counter()))
    return statistics.median(np.diff(ends).tolist())


def _seconds_of_a_base_epoch(base: dict[str, Any]) -> float:
    import keras
    import numpy as np

    network = keras.applications.VGG16(include_top=False, weights=base["weights"], input_shape=(224, 224, 3))
    batch = np.random.default_rng(0).uniform(-120, 120, (BASE_BATCH, 224, 224, 3)).astype("float32")
    seconds = []
    for _ in range(1 + BASE_BATCHES):  # the first one compiles
        start = time.perf_counter()
        network.predict_on_batch(batch)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]) / BASE_BATCH * IMAGES["train"]
