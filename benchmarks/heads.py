"""`featstore train-head` from the cache as a whole process, against a bare script that does the same from a `.npy`."""

from __future__ import annotations

from pathlib import Path

from timing import featstore, in_turns, python

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
