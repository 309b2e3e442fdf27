"""`featstore doctor`: what is found, and what is wrong with it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

import featstore
from featstore.diagnosis import engines, gpus, hardware, network, packages, places, settings
from featstore.diagnosis.topic import Topic
from featstore.errors import BaseUnavailable
from featstore.system.gpus import Gpu
from featstore.system.machine import Cores, Memory
from helpers.cli import call


def wrong(topic: Topic) -> list[tuple[str, bool]]:
    """What is wrong, in its first words, and whether it makes a command fail."""
    return [(problem.text.split(":")[0], problem.fails) for problem in topic.problems]


@pytest.mark.parametrize("value", ["u:pw@h:1", "http://u:pw@h:1", "http://u:p/w@h:1", "http://u:p@w@h:1"])
def test_no_login_of_a_proxy_is_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is written."""
    monkeypatch.setenv("https_proxy", value)
    [settings] = [topic for topic in featstore.doctor().topics if topic.name == "settings"]
    assert settings.facts["variables"]["https_proxy"].removeprefix("http://") == "(not shown)@h:1"


def test_it_prints_every_topic_and_json_has_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATSTORE_CACHE", str(tmp_path / "cache"))
    done = call("doctor")
    assert done.code == 0
    names = [line.split(":")[0] for line in done.out.splitlines()]
    topics = ["packages", "processor", "memory", "GPUs", "engines", "cache", "ImageNet weights", "settings", "network"]
    assert names[: len(topics)] == topics
    assert "nothing was sent" in done.out
    found = json.loads(call("doctor", "--json").out)
    assert found["packages"]["versions"]["python"] == platform.python_version()
    assert found["cache"]["path"] == str(tmp_path / "cache")
    assert not found["cache"]["exists"]
    assert not (tmp_path / "cache").exists()


def test_a_verb_takes_the_folder_of_a_cache(tmp_path: Path) -> None:
    """And no letters of a path."""
    assert {t.name: t.facts for t in featstore.doctor(cache=tmp_path).topics}["cache"]["path"] == str(tmp_path)
    with pytest.raises(featstore.UsageError, match="expected"):
        featstore.doctor(cache=5)  # type: ignore[arg-type]


def test_what_fails_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the only thing that `--quiet` prints."""
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    monkeypatch.setenv("FEATSTORE_MAX_PIXELS", "many")
    done = call("doctor", "--quiet")
    assert (done.code, done.out) == (1, "")
    first, second = [line for line in done.err.splitlines() if line.startswith("fails")]
    assert first.startswith("fails: ONEDNN_DEFAULT_FPMATH_MODE=BF16: lets TensorFlow round")
    assert second.startswith("fails: FEATSTORE_MAX_PIXELS=many: expected a whole number")
    assert featstore.doctor().fails


def test_it_loads_no_library_that_computes() -> None:
    """And so takes no longer than other small commands."""
    code = (
        "import sys, featstore; featstore.doctor(); "
        "assert not {'tensorflow', 'keras', 'sklearn', 'openvino', 'numpy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_packages_that_are_missing_or_too_old_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"keras": "3.5.0", "numpy": "2.0.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    wanted = ["keras>=3.9", "numpy>=1.26", "h5py>=3.11", "openvino>=2026; extra == 'openvino'"]
    monkeypatch.setattr(packages, "requires", lambda name: wanted)
    monkeypatch.setattr(packages, "version", version)
    assert [problem.text for problem in packages.find_packages().problems] == [
        "keras>=3.9 is needed, found 3.5.0: pip install 'keras>=3.9'",
        "h5py>=3.11 is needed, it is not installed: pip install 'h5py>=3.11'",
    ]


def test_a_limit_of_time_below_the_cores_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As threads would start for all of them."""
    monkeypatch.setattr(hardware, "find_cores", lambda: Cores(64, 64, 2.0))
    monkeypatch.setattr(hardware, "processor_features", lambda: frozenset({"sse2"}))
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    found = hardware.find_processor()
    assert "64 of 64 cores, time of 2;" in found.text
    assert [problem.fails for problem in found.problems] == [True, False]
    assert "taskset -c 0-1" in found.problems[1].text


def test_little_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "find_memory", lambda: Memory(2 * 10**9, 5 * 10**8, 2 * 10**9))
    found = hardware.look_at_memory()
    assert found.text == "0.5 GB available of 2.0 GB, which its control group allows"
    assert wrong(found) == [("0.5 GB of memory are available, and a small base takes about 1 GB", False)]


