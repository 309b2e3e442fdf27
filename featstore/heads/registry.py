"""The table of heads: what each is, where its class is defined, and what a user can set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from featstore.errors import UsageError
from featstore.heads.baseline_parameters import (
    BoostingParameters,
    ForestParameters,
    KnnParameters,
    LdaParameters,
    LinearSvmParameters,
    LogisticParameters,
    LogisticSgdParameters,
    MajorityParameters,
    NaiveBayesParameters,
    NearestCentroidParameters,
    RbfSvmParameters,
    RidgeParameters,
)
from featstore.heads.ensemble_parameters import EnsembleParameters, member_names, named_members
from featstore.heads.keras_parameters import (
    BnDropoutParameters,
    CosineParameters,
    FcBnParameters,
    LinearParameters,
    MlpParameters,
    ScratchCnnParameters,
    VggFcParameters,
)
from featstore.heads.parameters import HeadParameters, parse_parameters
from featstore.system.fields import Besides
from featstore.system.words import did_you_mean, spelled_as

if TYPE_CHECKING:
    from featstore.extraction.recipe import Recipe
    from featstore.heads.interface import Head
    from featstore.spec import Pool

HeadName = Literal[
    "logistic",
    "logistic-sgd",
    "linear",
    "mlp",
    "cosine",
    "bn-dropout",
    "vgg-fc",
    "fc-bn",
    "scratch-cnn",
    "ridge",
    "linear-svm",
    "rbf-svm",
    "knn",
    "lda",
    "random-forest",
    "extra-trees",
    "hist-gradient-boosting",
    "naive-bayes",
    "nearest-centroid",
    "majority",
    "ensemble",
]
OWN_HEAD = Besides("module:Class", r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_POST = "Keras blog 2016, Building powerful image classification models using very little data"


class HeadEntry(NamedTuple):
    """One head of the table.

    module, attribute: where its class is defined.
    parameters: what a user can set.
    layers: what it computes, in order; `output` is one sigmoid for two classes, a softmax for more.
    source: where it comes from.
    base: the only base that it works with; None for any.
    pool: the pooling that it is designed for; None for any.
    stops_on_val: whether the validation split decides when its training stops; of an ensemble its members say that.
    is_network: whether it can be written as a network, which can be fine-tuned and drawn with its base.
    streams: whether it can be trained on rows that are read from disk when they are used.
    """

    module: str
    attribute: str
    parameters: type[Any]
    layers: str
    source: str
    base: str | None = None
    pool: Pool | None = None
    stops_on_val: bool = True
    is_network: bool = True
    streams: bool = False

    def with_preferred_pool(self, recipe: Recipe) -> Recipe:
        """Return `recipe` with the pooling that this head is designed for, unless the user has given one."""
        return replace(recipe, pool=self.pool) if self.pool and recipe.pool is None else recipe


HEADS: dict[HeadName, HeadEntry] = {
    "logistic": HeadEntry(
        "featstore.heads.logistic",
        "LogisticHead",
        LogisticParameters,
        layers="standard scaling, logistic regression with an L2 penalty",
        source="scikit-learn",
        stops_on_val=False,
    ),
    "logistic-sgd": HeadEntry(
        "featstore.heads.logistic_sgd",
        "LogisticSgdHead",
        LogisticSgdParameters,
        layers="standard scaling, logistic regression with an L2 penalty, trained in steps",
        source="Kingma and Ba 2015, Adam: a method for stochastic optimization",
        streams=True,
    ),
    "linear": HeadEntry(
        "featstore.heads.linear_head",
        "LinearHead",
        LinearParameters,
        layers="flatten, standard scaling, output",
        source="the linear probe of Alain and Bengio 2016, Understanding intermediate layers",
        streams=True,
    ),
    "mlp": HeadEntry(
        "featstore.heads.mlp",
        "MlpHead",
        MlpParameters,
        layers="flatten, standard scaling, for each of widths (dense, dropout p), output",
        source="the usual perceptron with dropout: Srivastava and others 2014, Dropout",
        streams=True,
    ),
    "cosine": HeadEntry(
        "featstore.heads.cosine",
        "CosineHead",
        CosineParameters,
        layers="flatten, standard scaling, products of features and weights of length 1, times scale, output",
        source="Gidaris and Komodakis 2018, Dynamic few-shot visual learning without forgetting",
        streams=True,
    ),
    "bn-dropout": HeadEntry(
        "featstore.heads.bn_dropout",
        "BnDropoutHead",
        BnDropoutParameters,
        layers="max-pooling of a map, flatten, standard scaling, twice (dropout p/2, dense, BatchNormalization), "
        "dropout p, output",
        source="fast.ai, get_bn_layers(p), which does not scale",
        streams=True,
    ),
    "vgg-fc": HeadEntry(
        "featstore.heads.vgg_fc",
        "VggFcHead",
        VggFcParameters,
        layers="flatten of the whole map, scaling where it is asked for, dense, dropout p, output",
        source=f"{_POST}: its top model for VGG16",
        pool="none",
        streams=True,
    ),
    "fc-bn": HeadEntry(
        "featstore.heads.fc_bn",
        "FcBnHead",
        FcBnParameters,
        layers="flatten of the whole map, scaling where it is asked for, twice (dropout p, dense, BatchNormalization), "
        "dropout p, output",
        source="blog posts on VGG16 in Keras",
        pool="none",
        streams=True,
    ),
    "scratch-cnn": HeadEntry(
        "featstore.heads.scratch_cnn",
        "ScratchCnnHead",
        ScratchCnnParameters,
        layers="pixels, convolutions 3x3 with 32, 32 and 64 filters and max-pooling, dense 64 ReLU, dropout p, output",
        source=f"{_POST}: its small network",
        base="pixels",
        streams=True,
    ),
    "ridge": HeadEntry(
        "featstore.heads.ridge",
        "RidgeHead",
        RidgeParameters,
        layers="standard scaling, least squares on the classes with an L2 penalty, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
    ),
    "linear-svm": HeadEntry(
        "featstore.heads.linear_svm",
        "LinearSvmHead",
        LinearSvmParameters,
        layers="standard scaling, a linear support vector machine, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
    ),
    "rbf-svm": HeadEntry(
        "featstore.heads.rbf_svm",
        "RbfSvmHead",
        RbfSvmParameters,
        layers="standard scaling, a support vector machine with a Gaussian kernel, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
        is_network=False,
    ),
    "knn": HeadEntry(
        "featstore.heads.knn",
        "KnnHead",
        KnnParameters,
        layers="the classes of the nearest training images, counted, with one vote shared by all classes",
        source="scikit-learn",
        stops_on_val=False,
        is_network=False,
    ),
    "lda": HeadEntry(
        "featstore.heads.lda",
        "LdaHead",
        LdaParameters,
        layers="standard scaling, linear discriminants with a shrunk covariance, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
    ),
    "random-forest": HeadEntry(
        "featstore.heads.forests",
        "RandomForestHead",
        ForestParameters,
        layers="votes of deep trees on rows drawn with replacement, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
        is_network=False,
    ),
    "extra-trees": HeadEntry(
        "featstore.heads.forests",
        "ExtraTreesHead",
        ForestParameters,
        layers="votes of deep trees with random thresholds, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
        is_network=False,
    ),
    "hist-gradient-boosting": HeadEntry(
        "featstore.heads.boosting",
        "BoostingHead",
        BoostingParameters,
        layers="small trees that each mend the mistakes before, on binned features",
        source="scikit-learn",
        stops_on_val=False,
        is_network=False,
    ),
    "naive-bayes": HeadEntry(
        "featstore.heads.naive_bayes",
        "NaiveBayesHead",
        NaiveBayesParameters,
        layers="standard scaling, independent normal distributions, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
        is_network=False,
    ),
    "nearest-centroid": HeadEntry(
        "featstore.heads.nearest_centroid",
        "NearestCentroidHead",
        NearestCentroidParameters,
        layers="standard scaling, the nearest mean of a class, softmax at a temperature",
        source="scikit-learn",
        stops_on_val=False,
    ),
    "majority": HeadEntry(
        "featstore.heads.majority",
        "MajorityHead",
        MajorityParameters,
        layers="the shares of the classes, whatever the image",
        source="scikit-learn",
        stops_on_val=False,
    ),
    "ensemble": HeadEntry(
        "featstore.heads.ensemble",
        "EnsembleHead",
        EnsembleParameters,
        layers="several heads on the same features, whose probabilities are averaged",
        source="featstore sweep --ensemble",
        stops_on_val=False,
        is_network=False,
    ),
}


_ESTIMATOR = HeadEntry(
    "featstore.heads.estimator",
    "EstimatorHead",
    HeadParameters,  # those of its constructor are known when its module is imported: see `parameters_of`
    layers="an estimator of scikit-learn, or of your own",
    source="its module",
    stops_on_val=False,
    is_network=False,
)


def is_own(name: str) -> bool:
    """Return whether the name is that of an estimator outside of the table, as in `module:Class`."""
    return OWN_HEAD.allows(name)


def entry_of(name: str) -> HeadEntry:
    """Return the entry of a head of the table, or that of all estimators outside of it; raises UsageError.

    No module of the user's is imported, since the name may come from the file of a stranger.
    """
    return _ESTIMATOR if is_own(name) else HEADS[settle_head(name)]


def stops_on_val(name: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether the validation split decides when the training of a head stops, or that of one of its members."""
    members = member_names(parameters) if name == "ensemble" else ()
    return any(entry_of(head).stops_on_val for head in (name, *members))


