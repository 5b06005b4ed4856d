"""An OpenAI-like server on loopback, whose behaviour a test chooses and whose questions it sees."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """`reply(number, question)` is called for each question: the text of the answer, or something to `Raw`."""

    daemon_threads = True

    def __init__(self, reply, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.reply, self.asked, self.keys = reply, [], []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.released = threading.Event()  # hanging answers wait for it

    def handle_error(self, request, client_address):
        """Clients that were killed are no matter."""


class Raw:
    """An answer that is no OpenAI-like one: a status and bytes; `hang` sends nothing, `slow` a byte now and then."""

    def __init__(self, status=200, body=b"", hang=False, slow=False):
        self.status, self.body, self.hang, self.slow = status, body, hang, slow


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization"))
        self.server.asked.append({"path": self.path, **asked})
        answer = self.server.reply(len(self.server.asked), asked["messages"][0]["content"])
        if not isinstance(answer, Raw):
            choices = [{"message": {"role": "assistant", "content": answer}}]
            answer = Raw(body=json.dumps({"choices": choices}).encode())
        if answer.hang:
            self.server.released.wait(60)
            return
        self.send_response(answer.status)
        self.send_header("Content-Length", str(1000 if answer.slow else len(answer.body)))
        self.end_headers()
        while answer.slow and not self.server.released.wait(0.05):
            self.wfile.write(b" ")
        self.wfile.write(answer.body)

    def log_message(self, *_):
        """Quiet."""


@contextmanager
def llm(reply, port=0):
    server = Server(reply, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def until(happens, seconds=90):
    """Wait for something; it fails after a time."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
