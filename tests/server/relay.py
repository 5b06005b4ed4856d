"""A bad line between a client and a server: it can hold back what one of them says, and break."""

import select
import socket
import threading


class Relay:
    """Listens on a port of its own and passes everything on to another, until it is told not to."""

    key = ""

    def __init__(self, port):
        self._target, self._open = int(port), True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.holds = set()  # "requests", "answers"
        self._pairs = []  # a client's socket and its other one at the server
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        """Break the line; what was held back is lost."""
        self._cut = True

    def close(self):
        self._open = False
        self._thread.join()

    def _run(self):
        self._cut = False
        while self._open:
            self._pass_on()
            if self._cut:
                self._hang_up()
                self.holds.clear()
                self._cut = False
        self._hang_up()
        self._listener.close()

    def _hang_up(self):
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs.clear()

    def _pass_on(self):
        sources = {self._listener: None}
        for client, server in self._pairs:
            sources |= {} if "requests" in self.holds else {client: server}
            sources |= {} if "answers" in self.holds else {server: client}
        for source in select.select(list(sources), [], [], 0.02)[0]:
            if source is self._listener:
                self._pairs.append((source.accept()[0], socket.create_connection(("127.0.0.1", self._target))))
            elif data := self._heard(source):
                sources[source].sendall(data)
            else:
                self._cut = True  # one has hung up: so does the other
                return

    def _heard(self, source):
        try:
            return source.recv(65536)
        except OSError:
            return b""
