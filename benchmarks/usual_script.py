"""The script that a user would write: `image_dataset_from_directory` and `predict`, once for each line of its input.

It is a process of its own: in one that has loaded another engine too, TensorFlow runs at half its speed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

MODULES = {
    "MobileNetV2": "mobilenet_v2",
    "EfficientNetB0": "efficientnet",
    "DenseNet121": "densenet",
    "ResNet50": "resnet",
    "VGG16": "vgg16",
}


def usual_script(name: str, photos: Path) -> Callable[[], object]:
    """A way that runs the script on `photos`, in a process that waits in between with its network in memory."""
    child = subprocess.Popen(
        [sys.executable, __file__, name, str(photos)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run() -> None:
        assert child.stdin and child.stdout
        child.stdin.write("go\n")
        child.stdin.flush()
        while (answer := child.stdout.readline().strip()) != "done":
            assert answer or child.poll() is None, "the script has ended"

    return run


def main(name: str, photos: Path) -> None:
    import keras
    import numpy as np

    base = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg")
    prepare = getattr(keras.applications, MODULES[name]).preprocess_input
    for _ in sys.stdin:
        parts = [
            keras.utils.image_dataset_from_directory(
                photos / split, image_size=(224, 224), batch_size=32, shuffle=False, verbose=False
            )
            for split in ("train", "val", "test")
        ]
        dataset = parts[0].concatenate(parts[1]).concatenate(parts[2])
        np.save(photos.parent / "features.npy", base.predict(dataset.map(lambda x, y: prepare(x)), verbose=0))
        print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
