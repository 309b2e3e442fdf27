"""The options of the commands: one definition for all of them, and for the library."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest
import typer

from featstore.cli.app import make_app
from featstore.cli.console import flag
from featstore.comparison.grid import Measurement
from featstore.extraction.recipe import AXES, Recipe
from featstore.finetuning.settings import FineTuneSettings
from featstore.heads.parameters import shown
from featstore.heads.registry import HEADS
from featstore.system.fields import choices, field_help, field_types, limits
from featstore.training.head_recipe import HeadRecipe
from helpers.cli import call

COMMANDS: Any = typer.main.get_command(make_app())


def option(command: str, name: str) -> Any:
    """The option `name`, as on the command line, of a command such as `cache explain`."""
    found = COMMANDS
    for word in command.split():
        found = found.commands[word]
    return next(parameter for parameter in found.params if name in parameter.opts)


def takes(command: str, kind: type, *without: str) -> list[Any]:
    names = [name for name in field_help(kind) if name not in without]
    return [pytest.param(command, kind, name, id=f"{command} {name}") for name in names]


NOT_CHECKED = ("preprocess", "reading", "layer", "pool", "dtype", "precision", "views", "scales", "augment")


@pytest.mark.parametrize(
    ("command", "kind", "name"),
    [
        *takes("extract", Recipe),
        *takes("cache explain", Recipe),
        *takes("train-head", Recipe, "weights_seed"),  # which the seed of the head is as well
        *takes("compare", Recipe, "weights_seed"),
        *takes("check-base", Recipe, *NOT_CHECKED),
        *takes("train-head", HeadRecipe, "parameters"),
        *takes("compare", HeadRecipe, "parameters", "seed", "memory"),  # which streams at the default
        *takes("compare", Measurement),
        *takes("fine-tune", FineTuneSettings, "rates"),
    ],
)
def test_an_option_is_the_field(command: str, kind: type, name: str) -> None:
    """With its default, its choices or range, and its help, in every command."""
    found, hint = option(command, flag(name, None)), field_types(kind)[name]
    default = next(field.default for field in fields(kind) if field.name == name)
    if found.multiple:
        assert list(found.default or []) == ([] if default in (None, MISSING) else [default])
    else:
        assert (None if default is MISSING else default) == found.default
    text = field_help(kind)[name].replace("`views`", "--views").replace("`resize`", "--resize")
    assert found.help.startswith(text)
    shown = found.metavar or getattr(found.type, "choices", [])
    assert shown == "NAME" or all(choice in shown for choice in choices(hint))  # a command lists those of NAME
    range_ = limits(hint)
    if range_ and name != "memory":  # which is text with a unit
        assert (found.type.min, found.type.max) == range_


def test_what_may_be_given_more_than_once() -> None:
    """A grid takes several values of everything that gives another set of features."""
    names = {
        command: {name for name in field_help(Recipe) if option(command, flag(name, None)).multiple}
        for command in ("extract", "cache explain", "train-head", "compare")
    }
    assert names == {
        "extract": {"model", "weights", "alpha", *AXES},
        "cache explain": {"preprocess"},
        "train-head": {"model", "weights", "alpha"},
        "compare": {"model", "weights", "alpha", *AXES},
    }
    assert option("compare", "--head").multiple
    assert not option("train-head", "--head").multiple


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("extract photos --fit ", ["squash", "crop", "pad"]),
        ("extract photos --fit s", ["squash"]),
        ("extract photos --pool ", ["avg", "max", "none"]),
        ("extract photos --preprocess r", ["rescale", "rgb-mean", "raw"]),
        ("extract photos --views ", ["one", "flip", "five", "ten"]),
        ("check-base photos --model MobileNetV3", ["MobileNetV3Small", "MobileNetV3Large"]),
        ("compare photos --head logistic --head v", ["vgg-fc"]),
        ("train-head photos --head ", [*HEADS]),
        ("train-head photos --average ", ["probabilities", "logits", "features"]),
        ("fine-tune runs/a photos --precision bf", ["bfloat16"]),
        ("cache compact --compress ", ["zstd", "none"]),
    ],
)
def test_completion_offers_the_choices(words: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As bash asks for them."""
    monkeypatch.setenv("_FEATSTORE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"featstore {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    assert call().out.split() == expected


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (("extract", ".", "--model", "tiny", "--fit", "sqash"), "'squash', 'crop', 'pad'"),
        (("cache", "explain", ".", "--model", "tiny", "--dtype", "sqash"), "'float16', 'float32'"),
        (("compare", ".", "--model", "tiny", "--head", "sqash"), ", ".join(f"'{name}'" for name in HEADS)),
        (("train-head", ".", "--train-on", "sqash"), "'plain', 'all'"),
        (("fine-tune", "run", ".", "--optimizer", "sqash"), "'sgd', 'adam'"),
        (("cache", "compact", "--compress", "sqash"), "'zstd', 'none'"),
    ],
)
def test_a_slip_in_a_choice_is_answered_with_the_list(arguments: tuple[str, ...], known: str) -> None:
    """And exit code 2; the option is named."""
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert f"invalid value for '{arguments[-2]}': 'sqash' is not one of {known}" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fine-tune", "run", ".", "--memory", "much"), "'--memory': much: expected a size, as in 512M or 2G"),
        (("fine-tune", "run", ".", "--rate-of", "head"), "'--rate-of': head: expected NAME=RATE"),
        (("fine-tune", "run", ".", "--rate-of", "a=1", "--rate-of", "a=2"), "--rate-of a=2: a is given twice"),
        (("fine-tune", "run", ".", "--epochs", "0"), "'--epochs': 0 is not in the range"),
        (("train-head", ".", "--set", "p"), "'--set': p: expected KEY=VALUE, as in p=0.5"),
        (("extract", ".", "--model", "tiny", "--seed", "-1"), "'--seed': -1 is not in the range"),
        (("cache", "prune", "--older-than", "30"), "'--older-than': 30: expected an age"),
        (("cache", "prune", "--max-size", "5"), "'--max-size': 5: expected a size with its unit, as in 5M or 5G"),
        (("cache", "verify", "--subset", "10"), "'--subset': 10: expected a share in per cent, as in 10%"),
    ],
)
def test_a_value_that_cannot_be_read_is_a_usage_error(arguments: tuple[str, ...], message: str) -> None:
    """The option is named, and what it takes."""
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize("command", COMMANDS.commands)
def test_a_command_is_the_same_by_itself(command: str) -> None:
    """For a run of one command, the others are not loaded."""
    alone = typer.main.get_command(make_app(command))
    assert list(alone.commands) == [command]
    context = typer.Context(alone, info_name="featstore")
    assert alone.commands[command].get_help(context) == COMMANDS.commands[command].get_help(context)


