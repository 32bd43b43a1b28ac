"""peers: other projects' models answer like ours, under the right names."""

from types import SimpleNamespace

import numpy as np
import pytest

from fer_lib.emotions import FER7, SPELLINGS
from fer_lib.inference import peers


class Echo:
    """Stands in for a model: answers with the mean of each channel, and keeps what it saw."""

    def __init__(self):
        self.batches = []

    def predict_on_batch(self, batch):
        self.batches.append(batch)
        return batch.mean(axis=(1, 2))


def echoing(**settings):
    """A peer of 8 x 8 pixels with three outputs, and the `Echo` that is its model."""
    settings = {"size": 8, "channels": 3, "scale": 1 / 127.5, "offset": -1.0} | settings
    peer = peers.Peer("x.keras", label_set=FER7[:3], trained_on=None, about="", **settings)
    vars(peer)["model"] = Echo()
    return peer, peer.model


def test_faces_are_resized_repeated_and_rescaled():
    peer, model = echoing()
    images = np.stack([np.zeros((48, 48)), np.full((48, 48), 255), np.full((48, 48), 51)])
    answers = peer.predict(images.astype(np.uint8))
    (batch,) = model.batches
    assert batch.shape == (3, 8, 8, 3) and batch.dtype == np.float32
    np.testing.assert_allclose(answers, np.repeat([[-1], [1], [-0.6]], 3, axis=1), atol=1e-6)


def test_resizing_is_bilinear():
    peer, _ = echoing(size=4, channels=1, scale=1.0, offset=0.0)
    image = np.array([[0, 200], [0, 200]], np.uint8)
    row = peer.prepare(image[None])[0, 0, :, 0]
    np.testing.assert_allclose(row, [0, 50, 150, 200])


def test_many_faces_go_in_batches_and_none_at_all_is_an_answer(monkeypatch):
    monkeypatch.setattr(peers, "BATCH", 4)
    peer, model = echoing()
    assert peer.predict(np.zeros((10, 48, 48), np.uint8)).shape == (10, 3)
    assert [len(batch) for batch in model.batches] == [4, 4, 2]
    assert peer.predict(np.zeros((0, 48, 48), np.uint8)).shape == (0, 3)
    with pytest.raises(ValueError, match="images must be uint8"):
        peer.predict(np.zeros((1, 48, 48)))


def test_every_peer_names_known_emotions_and_its_source():
    for peer in peers.PEERS.values():
        assert set(peer.label_set) <= set(SPELLINGS)
        assert "github.com/" in peer.about and "MIT" in peer.about


def test_those_that_are_there_are_found(tmp_path, monkeypatch):
    monkeypatch.delenv("FER_PEERS", raising=False)
    with pytest.raises(FileNotFoundError, match="FER_PEERS. It holds one or more of fer2013_mini"):
        peers.find_peers()
    with pytest.raises(FileNotFoundError, match="none of the peers' files"):
        peers.find_peers(tmp_path)
    (tmp_path / peers.PEERS["face-api.js"].file).touch()
    assert list(peers.find_peers(tmp_path)) == ["face-api.js"]
    monkeypatch.setenv("FER_PEERS", str(tmp_path))
    assert peers.find_peers()["face-api.js"].folder == tmp_path


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("name", peers.PEERS)
def test_the_real_ones_know_a_happy_and_a_surprised_face(shared, name):
    with np.load(shared / "data" / "ckplus48.npz", allow_pickle=False) as data:
        faces = SimpleNamespace(pixels=data["pixels"], emotion=data["emotion"])
    peer = peers.find_peers(shared / "peers")[name]
    for number, emotion in ((3, "happy"), (5, "surprise")):
        answers = peer.predict(faces.pixels[faces.emotion == number][::6])
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
        assert (answers.argmax(axis=1) == peer.label_set.index(emotion)).mean() > 0.6
