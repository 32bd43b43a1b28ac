"""A guard before a local server: requests of its own pages alone, and none too large."""

import urllib.parse

LOCAL = ("127.0.0.1", "localhost", "::1")


class OwnOrigin:
    """ASGI middleware that answers for this computer's names and to the server's own pages.

    Without it any page in the browser could send files to the server, and one whose name was made
    to point here (DNS rebinding) could read the answers.

    Args:
        app: What it guards.
        limit: Most bytes of a request.
    """

    def __init__(self, app, limit):
        self.app, self.limit = app, limit

    async def __call__(self, scope, receive, send):
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, reason = self._refused(headers)
        if status and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif status:
            text = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": status, "headers": text})
            await send({"type": "http.response.body", "body": reason.encode()})
        else:
            await self.app(scope, self._counted(receive), send)

    def _refused(self, headers):
        host = headers.get(b"host", "")
        if _name(host) not in LOCAL:
            return 403, "This page answers on this computer alone."
        origin = headers.get(b"origin")
        if origin is not None and urllib.parse.urlsplit(origin).netloc != host:
            return 403, "This page answers to itself alone, not to other sites."
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or int(length) > self.limit:
            return 413, f"A request may have {self.limit:,} bytes."
        return 0, ""

    def _counted(self, receive):
        total = 0

        async def counted():
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            # As if the other side had gone: what came is dropped.
            return {"type": "http.disconnect"} if total > self.limit else message

        return counted


def _name(host):
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname
    except ValueError:
        return None
