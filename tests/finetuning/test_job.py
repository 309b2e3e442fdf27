"""Fine-tuning from the cache with the built-in base: the hand-over, the verdict, and the saved run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import featstore
from featstore import fine_tune
from featstore.errors import DataError, FeatstoreError, LeakWarning, RunError, UsageError
from featstore.evaluation.paired import Difference
from featstore.finetuning import precision, setup
from featstore.finetuning.result import FineTuned
from featstore.finetuning.verdict import judge
from featstore.heads.fine_tuned import FineTunedNetwork
from featstore.heads.loop import Training
from featstore.runs.files import load_curve, load_run, load_splits
from featstore.runs.run import Run
from featstore.system.progress import OnStep, Silent
from helpers.cli import WARNINGS
from helpers.photos import draw, write_photos


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos", 24)
    return folder


def head_of(work: Path, head: str = "logistic", **options: Any) -> Run:
    return featstore.train_head(
        work / "photos", head, model="tiny", cache=work / "cache", runs=work / "runs", **options
    )


@pytest.fixture(scope="module")
def head_run(work: Path) -> Run:
    """A head whose training stopped early, so that fine-tuning can improve it."""
    return head_of(work, "bn-dropout", parameters={"epochs": 4, "units": 32, "batch": 16})


def tune(work: Path, run: Run, **options: Any) -> FineTuned:
    settings: dict[str, Any] = {"epochs": 3, "batch": 8, "rate": 1e-2, "cache": work / "cache"}
    return fine_tune(run, work / "photos", **settings | options)


@pytest.fixture(scope="module")
def tuned(work: Path, head_run: Run) -> FineTuned:
    """A fine-tuned run. The rate is high, because the base was trained on other images than these drawings."""
    return tune(work, head_run, epochs=6)


def test_the_top_block_learns_with_the_head(tuned: FineTuned, head_run: Run) -> None:
    """Training begins at the input of the last block; the metrics are those of the head and those of the network."""
    assert tuned.cut == "block1b_out"
    assert tuned.trainable_layers == (
        "block2a_1_conv",
        "block2a_2_conv",
        "block2a_shortcut_conv",
        "widen_conv",
        "head",
    )
    assert tuned.metrics_before == head_run.metrics
    assert tuned.metrics_after == tuned.run.metrics
    assert tuned.metrics_after["train"].log_loss < tuned.metrics_before["train"].log_loss
    assert tuned.run.seconds.keys() == {"features", "fit", "total"}


def test_the_hand_over_is_recorded(tuned: FineTuned) -> None:
    """Before the first step the network predicts what the cached head predicts, to rounding."""
    hand_over = tuned.fine_tuning.hand_over
    assert 0 < hand_over.largest_difference < 2e-3
    assert hand_over.accuracy.network == hand_over.accuracy.head
    assert hand_over.accuracy.head["val"] == tuned.metrics_before["val"].accuracy


def test_a_hand_over_that_fails_trains_nothing(
    work: Path, head_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predictions that differ by more than rounding are an error, and no run is saved."""
    broken = lambda self, X: np.full((len(X), 2), 0.5)  # noqa: E731
    monkeypatch.setattr(FineTunedNetwork, "predict_proba", broken)
    with pytest.raises(
        RunError, match=r"does not predict what its head predicts: probabilities differ by up to 0\.\d+"
    ):
        tune(work, head_run, runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_better_run_is_recommended(tuned: FineTuned) -> None:
    """The new run beats the head on validation, and the verdict gives the figures."""
    assert tuned.recommended is tuned.run
    assert tuned.fine_tuning.beats_head is True
    best = tuned.run.chosen["best_epoch"]
    assert best > 0
    epochs = tuned.run.chosen["epochs"]
    assert f"epoch {best} of {epochs} has the lowest validation loss, which chose it" in tuned.verdict
    assert tuned.difference.endswith((" images: significant", " images: not significant"))


def test_training_that_only_harms_leaves_the_head_recommended(work: Path, head_run: Run) -> None:
    """The weights are restored, so the network predicts as before, and the verdict says that no epoch was better."""
    harmed = tune(work, head_run, rate=1.0, warmup=0, epochs=2)
    assert harmed.run.chosen == {"epochs": 2, "best_epoch": 0}
    assert harmed.recommended is harmed.head_run
    assert harmed.fine_tuning.beats_head is False
    assert (
        "no epoch has a validation loss that is lower than that of the cached head by 0.001 or more" in harmed.verdict
    )
    assert f"{head_run.folder} stays the recommended run" in harmed.verdict
    for split, metrics in harmed.metrics_after.items():
        assert metrics.accuracy == head_run.metrics[split].accuracy
        assert metrics.log_loss == pytest.approx(head_run.metrics[split].log_loss, abs=1e-3)


def test_a_significantly_lower_accuracy_outweighs_a_smaller_loss(head_run: Run) -> None:
    """The loss falls but the accuracy falls significantly: no gain. A smaller loss by less than rounding is no gain."""
    training = Training(None, None, "")  # type: ignore[arg-type]
    training.history = {"loss": [0.0] * 2, "val_loss": [0.5, 0.4], "val_accuracy": [0.9, 0.8]}
    training.best_epoch = 1
    beats, text = judge(head_run.folder, training, Difference(-0.1, -0.15, -0.05))
    assert not beats
    assert "accuracy on validation is significantly lower (log loss 0.500 -> 0.400, accuracy 0.900 -> 0.800)" in text
    assert judge(head_run.folder, training, Difference(-0.1, -0.25, 0.05)).beats_head
    training.history["val_loss"] = [0.5, 0.4999]
    assert not judge(head_run.folder, training, Difference(0.1, 0.05, 0.15)).beats_head


def test_images_that_the_head_was_trained_on_are_noted(work: Path, head_run: Run, tmp_path: Path) -> None:
    """Held-out images that the head was trained on make both metrics too good."""
    splits = load_splits(head_run)
    for path in sorted((work / "photos").rglob("*.png")):
        split = splits[hashlib.sha256(path.read_bytes()).hexdigest()]
        swapped = {"train": "test", "test": "train", "val": "val"}[split]
        (tmp_path / "data" / swapped / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "data" / swapped / path.parent.name)
    with pytest.warns(featstore.LeakWarning):
        swapped = fine_tune(head_run, tmp_path / "data", cache=work / "cache", runs=tmp_path / "runs", epochs=1)
    n = swapped.metrics_after["test"].n
    assert f"{n} of the {n} images of the split test are among those that the run was trained on" in swapped.notes[0]
    for before, now in (("train", "other"), ("test", "train"), ("other", "test")):
        (tmp_path / "data" / before).rename(tmp_path / "data" / now)
    with pytest.warns(featstore.LeakWarning, match="in another split than in"):
        again = fine_tune(head_run, tmp_path / "data", cache=work / "cache", runs=tmp_path / "runs", epochs=1)
    n += again.metrics_after["test"].n
    [note] = again.notes
    assert note.startswith(f"{n} images are in another split than in {swapped.run.folder} ({n} between train and test)")


def test_the_run_folder_holds_the_trained_part_only(tuned: FineTuned) -> None:
    """The folder has no copy of the frozen layers; it has the curves and the diagram of the network."""
    names = sorted(path.name for path in tuned.run.folder.iterdir())
    plots = ["curve.png", "network.png", "network.svg"]
    assert names == ["curve.csv", plots[0], "images.csv", *plots[1:], "run.json", "trained.keras"]
    model = keras.saving.load_model(tuned.run.folder / "trained.keras", compile=False)
    assert {layer.name for layer in model.layers} >= {"block2a_1_conv", "widen_conv", "head"}
    assert not any(layer.name.startswith(("stem", "block1")) for layer in model.layers)
    with Image.open(tuned.run.folder / "network.png") as plot:
        assert plot.size[0] > 400
    curve = load_curve(tuned.run)
    assert curve.x[0] == 0
    assert curve.series["val_loss"][0] == pytest.approx(tuned.metrics_before["val"].log_loss, abs=1e-3)


def test_a_fine_tuned_run_is_what_was_saved(tuned: FineTuned) -> None:
    """The loaded run equals the saved one, and run.json has the cut and the settings."""
    again = load_run(tuned.run.folder)
    assert again.fine_tuning == tuned.run.fine_tuning
    assert again.key == tuned.run.key
    content = json.loads((tuned.run.folder / "run.json").read_text())
    assert content["head"] == "fine-tuned"
    assert content["recipes"][0]["layer"] == "block1b_out"
    assert content["parameters"]["rate"] == 1e-2


def test_predict_and_evaluate_take_a_fine_tuned_run(work: Path, tuned: FineTuned, tmp_path: Path) -> None:
    """New images go through the frozen bottom into the cache, and from there into the trained part."""
    draw("discs", 900).save(tmp_path / "a.png")
    draw("stripes", 900).save(tmp_path / "b.png")
    images = [tmp_path / "a.png", tmp_path / "b.png"]
    prediction = featstore.predict(tuned.run, images, cache=work / "cache").images
    assert [round(sum(image.probabilities), 5) for image in prediction] == [1, 1]
    found = featstore.evaluate(tuned.run, work / "photos", cache=work / "cache")
    assert found.metrics == tuned.run.metrics
    code = (
        "import sys, featstore\n"
        "run = featstore.load_run(sys.argv[1])\n"
        "for image in featstore.predict(run, sys.argv[3:], cache=sys.argv[2]).images:\n"
        "    print(*map(repr, image.probabilities))\n"
    )
    arguments = [str(tuned.run.folder), str(work / "cache"), *map(str, images)]
    done = subprocess.run(
        [sys.executable, *WARNINGS, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    printed = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    assert printed == [image.probabilities for image in prediction]


def test_the_same_seed_gives_the_same_network(work: Path, head_run: Run) -> None:
    """Order and dropout depend on the seed only, not on what the process drew before."""
    losses = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(len(losses))
        losses.append(load_curve(tune(work, head_run, seed=seed, epochs=2).run).series["loss"])
    assert losses[0][1:] == losses[1][1:]
    assert losses[0][1:] != losses[2][1:]


def test_augmented_views_can_be_trained_on(work: Path, head_run: Run) -> None:
    """Each training image has several rows at the cut; held-out images have one."""
    fed = tune(work, head_run, views="augment:3", epochs=1)
    assert fed.run.recipes[0].views == "augment:3"
    assert fed.run.train_on == "all"
    rows = rows_of_an_epoch(work, fed)
    assert rows == 4 * fed.metrics_after["train"].n
    assert featstore.evaluate(fed.run, work / "photos", cache=work / "cache").metrics == fed.metrics_after


def rows_of_an_epoch(work: Path, fed: FineTuned) -> int:
    """Return the number of rows in an epoch."""
    seen: list[int] = []
    original = Training._run_epoch

    def counting(self: Training, batches: Any) -> Any:
        kept = list(batches)
        seen.append(sum(len(y) for _, y in kept))
        return original(self, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_run_epoch", counting)
        tune(work, fed.head_run, views=fed.run.recipes[0].views, epochs=1)
    return seen[0]


def test_crops_are_averaged_as_in_the_head_run(work: Path) -> None:
    """A head that was trained on five crops is fine-tuned on five crops."""
    run = head_of(work, views="five", train_on="all")
    crops = tune(work, run, epochs=1)
    assert crops.metrics_before == run.metrics
    assert crops.run.recipes[0].views == "five"
    assert crops.run.train_on == "all"


def test_cached_maps_beyond_the_memory_are_streamed(work: Path, head_run: Run) -> None:
    """The streamed training improves the head as well; only the order of the rows differs."""
    row = 8 * 8 * 64 * 2
    streamed = tune(work, head_run, memory=8 * row, epochs=6)
    assert streamed.fine_tuning.beats_head


def test_a_layer_and_a_prefix_say_where_to_cut(work: Path, head_run: Run) -> None:
    """Half of a block can be trained only if a single tensor leads into it."""
    assert tune(work, head_run, unfreeze="widen", epochs=1).cut == "block2a_out"
    assert tune(work, head_run, unfreeze_from="widen_conv", epochs=1).cut == "block2a_out"
    assert tune(work, head_run, blocks=2, epochs=1).cut == "block1a_out"
    with pytest.raises(UsageError, match="no single tensor separates it"):
        tune(work, head_run, unfreeze_from="block2a_2_conv")
    with pytest.raises(UsageError, match="exclude each other"):
        tune(work, head_run, unfreeze="widen", blocks=1)


@pytest.mark.parametrize("augment", [None, "none"])
def test_the_whole_network_from_pixels(work: Path, head_run: Run, augment: str | None) -> None:
    """Nothing is frozen; training images are augmented in each epoch unless `augment` is none."""
    whole = tune(work, head_run, whole=True, augment=augment, epochs=2, rate=1e-3)
    assert whole.cut == "pixels"
    assert whole.trainable_layers[0] == "stem_conv"
    assert whole.metrics_before == head_run.metrics
    assert whole.run.recipes[0].model == "pixels"
    assert whole.run.recipes[0].preprocess == "tf"
    assert featstore.evaluate(whole.run, work / "photos", cache=work / "cache").metrics == whole.metrics_after


def test_steps_in_bfloat16_make_a_network_that_predicts_in_float32(
    work: Path, head_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says how it was trained, and has one answer for an image: that of its measures, on any machine."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    mixed = tune(work, head_run, precision="bfloat16", epochs=6)
    assert mixed.run.parameters["precision"] == "bfloat16"
    assert featstore.evaluate(mixed.run, work / "photos", cache=work / "cache").metrics == mixed.metrics_after
    model = keras.saving.load_model(mixed.run.folder / "trained.keras", compile=False)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert mixed.metrics_after["train"].log_loss < mixed.metrics_before["train"].log_loss


def test_a_processor_that_would_be_slower_in_bfloat16_is_refused(
    work: Path, head_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow would imitate bfloat16 all the same, in more time than float32 takes."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    with pytest.raises(UsageError, match="which is not here; use precision='float32'"):
        tune(work, head_run, precision="bfloat16")


def test_the_blogs_own_network(work: Path) -> None:
    """The head of the Keras blog post has one sigmoid for two classes, on the whole map."""
    run = head_of(work, "vgg-fc", parameters={"epochs": 3, "units": 16})
    own = tune(work, run, epochs=1)
    assert run.recipes[0].pool == "none"
    assert own.metrics_before == run.metrics
    assert own.fine_tuning.hand_over.largest_difference < 5e-3


def test_an_interruption_keeps_the_best_so_far(work: Path, head_run: Run, tmp_path: Path) -> None:
    """Ctrl-C in the fifth epoch saves the best of four epochs, and a note names the folder."""

    class Interrupting(Silent):
        def steps(self, title: str, unit: str = "steps") -> OnStep:
            def interrupt(done: int, total: int) -> None:
                if done == total * 4 // 6:
                    raise KeyboardInterrupt

            return interrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        tune(work, head_run, epochs=6, progress=Interrupting(), runs=tmp_path)
    [folder] = tmp_path.iterdir()
    [note] = caught.value.__notes__
    assert note.startswith(f"the best of the 4 epochs so far is saved in {folder}, marked as interrupted; ")
    saved = load_run(folder)
    assert (saved.interrupted, folder.name) == (True, f"{head_run.folder.name}-tuned-interrupted")
    assert saved.chosen["epochs"] == 4
    assert featstore.evaluate(saved, work / "photos", cache=work / "cache").metrics == saved.metrics


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"average": "features", "views": "flip"}, {}, "averages features over views"),
        ({"views": "ten"}, {"whole": True}, "uses crops"),
        ({"views": "five"}, {"views": "augment:2"}, "uses crops"),
        ({"scales": "48"}, {}, "uses images at several sizes"),
        ({"model": "pixels"}, {}, "has no base to unfreeze"),
    ],
)
def test_a_run_that_cannot_be_fine_tuned_is_refused(
    work: Path, tmp_path: Path, head_run: Run, change: dict[str, str], options: dict[str, Any], message: str
) -> None:
    """The error comes before an image is read: the head uses inputs that the top of one base does not have."""
    average = change.pop("average", "probabilities")
    unusual = replace(head_run, recipes=(replace(head_run.recipes[0], **change),), average=average)
    with pytest.raises(UsageError, match=message):
        fine_tune(unusual, work / "photos", cache=tmp_path / "untouched", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": "none"}, "augment='none': is for whole=True"),
        ({"views": "ten"}, "expected augment:K"),
        ({"views": "augment:2", "whole": True}, "not with whole=True"),
        ({"rate": 0}, "a rate above 0"),
        ({"momentum": 0.5, "optimizer": "adam"}, "momentum=0.5: is for optimizer='sgd'"),
        ({"augment": "zoom=0.1"}, "augment='zoom=0.1': is for augmented views"),
        ({"whole": True, "memory": 1000}, "`memory`: whole=True reads its images again"),
        ({"rates": {"widen": 0.0, "head": 0.0, "block2a": 0.0}}, "nothing is left to train"),
        ({"rates": {"nothing": 1e-3}}, "rates='nothing': no trained layer"),
        ({"precision": "float8"}, "precision='float8': is not known"),
        ({"weights": "/gone.h5"}, "no such file"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    work: Path, head_run: Run, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """The error is one line, and no run is saved."""
    with pytest.raises(FeatstoreError, match=message) as caught:
        tune(work, head_run, runs=tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_fine_tuned_run_and_several_bases_are_refused(work: Path, tuned: FineTuned) -> None:
    """A run with one base is expected, and a head that is a network."""
    with pytest.raises(UsageError, match="cannot be trained further; give the run of its head, .*, with more `epochs`"):
        fine_tune(tuned.run, work / "photos")
    with pytest.raises(UsageError, match="head knn: has no layers, .*; train one of logistic, "):
        fine_tune(replace(tuned.head_run, head="knn", parameters={}), work / "photos")
    with pytest.raises(UsageError, match="has several bases side by side"):
        fine_tune(replace(tuned.head_run, recipes=tuned.head_run.recipes * 2), work / "photos")


def test_data_of_other_classes_is_refused(work: Path, head_run: Run, tmp_path: Path) -> None:
    """The head has outputs for the classes of its run only."""
    write_photos(tmp_path / "data", 8)
    (tmp_path / "data" / "discs").rename(tmp_path / "data" / "circles")
    with pytest.raises(DataError, match="has the classes circles, stripes; expected those of the run: discs, stripes"):
        fine_tune(head_run, tmp_path / "data", cache=work / "cache")


def test_fractions_of_the_head_run_are_not_the_users(work: Path, head_run: Run, tmp_path: Path) -> None:
    """Data with splits of their own need none, and there is no option here to leave out."""
    run = replace(head_run, fractions={"val": 0.3, "test": 0.1})
    manifest = featstore.scan(work / "photos")
    pictures = [p._replace(split=("train", "val", "test")[n % 3]) for n, p in enumerate(manifest.pictures)]
    with pytest.warns(LeakWarning, match="trained on"):
        tuned = fine_tune(run, manifest.with_pictures(pictures), epochs=1, cache=work / "cache", runs=tmp_path)
    assert tuned.data.splits == ["train", "val", "test"]


def test_a_trained_part_with_foreign_code_is_not_loaded(tuned: FineTuned, tmp_path: Path) -> None:
    """All layers must be Keras' own, even if the digest is right."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x), keras.layers.Dense(2)])
    model.save(tmp_path / "trained.keras")
    with pytest.raises(RunError, match="is a Lambda and needs code"):
        FineTunedNetwork(2).load(tmp_path / "trained.keras")
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5)])
    plain.save(tmp_path / "five.keras")
    with pytest.raises(RunError, match=r"has outputs \(5,\), not the probabilities of 2 classes"):
        FineTunedNetwork(2).load(tmp_path / "five.keras")


def test_the_limit_of_the_hand_over_is_far_above_rounding(tuned: FineTuned) -> None:
    """The limit is at least ten times the rounding, so rounding never fails the check."""
    assert tuned.fine_tuning.hand_over.largest_difference < setup.LARGEST_DIFFERENCE / 10


def test_a_head_run_without_its_images_is_refused_before_any_work(work: Path, head_run: Run, tmp_path: Path) -> None:
    """Without images.csv it is not known what the head was trained on; nothing is extracted or saved."""
    shutil.copytree(head_run.folder, tmp_path / "run")
    (tmp_path / "run" / "images.csv").unlink()
    with pytest.raises(RunError, match=r"images\.csv: cannot be read"):
        fine_tune(tmp_path / "run", work / "photos", cache=tmp_path / "cache", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    assert not list((tmp_path / "cache").glob("*/*/*.h5"))


def test_the_titles_name_the_first_trained_layer(tuned: FineTuned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both pictures; the layer whose activations are cached is not trained."""
    from featstore.runs.titles import tuned_title

    first = tuned.trainable_layers[0]
    assert first != tuned.cut
    svg = (tuned.run.folder / "network.svg").read_text()
    assert f"<!-- {tuned_title(tuned.head_run, first)} -->" in svg
