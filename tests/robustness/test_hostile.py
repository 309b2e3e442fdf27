"""Files from strangers, row by row; whatever is in them, the process ends in time, in little memory, with our errors.

Each test runs one of the functions `check_...` in a child process: a hang or a crash would take the tests along.
There is no row for HTML yet, since nothing writes any.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featstore.errors import FeatstoreError, UnreadableImage
from helpers.archives import repacked
from helpers.children import GB, in_child
from helpers.cli import call
from helpers.photos import draw, write_photos
from helpers.shards import KEY, ROWS, named, shard


def refused(what: object, action: Callable[[], object], match: str | None = None) -> None:
    """Assert that `action` raises an error of ours in one line that matches, within five seconds."""
    start = time.perf_counter()
    with pytest.raises(FeatstoreError, match=match) as caught:
        action()
        print(f"{what}: was accepted")
    assert "\n" not in str(caught.value), what
    assert time.perf_counter() - start < 5, what


# Shards


def check_shards(folder: str) -> None:
    import h5py

    from featstore.store.rowstore import RowStore
    from featstore.store.shard import parse_shard

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3, 4), "<f2")
        layout[:] = h5py.VirtualSource("secret.h5", "x", (3, 4))
        file.create_virtual_dataset("features", layout)

    def behind_a_filter(file: h5py.File) -> None:
        """One that is not known and may be left out, so that HDF5 would look for a plug-in."""
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_chunk((3, 4))
        options.set_filter(32768 - 5, h5py.h5z.FLAG_OPTIONAL, (1, 2))
        h5py.h5d.create(file.id, b"features", h5py.h5t.IEEE_F16LE, h5py.h5s.create_simple((3, 4)), options)

    changes: dict[str, Callable[[h5py.File], object]] = {
        "soft link": lambda file: file.__setitem__("features", h5py.SoftLink("/ids")),
        "loop of soft links": lambda file: file.__setitem__("features", h5py.SoftLink("/features")),
        "external link": lambda file: file.__setitem__("features", h5py.ExternalLink("secret.h5", "/x")),
        "link to itself from outside": lambda file: file.__setitem__("features", h5py.ExternalLink(".", "/features")),
        "virtual": virtual,
        "external storage": lambda file: file.create_dataset(
            "features", (3, 4), "<f2", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
        ),
        "plug-in": behind_a_filter,
        "gzip bomb": lambda file: file.create_dataset(
            "features", (3, 2**26), "<f2", chunks=(3, 2**20), compression="gzip", fillvalue=0
        ),
        "huge": lambda file: file.create_dataset("features", (3, 2**40), "<f2"),
        "rows without end": lambda file: file.create_dataset("features", (2**60, 1), "<f2"),
    }
    with h5py.File(Path(folder) / "secret.h5", "w") as secret:
        secret["x"] = ROWS
    store_folder = Path(folder) / "store"
    store_folder.mkdir()
    for what, change in changes.items():
        image = io.BytesIO(shard())
        with h5py.File(image, "r+") as file:
            del file["features"]
            change(file)
        data = image.getvalue()
        (store_folder / named(data)).write_bytes(data)
        refused(what, lambda data=data: parse_shard(named(data), data, KEY))
    store = RowStore(store_folder, KEY, "{}", dict)
    assert len(store) == 0
    assert len(store.damaged) == len(changes)


def test_shards(tmp_path: Path) -> None:
    """Links, other files' bytes, filters, plug-ins and arrays that are larger than the file: none is followed."""
    in_child(check_shards, tmp_path, seconds=60, memory=2 * GB)


def check_damaged_metadata(folder: str) -> None:
    from featstore.store import sandbox
    from featstore.store.rowstore import RowStore

    sandbox.SECONDS = sandbox.AGAIN_SECONDS = 0.3
    store_folder = Path(folder) / "store"
    store_folder.mkdir()
    for place, value in HANGS_AND_CRASHES:
        data = bytearray(shard())
        data[place] = value
        (store_folder / named(bytes(data))).write_bytes(data)
    store = RowStore(store_folder, KEY, "{}", dict)
    assert sum("it hangs or ends the process" in line for line in store.damaged) > len(HANGS_AND_CRASHES) // 2
    assert all("\n" not in line for line in store.damaged)


