"""The guard of the page: other names, other sites and requests that are too large."""

import asyncio

import pytest

from fer_lib.vision.own_origin import OwnOrigin


def asked(headers, chunks=(b"",), kind="http"):
    """The status that a request gets, and how much of it the server behind the guard took."""
    taken, sent, waiting = [], [], list(chunks)

    async def behind(scope, receive, send):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            taken.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    guard = OwnOrigin(behind, limit=100)
    asyncio.run(guard({"type": kind, "headers": pairs}, receive, send))
    status = next((of.get("status", of.get("code")) for of in sent), None)
    return status, sum(map(len, taken))


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "LOCALHOST"])
def test_names_of_this_computer_are_answered(host):
    assert asked({"Host": host})[0] == 200
    assert asked({"Host": host, "Origin": f"http://{host}"})[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.com"},
        {"Host": "127.0.0.1.evil.com:7860"},
        {"Host": "evil.com@127.0.0.1.evil.com"},
        {"Host": "[::1"},
        {"Host": "127.0.0.1:7860", "Origin": "http://evil.com"},
        {"Host": "127.0.0.1:7860", "Origin": "null"},
        {"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:3000"},
    ],
)
def test_other_names_and_other_sites_are_refused(headers):
    assert asked(headers) == (403, 0)
    assert asked(headers, kind="websocket") == (1008, 0)


def test_a_request_that_is_too_large_is_refused_or_cut_off():
    local = {"Host": "localhost"}
    assert asked(local | {"Content-Length": "101"}) == (413, 0)
    assert asked(local | {"Content-Length": "lots"}) == (413, 0)
    assert asked(local | {"Content-Length": "100"}, [b"x" * 100]) == (200, 100)
    assert asked(local, [b"x" * 60, b"x" * 60, b"x" * 60]) == (None, 60)
