"""A real server that answers what a test wrote down, request by request."""

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Script:
    """Answers in order, the last one again and again; and what was asked.

    Args:
        answers: status, headers and body of each; a status of 0 closes the connection without a word.
        asked: headers of each request, names in lower case.
        bodies: parsed JSON of each request.
    """

    answers: list[tuple[int, dict[str, str], object]]
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[object] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def answering(*answers: tuple[int, dict[str, str], object]) -> Iterator[Script]:
    script = Script(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            script.bodies.append(json.loads(body) if body else None)
            script.asked.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, content = script.answers[min(len(script.asked), len(script.answers)) - 1]
            if status == 0:
                self.close_connection = True
                return
            written = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(written))}.items():
                if name not in headers:
                    self.send_header(name, value)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(written)

        do_GET = do_POST  # noqa: N815  # the name that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def server_bind(self) -> None:  # without a look-up of this machine's name
            socketserver.TCPServer.server_bind(self)

        def handle_error(self, *_: object) -> None:  # a client that has left
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
