"""A stand-in of the hub's HTTP API that keeps what is committed to it."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Commit:
    repository: str
    revision: str
    message: str
    files: dict[str, bytes]


@dataclass
class Hub:
    """What a hub was told; `refuses` makes it answer every commit with 403."""

    url: str = ""
    created: list[dict[str, Any]] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    refuses: bool = False

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        parts = path.partition("?")[0].strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            self.created.append(json.loads(body))
            name = f"someone/{self.created[-1]['name']}"
            return 200, {"url": f"{self.url}/{name}", "name": name}
        if parts == ["api", "validate-yaml"]:  # the head of a card
            return 200, {"errors": [], "warnings": []}
        _, _, *owner_and_name, action, revision = parts
        if action == "preupload":
            kinds = {"uploadMode": "regular", "shouldIgnore": False}
            return 200, {"files": [{"path": f["path"], **kinds} for f in json.loads(body)["files"]]}
        assert action == "commit", path
        if self.refuses:
            return 403, {"error": "You have no right to write here"}
        said = [json.loads(line) for line in body.splitlines()]
        files = [line["value"] for line in said if line["key"] == "file"]
        repository = "/".join(owner_and_name)
        self.commits.append(
            Commit(
                repository,
                revision,
                said[0]["value"]["summary"],
                {file["path"]: base64.b64decode(file["content"]) for file in files},
            )
        )
        oid = f"{len(self.commits):040x}"
        return 200, {"commitUrl": f"{self.url}/{repository}/commit/{oid}", "commitOid": oid}


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub at a loopback address, gone afterwards."""
    told = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.tokens.add(self.headers["authorization"])
            status, content = told.answer(self.path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
