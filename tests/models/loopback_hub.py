"""A hub on loopback: folders as its models, with the hub's own answers, and the troubles of a real network."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "a" * 40
BLOCK = 4096


@cache
def git_hash(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@cache
def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Hub:
    """`models` are folders by their ids; `log` has (method, file, Range) of each request for a file.

    The troubles: `break_after` bytes the next connections for these files are reset, one number each; `damage` so
    often is a file sent with a wrong byte; `pause` seconds between blocks; `hang`: no answer at all; `gated` ids.
    """

    def __init__(self, models: dict[str, Path]) -> None:
        self.models, self.log = models, []
        self.break_after: dict[str, list[int]] = {}
        self.damage: dict[str, int] = {}
        self.gated: set[str] = set()
        self.pause, self.hang = 0.0, False
        self.sent = 0
        self.large_files_at = ""  # the endpoint of another server that has them
        self.tokens: set[str | None] = set()  # that came with requests for files
        hub = self

        class Answer(_Answer):
            pass

        Answer.hub = hub
        self.server = _Server(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=partial(self.server.serve_forever, 0.05), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def asked(self, method: str = "GET") -> list[str]:
        """The files that were asked for, each once."""
        return sorted({file for how, file, _ in self.log if how == method})

    def ranges(self, file: str) -> list[str | None]:
        """The Range header of each GET of a file."""
        return [wanted for how, name, wanted in self.log if how == "GET" and name == file]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, body: bool) -> None:
        while self.hub.hang:
            time.sleep(0.05)
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            self.describe(path.split("/")[2:])
        elif "/resolve/" in path:
            model, _, rest = path.partition("/resolve/")
            self.file(model, rest.partition("/")[2], body)
        else:
            self.refuse(404, "RepoNotFound")

    def describe(self, words: list[str]) -> None:
        """What a model consists of: as `model_info` or as the tree of its files."""
        model = "/".join(words[:2])
        if model not in self.hub.models:
            self.refuse(404, "RepoNotFound")
            return
        folder = self.hub.models[model]
        files = [(file, file.relative_to(folder).as_posix()) for file in sorted(folder.rglob("*")) if file.is_file()]
        if "tree" in words:
            self.json([self.leaf(file, name) for file, name in files])
        else:
            siblings = [self.sibling(file, name) for file, name in files]
            self.json(
                {"id": model, "modelId": model, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
            )

    def leaf(self, file: Path, name: str) -> dict:
        size = file.stat().st_size
        large = {"lfs": {"oid": sha256(file), "size": size, "pointerSize": 130}} if is_large(name) else {}
        return {"type": "file", "path": name, "size": size, "oid": git_hash(file), **large}

    def sibling(self, file: Path, name: str) -> dict:
        size = file.stat().st_size
        large = {"lfs": {"sha256": sha256(file), "size": size, "pointerSize": 130}} if is_large(name) else {}
        return {"rfilename": name, "size": size, "blobId": git_hash(file), **large}

    def file(self, model: str, name: str, body: bool) -> None:
        hub, wanted = self.hub, self.headers.get("Range")
        hub.log.append((self.command, name, wanted))
        hub.tokens.add(self.headers.get("Authorization"))
        if model not in hub.models:
            return self.refuse(404, "RepoNotFound")
        if model in hub.gated:
            return self.refuse(403, "GatedRepo")
        file = hub.models[model] / name
        if not file.is_file():
            return self.refuse(404, "EntryNotFound")
        if body and is_large(name) and hub.large_files_at:
            return self.send_on(f"{hub.large_files_at}/{model}/resolve/{COMMIT}/{name}")
        content = file.read_bytes()
        if hub.damage.get(name, 0) and body:
            hub.damage[name] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{sha256(file) if is_large(name) else git_hash(file)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if body:
            self.send(content[start:], name)

    def send(self, content: bytes, name: str) -> None:
        breaks = self.hub.break_after.get(name, [])
        until = breaks.pop(0) if breaks else None
        for at in range(0, len(content), BLOCK):
            if until is not None and at >= until:
                self.wfile.flush()
                time.sleep(0.2)  # what was sent arrives before the reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()  # a reset, not an end
                self.close_connection = True
                return
            self.wfile.write(content[at : at + BLOCK])
            self.hub.sent += len(content[at : at + BLOCK])
            time.sleep(self.hub.pause)

    def send_on(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def is_large(name: str) -> bool:
    """Whether the hub keeps a file in its large storage, by its SHA-256."""
    return name.endswith((".safetensors", ".bin", ".ckpt"))