HANGS_AND_CRASHES = (  # (place, new byte); one for each place in the file of `shard` where this happens
    *((849, 5), (920, 255), (921, 1), (952, 192), (953, 1), (1032, 34), (1033, 1), (1056, 29), (1057, 2)),
    *((1096, 0), (1097, 0), (5105, 3), (5139, 255)),
)


def test_metadata_that_hang_hdf5(tmp_path: Path) -> None:
    """One changed byte, under the digest of the changed file: another process hangs or crashes, this one says so."""
    in_child(check_damaged_metadata, tmp_path, seconds=120)


# Heads and bases of Keras


def inflated(source: Path, target: Path, name: str) -> Path:
    """A copy that is as good, but unpacks its member `name` to 100 MB more, of which nothing is needed."""
    with zipfile.ZipFile(source) as good, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in good.namelist():
            archive.writestr(member, good.read(member) + (b" " * 100 * 2**20 if member == name else b""))
    return target


def with_layer(layer: dict[str, Any]) -> Callable[[dict[str, bytes]], object]:
    """A change that puts `layer` in the place of the network's last one."""

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][-1] = layer
        members["config.json"] = json.dumps(config).encode()

    return change


def with_arrays(change: Callable[[Any], object]) -> Callable[[dict[str, bytes]], object]:
    """A change of the HDF5 file with the weights."""
    import h5py

    def changed(members: dict[str, bytes]) -> None:
        image = io.BytesIO(members["model.weights.h5"])
        with h5py.File(image, "r+") as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            name = next(name for name in names if file[name].ndim > 1)
            before = file[name][()]
            del file[name]
            change((file, name, before))
        members["model.weights.h5"] = image.getvalue()

    return changed


