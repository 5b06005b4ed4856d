"""Stand-ins for an index of wheels: in a folder, and on a server whose connections break."""

import os
import re
import zipfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

PIECE = 500_000  # bytes, after which the connection breaks


class BreakingIndex(BaseHTTPRequestHandler):
    """An index that breaks the connection in the middle of a wheel, and goes on where it is asked to."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    asked: ClassVar[list[int]] = []  # the first byte of each wheel that was asked for

    def do_GET(self):
        file = self.folder / unquote(self.path).strip("/")
        whole = (file / "index.html" if file.is_dir() else file).read_bytes()
        begin = int(re.findall(r"\d+", self.headers.get("Range", "0"))[0])
        wheel = file.suffix == ".whl"
        self.send_response(206 if begin else 200)
        for name, value in (
            ("Content-Type", "application/octet-stream" if wheel else "text/html"),
            ("Content-Length", str(len(whole) - begin)),
            ("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}"),
            ("Accept-Ranges", "bytes"),
            ("ETag", '"one"'),
        ):
            self.send_header(name, value)
        self.end_headers()
        end = begin + PIECE if wheel else len(whole)
        self.wfile.write(whole[begin:end])
        if wheel:
            self.asked.append(begin)
        self.close_connection = end < len(whole)

    def log_message(self, *_):
        """Not into the tests' output."""


def torch_wheel(folder, version, cuda, weight=0):
    """A wheel of a torch that is a version file alone, and the page of an index that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    info, wheel = f"torch-{version}.dist-info", f"torch-{version}-py3-none-any.whl"
    (folder / "index.html").write_text(f'<a href="{wheel.replace("+", "%2B")}">{wheel}</a>')
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        archive.writestr("torch/__init__.py", "")
        archive.writestr("torch/lib", os.urandom(weight))
        archive.writestr("torch/version.py", f"__version__ = {version!r}\ncuda: Optional[str] = {cuda!r}\nhip = None\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