@pytest.mark.parametrize("command", COMMANDS.commands)
def test_a_command_has_each_option_once(command: str) -> None:
    """Of two with one name, the help lists both, and only one can be given."""
    found = COMMANDS.commands[command]
    for each in getattr(found, "commands", {"": found}).values():
        words = [word for parameter in each.params for word in (*parameter.opts, *parameter.secondary_opts)]
        assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("words", [(), ("extract",), ("cache", "ls")])
def test_help_is_found_by_its_short_name(words: tuple[str, ...]) -> None:
    """As in most programs."""
    assert call(*words, "-h").out == call(*words, "--help").out != ""


def test_help_fits_into_a_terminal() -> None:
    """A table of twenty heads is not the name of an option."""
    lines = call("train-head", "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("  --head NAME ") for line in lines)


def test_an_unknown_command_is_a_usage_error() -> None:
    """As any other slip."""
    done = call("exract", "photos")
    assert done.code == 2
    assert "no such command 'exract'" in done.err


def single_valued() -> list[Any]:
    """Every option of every command that takes one value: the command, and the name of the option."""
    found = []
    for name, command in COMMANDS.commands.items():
        for words, inner in [
            ((name,), command),
            *(((name, n), c) for n, c in getattr(command, "commands", {}).items()),
        ]:
            for parameter in inner.params:
                if parameter.param_type_name == "option" and not (parameter.multiple or parameter.is_flag):
                    found.append(pytest.param(words, parameter.opts, id=" ".join([*words, parameter.opts[0]])))
    return found


@pytest.mark.parametrize(("command", "names"), single_valued())
def test_no_option_is_dropped_because_another_value_follows(command: tuple[str, ...], names: list[str]) -> None:
    """The last one won, without a word. An alias is the same option."""
    done = call(*command, names[0], "1", names[-1], "1")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"featstore: {names[0]}: is given twice, but takes one value: leave one out")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "points"),
    [
        (("train-head", ".", "--preprocess", "raw", "--preprocess", "keras"), True),
        (("train-head", ".", "--head", "logistic", "--head", "vgg-fc"), True),
        (("extract", ".", "--size", "32", "--size", "48"), False),  # which takes them too
        (("train-head", ".", "--size", "32", "--size", "48"), True),
        (("cache", "explain", ".", "--fit", "pad", "--fit", "crop"), True),
        (("train-head", ".", "--seed", "1", "--seed", "2"), False),
        (("compare", ".", "--seed", "1", "--seed", "2"), False),
    ],
)
def test_two_values_are_measured_by_compare(arguments: tuple[str, ...], points: bool) -> None:
    """The message says so where it is true."""
    assert ("featstore compare` takes" in call(*arguments).err) == points