def array_changes(secret: Path) -> dict[str, Callable[[dict[str, bytes]], object]]:
    """What may be wrong with an array of weights."""
    import h5py

    def virtual(given: Any) -> None:
        file, name, before = given
        layout = h5py.VirtualLayout(before.shape, "<f4")
        layout[:] = h5py.VirtualSource(str(secret), "x", before.shape)
        file.create_virtual_dataset(name, layout)

    return {
        "wrong shape": with_arrays(lambda g: g[0].__setitem__(g[1], np.zeros((2, 2), "f4"))),
        "no array": with_arrays(lambda g: None),
        "text": with_arrays(lambda g: g[0].__setitem__(g[1], "text")),
        "external link": with_arrays(lambda g: g[0].__setitem__(g[1], h5py.ExternalLink(str(secret), "/x"))),
        "external storage": with_arrays(
            lambda g: g[0].create_dataset(g[1], g[2].shape, "<f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        ),
        "virtual": with_arrays(virtual),
        "huge": with_arrays(lambda g: g[0].create_dataset(g[1], (2**40, 4), "<f4", chunks=(2**20, 4))),
    }


def layer(name: str, module: object = "keras.layers", **config: object) -> dict[str, Any]:
    registered = None if str(module).startswith("keras") else f"my>{name}"
    return {
        "module": module,
        "class_name": name,
        "config": {"name": "mine", **config},
        "registered_name": registered,
        "build_config": {"input_shape": [None, 8]},
    }


def config_changes(proof: Path) -> dict[str, Callable[[dict[str, bytes]], object]]:
    """Layers that bring code or read files; `proof` would be there if they were obeyed."""
    command = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    code = {"class_name": "__lambda__", "config": {"value": ["YWJj", None, None]}}
    fetch = {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}
    return {
        "unknown layer": with_layer(layer("Mine", None)),
        "layer of another module": with_layer(layer("system", "os", command=f"touch {proof}")),
        "inside Keras' package": with_layer(layer("get_file", "keras.utils", origin=f"file://{proof}")),
        "Lambda": with_layer(layer("Lambda", function=code)),
        "Lambda by Keras' inner name": with_layer(layer("Lambda", "keras.src.layers.core.lambda_layer", function=code)),
        "activation": with_layer(layer("Dense", units=2, activation=command)),
        "activation that fetches": with_layer(layer("Dense", units=2, activation=fetch)),
        "TFSMLayer": with_layer(layer("TFSMLayer", filepath=str(proof))),
        "TorchModuleWrapper": with_layer(layer("TorchModuleWrapper", module=pickle.dumps(print).hex())),
        "vocabulary": with_layer(layer("StringLookup", vocabulary="/etc/hostname")),
        "no layer": with_layer({"class_name": 5}),
        "not JSON": lambda members: members.update({"config.json": b"{"}),
        "no config": lambda members: members.pop("config.json"),
        "no weights": lambda members: members.pop("model.weights.h5"),
        "cut weights": lambda members: members.update({"model.weights.h5": members["model.weights.h5"][:3000]}),
        "leads out of the folder": lambda members: members.update({f"../{proof.name}": b"x"}),
        "absolute path": lambda members: members.update({str(proof): b"x"}),
        "assets": lambda members: members.update({"assets/../../" + proof.name: b"x"}),
    }


def zip_tricks(source: Path, target: Path) -> dict[str, Path]:
    """Archives that are no more than they should be only at first sight."""
    bomb = inflated(source, target.with_name("bomb.keras"), "model.weights.h5")
    twice = target.with_name("twice.keras")
    shutil.copy(source, twice)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("config.json", "{}")
    liar = target.with_name("liar.keras")
    raw = bytearray(source.read_bytes())
    struct.pack_into("<I", raw, raw.index(b"PK\1\2") + 24, 2**31)  # the declared size in the central directory
    liar.write_bytes(raw)
    locked = target.with_name("locked.keras")
    raw = bytearray(source.read_bytes())
    for header in re.finditer(rb"PK(\x01\x02|\x03\x04)", source.read_bytes()):
        raw[header.start() + (8 if header[1] == b"\1\2" else 6)] |= 1  # "encrypted"
    locked.write_bytes(raw)
    return {"zip bomb": bomb, "two of a name": twice, "lies about its size": liar, "locked": locked}


def saved_run(folder: Path, name: str, file: Path, **fields: Any) -> Any:
    """A run whose head is a copy of `file`."""
    from featstore.extraction.recipe import Recipe
    from featstore.images.preprocessing import NAMED
    from featstore.images.reading import Reading
    from featstore.runs.run import Run
    from featstore.spec import FeatureSpec
    from featstore.system.files import file_digest

    spec = FeatureSpec("tiny", "0" * 64, Reading(32, 32), NAMED["tf"])
    empty = ("parameters", "chosen", "metrics", "seconds", "versions")
    common: dict[str, Any] = {name: {} for name in empty} | {"fractions": {"val": 0, "test": 0}}
    common |= {"train_on": "plain", "average": "probabilities", "seed": 0, "data": ""}
    common |= {"classes": ("a", "b"), "recipes": (Recipe(model="tiny"),), "specs": (spec,), "head": name}
    folder.mkdir(exist_ok=True)
    if file.is_file() and not (folder / file.name).exists():
        shutil.copy(file, folder)
    digest = file_digest(folder / file.name) if file.is_file() else "0" * 64
    return Run(**{**common, "folder": folder, "head_file": file.name, "head_sha256": digest, **fields})


def some_fine_tuning() -> Any:
    """A record that makes a run one of a fine-tuned network."""
    from featstore.runs.fine_tuning import FineTuning, HandOver, HandOverAccuracy

    hand_over = HandOver(largest_difference=0.0, accuracy=HandOverAccuracy(head={}, network={}))
    return FineTuning(
        head_run=Path("head"), cut="x", trainable_layers=(), hand_over=hand_over, metrics_before={}, beats_head=True
    )


X = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
Y = np.array(["a", "b"] * 6)


def trained(name: str, folder: Path, **parameters: Any) -> Path:
    from featstore.heads.registry import make_head

    head = make_head(name, parameters)
    head.fit(X, Y, None, 0)
    return folder / head.save(folder)


def check_keras_heads(text: str) -> None:
    folder = Path(text)
    good, proof, secret = trained("bn-dropout", folder, epochs=1, units=4), folder / "proof", folder / "secret.h5"
    assert saved_run(folder / "good", "bn-dropout", good).predict_proba(X).shape == (12, 2)
    files = zip_tricks(good, folder / "x")
    for what, change in (config_changes(proof) | array_changes(secret)).items():
        files[what] = repacked(good, folder / f"{len(files)}.keras", change)
    for what, file in files.items():
        for kind in ({}, {"fine_tuning": some_fine_tuning()}):
            run = saved_run(folder / f"{file.stem}-run", "bn-dropout", file, **kind)
            refused(what, run.load_head)
    assert not proof.exists()
    assert not (folder.parent / "proof").exists()
    of_another = saved_run(folder / "good", "bn-dropout", good, head_sha256="1" * 64)
    refused("digest", of_another.load_head, "SHA-256")
    refused(
        "features",
        lambda: saved_run(folder / "good", "bn-dropout", good).predict_proba(X[:, :5]),
        "rows of 8 values, found 5",
    )
    five = saved_run(folder / "good", "bn-dropout", good, classes=tuple("abcde"))
    refused("classes", lambda: five.predict_proba(X), "5 classes")


@pytest.mark.tf
def test_keras_heads(tmp_path: Path) -> None:
    """Foreign layers, code, archives that unpack elsewhere or to gigabytes, wrong arrays: refused, nothing obeyed."""
    in_child(check_keras_heads, tmp_path, seconds=120)


def check_bases(text: str) -> None:
    folder = Path(text)
    from featstore.bases.build import load_base
    from featstore.bases.source import parse_source
    from featstore.system.tensorflow_loader import load_tensorflow

    load_tensorflow()
    import keras

    inputs = keras.Input((16, 16, 3))
    flat = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(inputs))
    good, proof, secret = folder / "good.keras", folder / "proof", folder / "secret.h5"
    keras.Model(inputs, keras.layers.Dense(2)(flat)).save(good)
    assert load_base(parse_source(str(good), None, None, 0), 16, 16).output_shape == (None, 2)
    files = zip_tricks(good, folder / "x")
    for what, change in (config_changes(proof) | array_changes(secret)).items():
        files[what] = repacked(good, folder / f"{len(files)}.keras", change)
    for what, file in files.items():
        refused(what, lambda file=file: load_base(parse_source(str(file), None, None, 0), 16, 16))
    for what in ("leads out of the folder", "absolute path", "assets"):
        refused(what, lambda what=what: parse_source(str(files[what]), None, None, 0), "which no network of images has")
    assert not proof.exists()
    assert not (folder.parent / "proof").exists()
    check_weights(folder)


def check_weights(folder: Path) -> None:
    from featstore.bases import tiny
    from featstore.bases.build import load_base
    from featstore.bases.source import parse_source
    from featstore.bases.weights_file import holds_classifier

    legacy = Path(tiny.__file__).with_name("tiny.h5").read_bytes()
    files = {}
    for number, length in enumerate((0, 100, 3000, len(legacy) // 2, len(legacy) - 1000)):
        files[f"first {length} bytes"] = folder / f"w{number}.h5"
        files[f"first {length} bytes"].write_bytes(legacy[:length])
    for what, change in array_changes(folder / "secret.h5").items():
        members = {"model.weights.h5": legacy}
        change(members)
        files[what] = folder / f"w{len(files)}.h5"
        files[what].write_bytes(members["model.weights.h5"])
    files["bomb"], files["not weights at all"] = folder / "bomb.keras", folder / "w.h5"
    files["not weights at all"].write_bytes(pickle.dumps(print))
    for what, file in files.items():
        refused(what, lambda file=file: load_base(parse_source("tiny", str(file), None, 0), 32, 32))
        try:
            holds_classifier(str(file))
        except FeatstoreError:
            pass


@pytest.mark.tf
def test_bases_and_weights(tmp_path: Path) -> None:
    """A `.keras` file with code or zip tricks, a download cut anywhere, arrays of other shapes or from other files."""
    in_child(check_bases, tmp_path, seconds=120)


# Heads of scikit-learn


class _Dangerous:
    """What a pickle makes of itself is a call."""

    def __init__(self, proof: str) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.proof}",)


def check_sklearn_heads(text: str) -> None:
    import joblib
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    folder = Path(text)
    good, proof = folder / "good.skops", folder / "proof"
    skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), good)
    assert saved_run(folder / "good", "logistic", good).predict_proba(X).shape == (12, 2)

    def fitted(change: Callable[[Any, Any], object]) -> Any:
        model = skops.io.load(good, trusted=[])
        change(*model)
        return model

    objects = {
        "untrusted type": FunctionTransformer(subprocess.run),
        "hidden in a pipeline": make_pipeline(StandardScaler(), FunctionTransformer(os.system), LogisticRegression()),
        "another classifier": KNeighborsClassifier().fit(X, Y),
        "no classifier": {"a": 1},
        "untrained": make_pipeline(StandardScaler(), LogisticRegression()),
        "wrong shapes": fitted(lambda s, m: setattr(m, "coef_", m.coef_[:, :3])),
        "no arrays": fitted(lambda s, m: setattr(m, "coef_", "text")),
        "no numbers": fitted(lambda s, m: setattr(m, "coef_", m.coef_ * np.nan)),
    }
    files = {}
    for what, found in objects.items():
        files[what] = folder / f"{len(files)}.skops"
        skops.io.dump(found, files[what])
    for what, dump in {"pickle": pickle.dump, "joblib": joblib.dump}.items():
        files[what] = folder / f"{what}.skops"
        with files[what].open("wb") as file:
            dump(_Dangerous(str(proof)), file)

    def pickled(members: dict[str, bytes]) -> None:
        for name in members:
            if name.endswith(".npy"):
                array = io.BytesIO()
                np.save(array, np.array([_Dangerous(str(proof))], object), allow_pickle=True)
                members[name] = array.getvalue()

    files["pickle in an array"] = repacked(good, folder / "array.skops", pickled)
    files["bomb"] = inflated(good, folder / "bomb.skops", "schema.json")
    for what, file in files.items():
        run = saved_run(folder / f"{file.stem}-run", "logistic", file)
        loads = what == "no numbers"  # which shows when it is asked
        refused(what, (lambda run=run: run.predict_proba(X)) if loads else run.load_head)
    assert not proof.exists()
    refused("digest", saved_run(folder / "good", "logistic", good, head_sha256="1" * 64).load_head, "SHA-256")
    refused(
        "width",
        lambda: saved_run(folder / "good", "logistic", good).predict_proba(X[:, :5]),
        "rows of 8 values, found 5",
    )
    os.mkfifo(folder / "good" / "pipe")
    refused("pipe", saved_run(folder / "good", "logistic", folder / "pipe").load_head)


