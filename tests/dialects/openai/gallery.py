"""A web server on a loopback port that shows pictures, and notes who came for what."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.pictures import picture

PICTURES: Mapping[str, bytes] = {
    "/red.png": picture(),
    "/small.jpg": picture("JPEG", (7, 5)),
    "/wide.gif": picture("GIF", (90, 3)),
    "/page.png": b"<html>not a picture</html>",
    "/broken.png": picture()[:60],
}


class Hall(ThreadingHTTPServer):
    request_queue_size = 100


class Gallery:
    """`asked` are the paths so far. Who asks for /slow gets no answer; `waiting` and `left` count those."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waiting = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        gallery = self

        class Visit(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gallery.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = Hall(("127.0.0.1", 0), Visit)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def answer(self, visit: BaseHTTPRequestHandler) -> None:
        self.asked.append(visit.path)
        if visit.path == "/slow":
            self.waiting.release()
            visit.connection.settimeout(10)
            assert visit.connection.recv(1) == b""
            self.left.release()
            return
        if visit.path.startswith("/to/"):
            visit.send_response(302)
            visit.send_header("location", visit.path.removeprefix("/to"))
            visit.end_headers()
            return
        data = PICTURES.get(visit.path.partition("?")[0])
        visit.send_response(404 if data is None else 200)
        visit.send_header("content-length", str(len(data or b"")))
        visit.end_headers()
        visit.wfile.write(data or b"")

    def __enter__(self) -> Gallery:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
