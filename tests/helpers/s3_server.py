"""An S3 server of this process: moto, in a thread, on loopback."""

from __future__ import annotations

import http.client
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

_buckets = count(1)


@contextmanager
def s3_server() -> Iterator[str]:
    """The address, such as `127.0.0.1:40000`, of a server that is stopped at the end of a `with` block."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
    finally:
        server.stop()


def make_bucket(server: str) -> str:
    """Make a bucket that no other test has; return its name."""
    name = f"bucket-{os.getpid()}-{next(_buckets)}"
    connection = http.client.HTTPConnection(server)
    connection.request("PUT", f"/{name}")
    assert connection.getresponse().status == 200
    connection.close()
    return name


@contextmanager
def environment_of(server: str, **others: str) -> Iterator[None]:
    """In a `with` block, the environment names the server, as Amazon's own tools take it, and no real account."""
    names = {
        "AWS_ENDPOINT_URL": f"http://{server}",
        "AWS_ACCESS_KEY_ID": "key-of-tests",
        "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with patch.dict(os.environ, names | others):
        os.environ.pop("AWS_PROFILE", None)
        yield