def test_sklearn_heads(tmp_path: Path) -> None:
    """Of older runs: pickles, joblib, untrusted types, other estimators and wrong state are refused, nothing is run."""
    in_child(check_sklearn_heads, tmp_path, seconds=60, memory=2 * GB)


def check_run_folders(text: str) -> None:
    from featstore.runs.files import load_curve, load_run, load_splits

    folder = Path(text)
    run = saved_run(folder / "run", "logistic", folder / "none")
    for name in ("run.json", "images.csv", "curve.csv"):
        os.mkfifo(run.folder / name)
    refused("run.json", lambda: load_run(run.folder))
    refused("images.csv", lambda: load_splits(run))
    assert load_curve(run).x == []


def test_pipes_in_a_run_folder(tmp_path: Path) -> None:
    """Nobody waits for what never comes."""
    in_child(check_run_folders, tmp_path, seconds=20)


# Terminal and CSV

NASTY = [
    "a[red]b.png",
    "x[bold]y[\\]z.png",
    "esc\x1b[31m\x1b]0;title\x07.png",
    "line\nbreak\rreturn.png",
    "bidi\u202egnp.jpg\u2066.png",
    "\u2028line\x85next\x9b31m.png",
    os.fsdecode(b"bytes\xff\xfe.png"),
]
FORMULAS = ["=1+1", "+1", "-1", "@x", "\ttab", "\rreturn", "\nline"]
STEERING = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def shown(code: int, *arguments: object) -> str:
    """What `featstore ARGUMENTS` prints: nothing in it steers a terminal."""
    done = call(*arguments)
    for text in (done.out, done.err):
        found = {c for c in text if unicodedata.category(c) in STEERING} - {"\n"}
        assert not found, f"{arguments}: {found}"
    assert done.code == code, f"{arguments}: {done}"
    return done.out + done.err