def test_a_gpu_without_its_libraries_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow passes over it without a word."""
    monkeypatch.setattr(gpus, "list_gpus", tuple)
    assert gpus.find_gpus() == ("GPUs", "none", {"gpus": []}, [])
    monkeypatch.setattr(gpus, "list_gpus", lambda: (Gpu(0, "NVIDIA H100", "GPU-1", 85 * 10**9), Gpu(1, "A", "GPU-2")))
    monkeypatch.setattr(gpus, "_has_libraries", lambda: False)
    found = gpus.find_gpus()
    assert found.text == "NVIDIA H100 (85.0 GB), A"
    assert "pip install 'tensorflow[and-cuda]'" in found.problems[0].text


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("kind", "free", "writable", "problems"),
    [
        ("ext4", 10**11, True, []),
        ("nfs4", 10**11, True, []),
        ("ext4", 10**8, True, [("100 MB are free", False)]),
        ("ext4", 10**6, False, [("features cannot be stored", True), ("1 MB are free", True)]),
        ("tmpfs", 10**11, True, [("is on tmpfs, in memory", False)]),
        ("overlay", 10**11, True, [("is on the disk of a container", False)]),
    ],
)
def test_a_cache_that_cannot_be_or_cannot_stay_is_told(
    kind: str,
    free: int,
    writable: bool,
    problems: list[tuple[str, bool]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "file_system", lambda path: kind)
    monkeypatch.setattr(places.shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
    monkeypatch.setattr(places.os, "access", lambda path, mode: writable)
    found = places.look_at_cache(tmp_path / "cache")
    assert "not made yet" in found.text
    assert [p.fails for p in found.problems] == [fails for _, fails in problems]
    assert all(text in p.text for p, (text, _) in zip(found.problems, problems, strict=True))
    assert ("another machine's disk" in found.text) == (kind == "nfs4")


def test_weights_that_are_there_are_named_by_their_bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert "has none; Keras downloads them" in places.find_weights().text
    (tmp_path / "models").mkdir()
    files = ("mobilenet_7_5_224_tf_no_top.h5", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "mine.h5")
    for name in files:
        (tmp_path / "models" / name).touch()
    found = places.find_weights()
    assert found.text.endswith("has those of MobileNet, VGG16")
    assert found.facts["weights_files"] == {"MobileNet": [files[0]], "VGG16": [files[1]]}


def test_settings_are_shown_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("FEATSTORE_API_KEY", "abc")
    monkeypatch.setenv("https_proxy", "http://me:word@proxy:8080")
    monkeypatch.setenv("TF_VAR_password", "of Terraform")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    found = settings.find_settings()
    assert found.facts["variables"]["FEATSTORE_API_KEY"] == "(not shown)"
    assert found.facts["variables"]["https_proxy"] == "http://(not shown)@proxy:8080"
    assert not any(word in found.text for word in ("abc", "word", "Terraform"))
    assert "keras.json names jax" in found.text
    assert not found.problems  # featstore does not ask that file
    monkeypatch.setenv("FEATSTORE_ENGINE", "steam")
    assert wrong(settings.find_settings()) == [("FEATSTORE_ENGINE=steam", True)]


ROUTES = "Iface Destination Gateway Flags\neth0 {} 010200C0 0003\nlo 00000000 0 1\n"


@pytest.mark.parametrize(("destination", "is_out"), [("00000000", True), ("000200C0", False)])
def test_a_way_out_is_known_without_sending(
    destination: str, is_out: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "route").write_text(ROUTES.format(destination))
    monkeypatch.setattr(network, "_ROUTES", tmp_path / "route")
    monkeypatch.setattr(network, "_ROUTES_6", tmp_path / "none")
    monkeypatch.setattr(network, "_ask_host", lambda: pytest.fail("asked"))
    assert network.look_at_network(ask=False).facts == {"route": is_out, "tried": None, "reached": None}


def test_the_host_is_tried_if_asked_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_ask_host", lambda: None)
    assert network.look_at_network(ask=True).facts["reached"] is True
    monkeypatch.setattr(network, "_ask_host", threading.Event().wait)
    monkeypatch.setattr(network, "_SECONDS", 0.01)
    found = network.look_at_network(ask=True)
    assert found.facts["reached"] is False
    assert "(no answer): set https_proxy" in found.problems[0].text


def test_deep_runs_every_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that does not compute fails."""

    def refuse(engine: str) -> float:
        raise BaseUnavailable("rounds its products")

    monkeypatch.setattr(engines, "_try", lambda engine: 2.5)
    assert "tensorflow computes, 2.5 s with its start" in engines.find_engines(tmp_path, deep=True).text
    monkeypatch.setattr(engines, "_try", refuse)
    assert ("tensorflow does not compute", True) in wrong(engines.find_engines(tmp_path, deep=True))


def test_what_auto_has_chosen_is_in_the_cache(tmp_path: Path) -> None:
    """A file that cannot be read does not count."""
    (tmp_path / "engines").mkdir()
    for number, text in enumerate(
        ('{"engine": "openvino"}', '{"engine": "openvino"}', '{"engine": "tensorflow"}', "x")
    ):
        (tmp_path / "engines" / f"{number}.json").write_text(text)
    text = engines.find_engines(tmp_path, deep=False).text
    assert text.endswith("auto has chosen openvino for 2 networks, tensorflow for 1 network, as the cache says")


@pytest.mark.tf
def test_the_base_that_is_built_in_is_what_they_run() -> None:
    assert engines._try("tensorflow") > 0
