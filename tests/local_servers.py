"""The common part of the servers on 127.0.0.1 that stand for services."""

import contextlib
import http.server
import threading


class LocalServer(http.server.ThreadingHTTPServer):
    """A server at a free port.

    Args:
        handler: subclass of `Handler`.
    """

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A client that hangs up is part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every request by `_answer`, without a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def do_PUT(self):
        self._answer()

    def do_DELETE(self):
        self._answer()


@contextlib.contextmanager
def running(server):
    """Yields a server that answers in a thread, until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