def check_command_line(text: str) -> None:
    os.chdir(text)
    os.environ["FEATSTORE_CACHE"] = "cache"
    nasty = "\x1b[31m\u202e[red]\nphotos"
    for label in (*FORMULAS, "[red]\x1b"):
        Path(nasty, label).mkdir(parents=True)
        for number in range(6):
            draw("discs", number + 10 * len(label) + ord(label[0])).save(Path(nasty, label, f"{number}.png"))
    Path("new").mkdir()
    for number, name in enumerate(NASTY):
        draw("stripes", number).save(Path("new", name))
        Path("new", f"broken {name}").write_bytes(b"no image")
    listed = shown(0, "extract", "new", "--model", "tiny")
    assert "a[red]b.png" in listed
    assert r"esc\x1b[31m\x1b]0;title\x07.png" in listed
    assert r"bytes\udcff\udcfe.png" in listed
    trained = shown(0, "train-head", nasty, "--model", "tiny")
    run = next(Path("runs").iterdir())
    assert r"saved in runs/\x1b[31m\u202e[red]\nphotos" in trained
    predicted = shown(0, "predict", run, "new", "--csv", "predicted.csv")
    assert all(name.split(".")[0].split("\x1b")[0] in predicted for name in NASTY[:3])
    errors = [("extract", "gone\x1b\u202e\n"), ("predict", "run\x1b\n", "x"), ("evaluate", run, "\x1b\u202e\n.csv")]
    for arguments in errors:
        assert len(shown(1, *arguments, *(["--model", "tiny"] if arguments[0] == "extract" else [])).splitlines()) == 1
    check_spreadsheets(nasty, run)