@pytest.mark.parametrize("second", [("--set", "p=0.9"), ("--set", "dropout=0.9"), ("--p", "0.9"), ("--dropout", "0.9")])
@pytest.mark.parametrize("command", ["train-head", "compare"])
def test_a_parameter_of_a_head_is_given_once(command: str, second: tuple[str, str]) -> None:
    """By its option, by `--set`, and by the words of other tools."""
    done = call(command, "nowhere", "--model", "tiny", "--head", "bn-dropout", "--set", "p=0.1", *second)
    assert (done.code, done.out) == (2, "")
    assert "p of the head is given twice: 0.1 and 0.9" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train-head", ".", "--arch", "VGG16"), "no such option: --arch; did you mean --model?"),
        (("train-head", ".", "--output", "x"), "no such option: --output; did you mean --runs?"),
        (("predict", "run", "x.png", "--out", "x"), "no such option: --out; did you mean --csv?"),
        (("extract", ".", "--target-size", "224"), "no such option: --target-size; did you mean --size?"),
        (("extract", ".", "--modle", "tiny"), "no such option: --modle; did you mean --model?"),
        (("fine-tune", "run", ".", "--opt", "adam"), "no such option: --opt; did you mean --optimizer?"),
        (("fine-tune", "run", ".", "--bs", "1"), "no such option: --bs; did you mean --batch"),
        (("compare", ".", "--cv", "5"), "no such option: --cv; did you mean --folds?"),
        (("compare", ".", "--val_fraction", "5"), "no such option: --val_fraction; did you mean --val-fraction?"),
        (("models", "--qqqq"), "no such option: --qqqq; see featstore models --help"),
    ],
)
def test_an_unknown_option_is_answered_by_its_meaning(arguments: tuple[str, ...], message: str) -> None:
    """Letters come last: `--lr` has none in common with `--rate`."""
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train-head", ".", "--head", "vgg-fc", "--set", "rate=abc"),
            "vgg-fc: rate=abc: expected a number above 0",
        ),
        (
            ("train-head", ".", "--head", "vgg-fc", "--epochs", "1.5"),
            "vgg-fc: epochs=1.5: expected a whole number",
        ),
        (("train-head", ".", "--head", "vgg-fc", "--p", "1"), "vgg-fc: p=1: expected a number of at least 0 and"),
        (
            ("train-head", ".", "--head", "fc-bn", "--activation", "x"),
            "fc-bn: activation=x: expected one of relu, elu",
        ),
        (
            ("train-head", ".", "--head", "mlp", "--set", "unts=5"),
            "head mlp has no parameter 'unts': it takes epochs, batch, rate",
        ),
        (
            ("train-head", ".", "--head", "mlp", "--set", "wdths=5"),
            "head mlp has no parameter 'wdths': did you mean widths? It takes epochs, batch, rate",
        ),
        (
            ("train-head", ".", "--head", "mlp", "--set", "optimizer=adamm"),
            "head mlp: optimizer=adamm: expected one of adam, adamw, sgd; did you mean adam or adamw?",
        ),
        (
            ("train-head", ".", "--head", "mlp", "--set", "widths=256,x"),
            "head mlp: widths=256,x: expected a whole number of at least 1, or several with commas between",
        ),
        (
            ("train-head", ".", "--head", "mlp", "--set", "class_weights=cat"),
            "head mlp: class_weights=cat: expected balanced, or NAME=WEIGHT pairs with commas between, as in cat=2,dog",
        ),
        (
            ("train-head", ".", "--head", "mlp", "--set", "momentum=0.5"),
            "head mlp: momentum=0.5: is for --optimizer sgd; adam has its own",
        ),
        (("train-head", ".", "--head", "logistik"), "did you mean logistic or logistic-sgd?"),
        (("compare", ".", "--head", "mlp", "--set", "wdths=5"), "has such a parameter: did you mean widths? mlp takes"),
        (("train-head", ".", "--epochs", "5"), "head logistic has no parameter 'epochs': it takes C, folds, max_iter"),
        (
            ("compare", ".", "--lr", "1"),
            "has such a parameter: logistic takes C, folds, max_iter",
        ),
        (("compare", ".", "--head", "vgg-fc", "--set", "C=1"), "vgg-fc takes epochs, batch, rate, patience, monitor"),
    ],
)
def test_a_parameter_that_a_head_does_not_take(arguments: tuple[str, ...], message: str) -> None:
    """The message has the parameters that it takes, or the values; data that do not exist are not even looked for."""
    done = call(arguments[0], "nowhere", "--model", "tiny", *arguments[2:])
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize("command", ["train-head", "compare", "learning-curve"])
def test_help_has_every_parameter_of_every_head_with_its_default(command: str) -> None:
    """For a parameter that has the name of another option, `--set` does."""
    for head, entry in HEADS.items():
        for field in fields(entry.parameters):
            if field.name == "folds":  # that of the measurement
                assert "folds=" in option(command, "--set").help
                continue
            default, text = shown(field.default), option(command, flag(field.name, None)).help
            assert f"{head} {default}" in text or f"(default: {default}" in text


