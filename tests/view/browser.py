"""A headless Chromium, driven by its own protocol over a websocket: open a page, click, take a picture."""

import base64
import json
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from urllib.request import urlopen

from websockets.sync.client import connect

PATIENCE = 60.0  # seconds; WebGL on a busy machine without a graphics card takes a while
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--hide-scrollbars"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--proxy-server=http://127.0.0.1:9"),
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium():
    """The program; None where this machine has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of it."""

    def __init__(self, socket):
        self.socket, self.number = socket, 0
        self.wanted = []  # addresses that the page has asked for
        for domain in ("Page", "Runtime", "Network"):
            self.asks(f"{domain}.enable")

    def asks(self, method, **params):
        """The answer to a command."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(timeout=PATIENCE))
            if answer.get("method") == "Network.requestWillBeSent":
                self.wanted.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def goes_to(self, address):
        self.asks("Page.navigate", url=address)

    def value(self, script):
        """The value of a line of JavaScript."""
        return self.asks("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def text(self):
        """All that can be read on the page."""
        return self.value("document.body ? document.body.innerText : ''")

    def reads(self, pattern):
        """Wait until the page's text has this pattern; the match."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := re.search(pattern, self.text()):
                return found
            time.sleep(0.2)
        raise AssertionError(f"{pattern} is not on the page: {self.text()}")

    def clicks(self, text, number=0):
        """Click one of the buttons, or of the boxes to tick, beside which this text stands."""
        script = f"""(() => {{
            const beside = one => {{
                while (one && !(one.innerText || '').trim()) one = one.parentElement;
                return one ? one.innerText.trim() : ''; }};
            const all = [...document.querySelectorAll('button, input[type=checkbox]')];
            const named = all.filter(one => beside(one) === {text!r});
            named[{number}]?.click(); return named.length; }})()"""
        assert (self.value(script) or 0) > number, f"no button {text}"

    def picture(self, path):
        """A picture of the page, as a file."""
        path.write_bytes(base64.b64decode(self.asks("Page.captureScreenshot", format="png")["data"]))
        return path


@contextmanager
def browser(profile, width=1280, height=800):
    """A browser while the block runs."""
    command = [chromium(), *OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    try:
        while not (found := re.search(r"ws://127\.0\.0\.1:(\d+)/", line := process.stderr.readline())):
            assert line or process.poll() is None, "Chromium has ended"
        with urlopen(f"http://127.0.0.1:{found[1]}/json/list") as answer:
            page = next(one for one in json.load(answer) if one["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(30)
