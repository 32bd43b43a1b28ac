"""No test downloads YuNet."""

import pytest

from fer_lib.vision import yunet


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    """YuNet's address is one that refuses at once."""
    dead = yunet.YUNET._replace(urls=("http://127.0.0.1:9/yunet.onnx",))
    monkeypatch.setattr(yunet, "YUNET", dead)