def test_heads_lists_every_parameter_with_its_default() -> None:
    """With layers and source; and as JSON, and by names alone."""
    told, listed = call("heads").out, json.loads(call("heads", "--json").out)["heads"]
    for entry, head in zip(listed, HEADS.values(), strict=True):
        assert f"\n{entry['name']}\n  layers: {head.layers}\n  source: {head.source}\n" in f"\n{told}"
        assert [p["name"] for p in entry["parameters"]] == [field.name for field in fields(head.parameters)]
        for parameter in entry["parameters"]:
            default = parameter["default"]
            default = shown(tuple(default) if isinstance(default, list) else default)
            assert f"\n  {parameter['name']}={default}: {parameter['help']}" in told
    assert call("heads", "--quiet").out.split() == list(HEADS)


def test_an_option_may_stand_without_its_value() -> None:
    """`--ray` alone, at the end or before another option, means a Ray of one's own; after `--` there are no options."""
    from featstore.cli.command import _with_values

    assert _with_values(["photos", "--ray"]) == ["photos", "--ray", "local"]
    assert _with_values(["photos", "--ray", "--quiet"]) == ["photos", "--ray", "local", "--quiet"]
    assert _with_values(["photos", "--ray", "auto", "--quiet"]) == ["photos", "--ray", "auto", "--quiet"]
    assert _with_values(["--", "--ray", "-x"]) == ["--", "--ray", "-x"]