def check_spreadsheets(data: str, run: Path) -> None:
    import keras

    for number, name in enumerate(FORMULAS):
        draw("stripes", number).save(f"{name}.png")
    names = [f"{name}.png" for name in FORMULAS]
    shown(0, "predict", "--csv", "formulas.csv", "--quiet", "--", run, *names)
    with open("formulas.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    signed = ("+1", "-1")  # plain text with a sign: no formula can be made of it
    assert [row[0] for row in rows] == [name if name.startswith(signed) else f"'{name}" for name in names], rows
    assert set(header[3:]) == {f"p:{name.strip()}" for name in (*FORMULAS, "[red]\x1b")}
    inputs = keras.Input((32, 32, 3))
    for name in ("=1+1.keras", "@\x1b.keras"):
        keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)).save(name)
    bases = ("--model", "=1+1.keras", "--model", "@\x1b.keras", "--preprocess", "scale=-1,mean=1")
    printed = shown(0, "compare", data, *bases, "--csv", "compared.csv", "--chart", "chart.png")
    assert r"@\x1b.keras" in printed
    with open("compared.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"'=1+1.keras", "'@\x1b.keras"}
    numbers = re.compile(r"[+-]?[\d.e+-]+( [+-]?[\d.e+-]+)*")
    for row in rows:
        assert not [v for v in row.values() if v[:1] in ("=", "+", "-", "@") and not numbers.fullmatch(v)]


@pytest.mark.tf
def test_command_line(tmp_path: Path) -> None:
    """Names with markup, escapes and formulas reach a terminal as plain text and a spreadsheet as text."""
    in_child(check_command_line, tmp_path, seconds=200)


# Images


def declared(kind: str, width: int, height: int) -> bytes:
    """An image of 64 px a side that declares other sides."""
    out = io.BytesIO()
    Image.new("P" if kind == "GIF" else "L", (64, 64)).save(out, kind)
    raw = bytearray(out.getvalue())
    place, layout, sides = {
        "GIF": (6, "<HH", (width, height)),
        "PNG": (16, ">II", (width, height)),
        "BMP": (18, "<ii", (width, height)),
        "JPEG": (raw.find(b"\xff\xc0") + 5, ">HH", (height, width)),
    }[kind]
    struct.pack_into(layout, raw, place, *sides)
    if kind == "PNG":
        struct.pack_into(">I", raw, 29, zlib.crc32(raw[12:29]))
    return bytes(raw)


def scanned(times: int) -> bytes:
    """A progressive JPEG of 36 million pixels whose last pass is there so many times, 14 bytes each."""
    out = io.BytesIO()
    Image.new("L", (6000, 6000), 128).save(out, "JPEG", progressive=True)
    raw = out.getvalue()
    last = raw[raw.rindex(b"\xff\xda") : -2]
    return raw[:-2] + times * last + raw[-2:]


def tiff(tags: dict[int, int], data: bytes, following: int = 0) -> bytes:
    """One page with 32-bit tags, its pixels right behind the directory, and where the next directory is."""
    place = 8 + 2 + 12 * len(tags) + 4
    tags = {**tags, 273: place, 279: len(data)} if 322 not in tags else {**tags, 324: place, 325: len(data)}
    place = 8 + 2 + 12 * len(tags) + 4
    tags[324 if 322 in tags else 273] = place
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", following) + data


PAGE = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 278: 16}


