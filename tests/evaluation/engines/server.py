"""A real HTTP server here that speaks OpenAI's protocol, and fails when it is told to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

AT_ONCE = {"retry-after-ms": "1"}


@dataclass
class Answer:
    """Status, body and headers of one response; a text body is sent as it is."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Respond = Callable[["Call"], Answer | str]


@dataclass
class Call:
    """One request as it came in."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    number: int
    """Requests before this one."""
    attempt: int
    """Requests with the same body before this one."""


class Server:
    """What came in, and the function that says what goes out."""

    def __init__(self, respond: Respond, models: Answer | None = None) -> None:
        self.respond, self.models = respond, models or Answer({"object": "list", "data": []})
        self.calls: list[Call] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    @property
    def seeds(self) -> list[int]:
        return [call.body["seed"] for call in self.calls]

    def arrived(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Call:
        with self.lock:
            before = sum(call.body == body for call in self.calls)
            call = Call(path, body, headers, len(self.calls), before)
            self.calls.append(call)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        return call

    def left(self) -> None:
        with self.lock:
            self.at_once -= 1


def completion(text: str | None, path: str = "/v1/chat/completions", **more: Any) -> dict[str, Any]:
    """A whole response body in the protocol's words, one token a word."""
    reason = more.pop("finish_reason", "stop")
    content = {"message": {"role": "assistant", "content": text, **more}}
    choice = content if "chat" in path else {"text": text}
    tokens = len((text or "").split())
    return {
        "id": "1",
        "object": "chat.completion" if "chat" in path else "text_completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": reason, **choice}],
        "usage": {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens},
    }


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet, or the client waits for its own ACK

        def do_GET(self) -> None:
            self.answer(server.models)

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = json.loads(self.rfile.read(length))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = server.arrived(self.path, body, headers)
            try:
                said = server.respond(call)
            finally:
                server.left()
            self.answer(Answer(completion(said, self.path)) if isinstance(said, str) else said)

        def answer(self, answer: Answer) -> None:
            raw = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            data = raw.encode()
            self.send_response(answer.status)
            headers = {"content-type": "application/json", "content-length": str(len(data))}
            for name, value in (headers | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is no news."""


@contextmanager
def serving(respond: Respond, models: Answer | None = None) -> Iterator[Server]:
    """A server on a free port, gone afterwards."""
    server = Server(respond, models)
    http = QuietServer(("127.0.0.1", 0), handler(server))
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
