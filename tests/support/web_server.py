"""A web server of this machine for one test."""

import contextlib
import functools
import http.server
import threading


@contextlib.contextmanager
def files_served(folder):
    """Serve a folder as `python -m http.server` does, and yield the address, without a slash."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
