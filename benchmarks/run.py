"""Speed and memory of featstore, as ratios against the same work done bare, in one run.

extraction  from disk, against the limit that computing and decoding set, and against the script that a user would write
together    three variants and two bases in one call against six calls
cluster     two workers on Ray against two plain processes that share a cache, without start-up and with it
idle        `extract` with nothing to do, against a bare walk of the same tree, and with a key of a million rows
defaults    each Keras head at its defaults against a small grid, from 60 images to 20,000
heads       `train-head` from the cache, against a bare script on a saved array
logistic    the fits of head `logistic` on 50,000 x 1,024 rows, against the solvers of scikit-learn by hand
forecast    what `doctor` forecasts of time and peak memory, against the extraction
streaming   `train-head` on 20,000 and 200,000 synthetic rows, in blocks from the cache against all in memory
memory      peak memory of an extraction of 1,000 and of 10,000 images, and of a grid of two large bases
finetuning  the last block from the cache against the whole network, and the memory of cached activations
grid        `compare` from the cache against its cells one by one, and ten views of an image against ten images
intervals   how often intervals hold the truth, and how often a grid of equal cells is told apart (simulated)
scores      how often the intervals of scores hold the truth, and those of a bootstrap (simulated)
sweep       a search over 100 heads on 1,200 vectors of 1,024 numbers, and the share of it that is arithmetic
labels      the list of suspect labels where some were flipped, beside cleanlab's on the same probabilities
outliers    the list of outliers with images of other kinds planted
copies      planted copies of test images in training, by kind, and what clean data sets alarm of
canary      extractions that add rows to a key, with the comparison of the canary and without
shortcuts   planted shortcuts that must be named, and clean data sets that must raise no alarm
report      `report` on 1,200 photos, from the cache: seconds, and the size of the page
explain     whether heat maps of cats and dogs show what the answers rest on, for every method
many        100,000 files through a fake network: rows a second, and memory at 10 % and at the end
scale       what is done with a key of 10,000 to 1,000,000 rows, and random batches against numpy.memmap
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as featstore has it: what is compared must not differ in this

from canary import measure_canary
from cluster import measure_cluster
from copies import measure_copies
from explain import measure_explain
from extraction import measure_extraction
from finetuning import measure_finetuning
from forecast import measure_forecast
from grid import measure_grid
from head_defaults import measure_head_defaults
from heads import measure_heads
from idle import measure_idle
from intervals import measure_intervals
from labels import measure_labels
from logistic import measure_logistic
from many import measure_many
from memory import measure_memory
from outliers import measure_outliers
from report import measure_report
from scale import measure_scale
from score_intervals import measure_score_intervals
from shortcuts import measure_shortcuts
from streaming import measure_streaming
from sweep import measure_sweep
from together import measure_together

BENCHMARKS: dict[str, Callable[[Path, Path], None]] = {
    "extraction": measure_extraction,
    "together": measure_together,
    "cluster": measure_cluster,
    "idle": measure_idle,
    "heads": measure_heads,
    "logistic": measure_logistic,
    "defaults": measure_head_defaults,
    "forecast": measure_forecast,
    "memory": measure_memory,
    "streaming": measure_streaming,
    "grid": measure_grid,
    "finetuning": measure_finetuning,
    "intervals": measure_intervals,
    "scores": measure_score_intervals,
    "shortcuts": measure_shortcuts,
    "many": measure_many,
    "scale": measure_scale,
    "sweep": measure_sweep,
    "labels": measure_labels,
    "outliers": measure_outliers,
    "report": measure_report,
    "copies": measure_copies,
    "canary": measure_canary,
    "explain": measure_explain,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which; all of them by default")
    parser.add_argument("--data", type=Path, required=True, help="folder with images/cats_dogs and weights/")
    options = parser.parse_args()
    print(f"{_processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}")
    for name in options.names or BENCHMARKS:
        print(f"\n{name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            BENCHMARKS[name](options.data.resolve(), Path(folder))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
