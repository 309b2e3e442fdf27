"""A fake of Google's object storage: what obstore asks of it, on a bucket in memory. It is not a real server.

Google's XML interface lists as S3 does, and creates with `x-goog-if-generation-match: 0`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from featstore.objects.bucket import AlreadyThere, Found
from helpers.buckets import MemoryBucket

ACCOUNT = "GOOGLE_SERVICE_ACCOUNT"  # names a file as `account_of` describes it


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket: MemoryBucket

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        _, _, path = unquote(url.path).lstrip("/").partition("/")
        if not path:
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            return self.answer(200, self.list(asked.get("prefix", ""), asked.get("delimiter")))
        try:
            data, state = self.bucket.get(path)
        except FileNotFoundError:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        start, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        part = data[int(start) : int(end) + 1] if start else data
        headers = {"ETag": _etag(data), "Last-Modified": formatdate(state.mtime_ns / 1e9, usegmt=True)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
        return self.answer(206 if start else 200, part, headers)

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        _, _, path = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        write = self.bucket.put_new if self.headers.get("x-goog-if-generation-match") == "0" else self.bucket.put
        try:
            write(path, data)
        except AlreadyThere:
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        return self.answer(200, b"", {"ETag": _etag(data), "x-goog-generation": "1"})

    def do_DELETE(self) -> None:
        self.bucket.delete([unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]])
        self.answer(204, b"")

    def list(self, prefix: str, delimiter: str | None) -> bytes:
        """All on one page."""
        found = [each for each in self.bucket.list_all("") if each.path.startswith(prefix)]
        rest = {each.path: each.path.removeprefix(prefix) for each in found}
        inside = {path for path, name in rest.items() if delimiter and delimiter in name}
        folders = {prefix + rest[path].partition("/")[0] + "/" for path in inside}
        contents = "".join(self.item(each) for each in found if each.path not in inside)
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{escape(path)}</Prefix></CommonPrefixes>" for path in sorted(folders)
        )
        return f"<ListBucketResult>{contents}{prefixes}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()

    def item(self, found: Found) -> str:
        data, state = self.bucket.get(found.path)
        stamp = datetime.fromtimestamp(state.mtime_ns / 1e9, UTC)
        return (
            f"<Contents><Key>{escape(found.path)}</Key><Size>{state.size}</Size><ETag>{escape(_etag(data))}</ETag>"
            f"<LastModified>{stamp:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
        )

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *unused: object) -> None: ...


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def account_of(address: str) -> str:
    """Return the content of a file that tells obstore where the fake is, in the place of an account."""
    nothing = {"client_email": "", "private_key": "", "private_key_id": ""}
    return json.dumps({"gcs_base_url": f"http://{address}", "disable_oauth": True, **nothing})


@contextmanager
def gs_fake() -> Iterator[str]:
    """The address of a fake that is stopped at the end of a `with` block."""
    handler = type("Handler", (_Handler,), {"bucket": MemoryBucket()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