def animation(frames: int) -> bytes:
    out = io.BytesIO()
    Image.new("P", (1, 1), 1).save(out, "GIF")
    raw = out.getvalue()
    start = raw.index(b"\x2c\0\0\0\0")
    return raw[:start] + frames * raw[start:-1] + b";"


def text_bomb() -> bytes:
    """A PNG with 2 GB of compressed words."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    words = b"k\0\0" + zlib.compress(bytes(200 * 2**20))
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    raw = out.getvalue()
    return raw[:33] + 10 * chunk(b"zTXt", words) + raw[33:]


def check_images() -> None:

    from featstore.images.decode import decode_rgb

    photo = draw("discs", 1)
    foreign = {kind: io.BytesIO() for kind in ("PDF", "EPS", "TGA", "PCX", "ICO")}
    for kind, out in foreign.items():
        photo.save(out, kind)
    bombs = {
        **{f"{kind} of 65000x65000": declared(kind, 65000, 65000) for kind in ("GIF", "PNG", "BMP", "JPEG")},
        **{f"{kind} of 50001x1000": declared(kind, 50001, 1000) for kind in ("GIF", "PNG", "BMP", "JPEG")},
        "passes without end": scanned(100_000),
        "tile of two gigabytes": tiff({**PAGE, 259: 8, 322: 45000, 323: 40000}, zlib.compress(bytes(1000))),
        "text": text_bomb(),
        **{f"{kind} renamed": out.getvalue() for kind, out in foreign.items()},
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
        "cut JPEG": scanned(0)[:5000],
    }
    for what, raw in bombs.items():
        refused(what, lambda raw=raw: decode_rgb(raw))
    harmless = {
        "long animation": animation(200_000),
        "pages in a circle": tiff(PAGE, bytes(256), following=8),
        "film behind a photo": scanned(0) + 1000 * b"\xff\xda\0\x08",
    }
    for what, raw in harmless.items():
        start = time.perf_counter()
        assert decode_rgb(raw).mode == "RGB", what
        assert time.perf_counter() - start < 5, what
    assert peak_memory() < 1.2 * GB


def peak_memory() -> int:
    """Return bytes. On Linux `ru_maxrss` of a child begins with the memory of the process that started it."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_images() -> None:
    """Bombs of pixels, tiles, passes, frames and text; and formats that only their names make images."""
    in_child(check_images, seconds=60, memory=3 * GB)