def parameters_of(name: str) -> type[Any]:
    """Return the dataclass of what a user can set; the module of an estimator outside of the table is imported."""
    if not is_own(name):
        return entry_of(name).parameters
    kind: type[Any] = import_module(_ESTIMATOR.module).estimator_parameters(name)
    return kind


def check_saveable(name: str, parameters: Mapping[str, Any]) -> None:
    """Raise UsageError if a run could not keep the head, before any work is done."""
    for head, own in [(name, parameters)] if name != "ensemble" else named_members(parameters):
        if is_own(head):
            import_module(_ESTIMATOR.module).check_saveable(head, own)


def code_of(name: str) -> str | None:
    """Return a digest of the code of an estimator outside of the table; None for a head of the table."""
    return import_module(_ESTIMATOR.module).code_digest(name) if is_own(name) else None


def settle_head(name: str) -> HeadName:
    """Return the head that `name` spells; raises UsageError if there is none.

    An estimator of the user's own is a head as well, though its name is not one of the table.
    """
    if is_own(name):
        return cast(HeadName, name)
    found = next((head for head in HEADS if head == spelled_as(name, HEADS)), None)
    if found is None:
        remedies = [f"use one of {', '.join(HEADS)}, or {OWN_HEAD.words}", did_you_mean(name, HEADS)]
        raise UsageError(f"head {name!r} is not known: {'; '.join(filter(None, remedies))}")
    return found


def check_network(name: str) -> None:
    """Raise UsageError if the head is none that can be written as a network."""
    if not entry_of(name).is_network:
        networks = ", ".join(head for head, entry in HEADS.items() if entry.is_network)
        raise UsageError(f"head {name}: has no layers, so it cannot be fine-tuned or drawn; train one of {networks}")


def all_parameters() -> list[str]:
    """Return the names of all parameters of all heads."""
    return list(dict.fromkeys(field.name for entry in HEADS.values() for field in fields(entry.parameters)))


def make_head(name: str, parameters: Mapping[str, Any] | None = None) -> Head:
    """Return the untrained head `name`; text is parsed as the type of the parameter.

    Raises UsageError for an unknown head or parameter, and for a wrong value.
    """
    settled = settle_head(name)
    entry = entry_of(settled)
    kind = getattr(import_module(entry.module), entry.attribute)
    head: Head
    if is_own(settled):
        head = kind(name=settled, parameters=dict(parameters or {}))
    else:
        head = kind(**parse_parameters(entry.parameters, settled, parameters or {}))
    return head
