"""`featstore.fine_tune`"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Unpack

from featstore.api.common import TuneKeywords, loaded, warn_of
from featstore.datasets.options import split_keywords
from featstore.datasets.sources import DataLike, Source
from featstore.finetuning.settings import FineTuneOptions
from featstore.system.fields import check_names
from featstore.system.paths import OnePath
from featstore.system.progress import Progress, displayed

if TYPE_CHECKING:
    from featstore.extraction.cache import CacheLike
    from featstore.finetuning.result import FineTuned
    from featstore.runs.run import Run


def fine_tune(
    run: Run | OnePath,
    data: DataLike,
    *,
    blocks: int | None = None,
    unfreeze: str | None = None,
    unfreeze_from: str | None = None,
    whole: bool = False,
    views: str | None = None,
    augment: str | None = None,
    weights: OnePath | None = None,
    cache: CacheLike = None,
    runs: OnePath | None = None,
    name: str | None = None,
    tensorboard: OnePath | None = None,
    progress: bool | Progress = False,
    **settings: Unpack[TuneKeywords],
) -> FineTuned:
    """Train the top of a run's base together with its head, from cached inputs of that top.

    If the training is interrupted, the best epoch so far is saved, if one was better than the head, in a run whose
    `interrupted` is true.

    Args:
        run: A run of `train_head`, or its folder.
        data: The labelled images to train on, as for `train_head`.
        blocks: Number of blocks to unfreeze, from the top. Default: 1.
        unfreeze: Prefix of the names of layers; all from the first of them on are unfrozen.
        unfreeze_from: Name of the first layer to unfreeze.
        whole: Whether to unfreeze everything, and train from augmented pixels.
        views: `augment:K` trains on K random versions of each training image as well.
        augment: Changes to the ranges of these versions; `none` switches them off with `whole`.
        weights: File of the base's weights, if it was moved.
        cache: A `Cache`, or the folder or URL of one. Default: $FEATSTORE_CACHE, or that of the run.
        runs: Folder in which the new run is saved. Default: that of `run`.
        name: Name of its folder there. Default: that of `run` with `-tuned`.
        tensorboard: Folder of logs of the curve and the settings, which TensorBoard shows. Default: none.
        progress: Whether to show a display on standard error, or a `Progress` of your own.
        **settings: The fields of `FineTuneSettings`, such as `rate`, `epochs` and `patience`, and of `DataOptions`.

    Returns:
        The new run and that of the head, both measured on the same images, and which of them is recommended.

    Raises:
        UsageError: An option makes no sense, or no single tensor leads into the layers to be unfrozen.
        DataError: `data` does not have the classes of the run.
        RunError: The run does not allow fine-tuning, or the new one cannot be saved.
        BaseUnavailable: The base or its weights are not those of the run.

    Warns:
        LeakWarning: Copies of training images are in the validation or test split, or images were in another split in
            earlier runs of the same data.
    """
    from featstore.finetuning.cut_choice import CutChoice
    from featstore.finetuning.job import fine_tune_run
    from featstore.finetuning.settings import FineTuneSettings

    reading, tuning = split_keywords(settings)
    check_names("option", tuning, FineTuneOptions.__annotations__)
    source = Source(data, reading, cache)
    with displayed(progress) as display:
        tuned = fine_tune_run(
            loaded(run),
            source,
            CutChoice(blocks=blocks, prefix=unfreeze, layer=unfreeze_from, whole=whole),
            FineTuneSettings(**tuning),
            views=views,
            augment=augment,
            weights=weights,
            cache=cache,
            runs=runs,
            name=name,
            tensorboard=tensorboard,
            progress=display,
        )
    warn_of(tuned.run.notes, tuned.data)
    for note in tuned.notes[len(tuned.run.notes) :]:  # plots that could not be written
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    return tuned
