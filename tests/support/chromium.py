"""Chromium without a window, driven over its DevTools protocol: clicks, files, pictures of it."""

import base64
import contextlib
import json
import shutil
import subprocess
import time

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --remote-debugging-port=0 "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
).split()


@contextlib.contextmanager
def browser(folder, *flags):
    """Yield a `Tab` of a Chromium of its own; the test is skipped where there is none.

    Args:
        folder: New folder for the browser's own files, and for what it downloads.
        *flags: More of its options.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium")
    websocket = pytest.importorskip("websocket", reason="needs websocket-client")
    folder.mkdir()
    command = [program, *_FLAGS, *flags, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = folder / "DevToolsActivePort"
        wait(lambda: port_file.exists() and port_file.read_text().count("\n"), "Chromium")
        port, path = port_file.read_text().split()
        socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", timeout=60, suppress_origin=True
        )
        yield Tab(socket, folder)
        socket.close()
    finally:
        process.terminate()
        process.wait()


def camera(path, *images, rate=10):
    """Return the flag by which a browser's camera shows some pictures over and over.

    Args:
        path: New file, ending in `.y4m`.
        *images: `uint8` arrays of one shape `(height, width, 3)`, RGB, with even sides.
        rate: Pictures a second: without a graphics card each costs the browser much.
    """
    import cv2

    height, width = images[0].shape[:2]
    frames = [cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420).tobytes() for image in images]
    head = f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n"
    path.write_bytes(head.encode() + b"".join(b"FRAME\n" + frame for frame in frames))
    return f"--use-file-for-fake-video-capture={path}"


def wait(found, what, seconds=60):
    """Return what a function gives as soon as it is true; fail after some seconds."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"{what} did not come in {seconds} seconds"
        time.sleep(0.05)
    return value


class Tab:
    """A tab of a browser."""

    def __init__(self, socket, folder):
        self._socket, self._number, self._session, self.folder = socket, 0, None, folder
        self.told = []  # errors of its scripts, and what its policy refused
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            self._ask(f"{domain}.enable")
        self._ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _ask(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("method") == "Runtime.exceptionThrown":
                self.told.append(answer["params"]["exceptionDetails"])
            if answer.get("method") == "Log.entryAdded":
                entry = answer["params"]["entry"]
                if entry["level"] == "error":
                    self.told.append(entry["text"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address):
        """Go to an address."""
        self._ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def run(self, code):
        """Return the value of an expression; a promise is awaited."""
        answer = self._ask(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, code, seconds=60):
        """Wait until an expression is true, and return its value."""
        return wait(lambda: self.run(code), code, seconds)

    def click(self, element):
        """Click in the middle of an element, given as an expression."""
        self.run(f"({element}).scrollIntoView({{block: 'center'}})")
        box = self.run(f"(({element}).getBoundingClientRect()).toJSON()")
        assert box["width"] and box["height"], f"{element} is not to be seen"
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def upload(self, element, *paths):
        """Choose files in a file input, given as an expression."""
        found = self._ask("Runtime.evaluate", expression=element)["result"]["objectId"]
        files = [str(path) for path in paths]
        self._ask("DOM.setFileInputFiles", files=files, objectId=found)

    def view(self, width, height, *, phone=False):
        """Set the size of the window; a phone also has finer pixels and touch."""
        scale = 2 if phone else 1
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self._ask("Emulation.setDeviceMetricsOverride", **size)

    def picture(self, path, whole=True):
        """Write what the tab shows as PNG."""
        shown = self._ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shown["data"]))

    def off_screen(self):
        """Return what reaches past the right edge of the window without a box that scrolls."""
        return self.run(
            """[...document.body.querySelectorAll('*')].filter(e => {
                const box = e.getBoundingClientRect();
                if (!box.width || !box.height || box.right <= innerWidth + 1) return false;
                for (let p = e.parentElement; p; p = p.parentElement)
                    if (/auto|scroll|hidden|clip/.test(getComputedStyle(p).overflowX)) return false;
                return true;
            }).map(e => e.outerHTML.slice(0, 80))"""
        )