def check_image_files(text: str) -> None:
    from featstore.images import files
    from featstore.images.decode import decode_rgb

    folder = Path(text)
    with (folder / "large.png").open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "folder.png").mkdir()
    cases = {"large.png": "limit is 64 MB", "pipe.png": "regular", "loop.png": "opened", "folder.png": "regular|opened"}
    for name, reason in cases.items():
        with pytest.raises(UnreadableImage, match=reason):
            files.read_file(str(folder / name))
    for device in ("/dev/zero", "/dev/tty", "/dev/stdin"):
        with pytest.raises(UnreadableImage):
            files.read_file(device)
    for length in (0, 1, 100, 20_000, 64 * 2**20):  # sparse, and none of them an image
        refused(length, lambda length=length: decode_rgb(bytes(length)))


def test_image_files(tmp_path: Path) -> None:
    """Files over 64 MB, pipes, devices, loops of links and folders in the place of an image."""
    in_child(check_image_files, tmp_path, seconds=30, memory=GB)


# Data sets


def check_data_sets(text: str) -> None:
    from featstore.datasets.sources import scan

    folder = Path(text) / "data"
    write_photos(folder, 2)
    (folder / "discs" / "up").symlink_to(folder)
    (folder / "discs" / "itself.png").symlink_to("itself.png")
    (folder / "discs" / "a.png").symlink_to("b.png")
    (folder / "discs" / "b.png").symlink_to("a.png")
    (folder / "discs" / "outside.png").symlink_to("/etc/hostname")
    (folder / "discs" / "dots.png").symlink_to("../../../secret.png")
    (folder / "discs" / "zero.png").symlink_to("/dev/zero")
    (folder / "discs" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "discs" / "pipe.png")
    (folder / "stripes" / "loop").symlink_to(".")
    (folder / "beside").symlink_to(folder / "discs")
    for name in ("Thumbs.db", ".hidden.png", "._000.png", "desktop.ini", ".DS_Store"):
        (folder / "stripes" / name).write_bytes(b"junk")
    here = os.getcwd()
    os.chdir(folder / "stripes")
    for _ in range(2000):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
    manifest = scan(folder)
    assert sorted(Path(p.path).name for p in manifest.pictures) == ["000.png", "000.png", "001.png", "001.png"]
    assert not {"Thumbs.db", ".hidden.png", "._000.png"} & {Path(path).name for path, _ in manifest.skipped}
    reasons = {Path(path).name: reason for path, reason in manifest.skipped}
    names = {"up", "itself.png", "a.png", "b.png", "outside.png", "dots.png", "zero.png", "gone.png", "pipe.png"}
    assert names | {"loop"} <= set(reasons)
    assert reasons["outside.png"] == reasons["zero.png"] == "link that leaves the data set"
    table = folder / "table.csv"
    table.write_text("path,label\n/dev/zero,a\ndiscs/pipe.png,a\ndiscs/itself.png,b\ndiscs/000.png,b\n")
    assert [Path(p.path).name for p in scan(table).pictures] == ["000.png"]
    subprocess.run(["rm", "-r", folder / "stripes"], check=True)  # Python's own way down is not long enough


def test_data_sets(tmp_path: Path) -> None:
    """Links that leave it or go in circles, pipes, devices, junk and folders without end: listed, not followed."""
    in_child(check_data_sets, tmp_path, seconds=60, memory=GB)
