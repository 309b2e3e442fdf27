"""A proxy of HTTP before a server of objects. It loses, delays, repeats, cuts and forges answers."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

WRITES = (
    "lost",  # done; the connection ends without an answer
    "refused",  # 503, not done
    "refused after the fact",  # 503, done
    "late",  # the connection ends, and it is done afterwards
    "repeated",  # done twice; the second answer is given
    "repeated late",  # done and answered, and done once more afterwards
    "conflict",  # 409, not done
    "slow",  # done; the answer comes when nobody waits for it
)
READS = (
    "lost",
    "refused",
    "slow",
    "cut",  # the connection ends within the body
    "short",  # half of the body, and its length is said to be that
    "flipped",  # a bit of the body is another one
)
_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}  # of one connection, or made here


class Asked(NamedTuple):
    """A request, and whether it writes."""

    method: str
    path: str

    @property
    def writes(self) -> bool:
        return self.method in ("PUT", "POST", "DELETE")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def refusing(cls, status: int, code: str, more: str = "") -> Answer:
        return cls(status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code>{more}</Error>".encode())


_REFUSALS = {
    "refused": Answer.refusing(503, "ServiceUnavailable"),
    "conflict": Answer.refusing(409, "ConditionalRequestConflict"),
    "elsewhere": Answer.refusing(301, "PermanentRedirect"),
    "denied": Answer.refusing(
        403,
        "SignatureDoesNotMatch",
        "<AWSAccessKeyId>key-of-tests</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256</StringToSign>"
        "<SignatureProvided>c0ffee</SignatureProvided>",
    ),
}


class Proxy(ThreadingHTTPServer):
    """choose: returns the fault of a request, or None. later: seconds until what is late is done, and slow is answered.

    done: how often each fault was met.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str, choose: Callable[[Asked], str | None], later: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server, self.choose, self.later = server, choose, later
        self.done: Counter[str] = Counter()
        self._timers: list[threading.Timer] = []
        self._connections = threading.local()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def forward(self, asked: Asked, headers: dict[str, str], body: bytes) -> Answer:
        """Ask the server."""
        if not hasattr(self._connections, "one"):
            self._connections.one = http.client.HTTPConnection(self.server)
        connection = self._connections.one
        connection.request(asked.method, asked.path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def forward_later(self, *request: Any) -> None:
        timer = threading.Timer(self.later, self.forward, request)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def settle(self) -> None:
        """Wait until all that is late has been done."""
        while self._timers:
            self._timers.pop().join()

    def handle_error(self, *unused: object) -> None:
        """A client that has gone is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Proxy

    def do(self) -> None:
        asked = Asked(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        fault = self.server.choose(asked)
        if fault:
            self.server.done[fault] += 1
        if fault in _REFUSALS:
            self.answer(_REFUSALS[fault])
        elif fault == "late":
            self.server.forward_later(asked, headers, body)
            self.close_connection = True
        else:
            self.forward(fault, asked, headers, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815

    def forward(self, fault: str | None, *request: Any) -> None:
        answer = self.server.forward(*request)
        if fault == "repeated":
            answer = self.server.forward(*request)
        elif fault == "repeated late":
            self.server.forward_later(*request)
        elif fault == "slow":
            time.sleep(self.server.later)
        elif fault == "refused after the fact":
            answer = _REFUSALS["refused"]
        self.close_connection = fault in ("lost", "cut")
        if fault != "lost":
            self.answer(_spoilt(answer, fault), cut=fault == "cut")

    def answer(self, answer: Answer, cut: bool = False) -> None:
        """Answer; the connection ends within the body if it is `cut`."""
        with suppress(ConnectionError):
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            size = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(answer.body))
            self.send_header("Content-Length", size)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: len(answer.body) // 2] if cut else answer.body)

    def log_message(self, *unused: object) -> None: ...


def _spoilt(answer: Answer, fault: str | None) -> Answer:
    body, half = bytearray(answer.body), len(answer.body) // 2
    if fault == "short":
        del body[half:]
    elif fault == "flipped" and body:
        body[half] ^= 1
    return answer._replace(body=bytes(body))


@contextmanager
def proxy(server: str, choose: Callable[[Asked], str | None], later: float = 0.05) -> Iterator[Proxy]:
    """A proxy before the server at an address, which is stopped at the end of a `with` block."""
    between = Proxy(server, choose, later)
    thread = threading.Thread(target=between.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield between
    finally:
        between.settle()
        between.shutdown()
        thread.join()
        between.server_close()
