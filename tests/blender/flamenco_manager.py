"""A manager on loopback: Flamenco's REST API for what our button asks, checked as its OpenAPI description says."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "tools" / "flamenco" / "splatsmith.js"
TYPES = {"string": str, "int32": int}


def script_settings():
    """The settings of our job type, as its script lists them."""
    found = re.findall(r'key: "(\w+)", type: "(\w+)"', SCRIPT.read_text(encoding="utf-8"))
    return [{"key": key, "type": kind} for key, kind in found]


class FlamencoManager:
    """`jobs` are the submitted ones; `settings` None: the job type is not installed; `name`: what it calls itself."""

    def __init__(self, storage):
        self.name, self.storage, self.settings, self.etag = "Flamenco", str(storage), script_settings(), "v1"
        self.jobs, self.asked = [], []
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                manager.asked.append(self.path)
                self.say(*manager.answer(self.path))

            def do_POST(self):
                manager.asked.append(self.path)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.say(*manager.take(body))

            def say(self, code, answer):
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path):
        if path == "/api/v3/version":
            return 200, {"name": self.name, "shortversion": "3.9", "version": "3.9-alpha6", "git": "abc"}
        if path == "/api/v3/jobs/type/splatsmith" and self.settings is not None:
            return 200, {"name": "splatsmith", "label": "Splatsmith", "etag": self.etag, "settings": self.settings}
        if re.fullmatch("/api/v3/configuration/shared-storage/users/(linux|windows|darwin)", path):
            return 200, {"location": self.storage, "audience": "users", "platform": "linux", "shamanEnabled": False}
        return 404, {"code": 404, "message": "no such job type known"}

    def take(self, job):
        missing = {"name", "type", "submitter_platform"} - job.keys()
        if missing:
            return 400, {"code": 400, "message": f"missing {missing}"}
        if job["type_etag"] != "v1":
            return 412, {
                "code": 412,
                "message": "rejecting job because its settings are outdated",
            }
        for setting in self.settings:
            if not isinstance(job["settings"].get(setting["key"]), TYPES[setting["type"]]):
                return 400, {"code": 400, "message": f"setting {setting['key']} is wrong"}
        self.jobs.append(job)
        return 200, {**job, "id": f"job-{len(self.jobs)}", "status": "queued", "created": "2026-11-26T08:00:00Z"}

    def close(self):
        self._server.shutdown()
        self._server.server_close()
