"""A SOCKS5 proxy on loopback, without a password: RFC 1928's CONNECT, and no more."""

import socket
import socketserver
import struct
import threading


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        methods = self.request.recv(2)[1]
        self.request.recv(methods)
        self.request.sendall(b"\x05\x00")
        _, _, _, kind = self.request.recv(4)
        if kind == 1:
            host = socket.inet_ntoa(self.request.recv(4))
        else:
            host = self.request.recv(self.request.recv(1)[0]).decode()
        (port,) = struct.unpack("!H", self.request.recv(2))
        self.server.connections += 1
        self.server.targets.add((host, port))
        with socket.create_connection((host, port)) as target:
            self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=_copy, args=(target, self.request), daemon=True)
            back.start()
            _copy(self.request, target)
            back.join()


def _copy(source, target):
    try:
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


class SocksProxy(socketserver.ThreadingTCPServer):
    """`targets` are the addresses that it was asked for."""

    daemon_threads = allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections, self.targets = 0, set()
        self.address = f"socks5://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
