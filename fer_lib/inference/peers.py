"""Peers: trained models of other projects, to compare with on the same faces.

They answer like a `Predictor`: `predict` from `uint8` faces, `label_set` for the order of the
columns. Their files stay where the user keeps them. To add one: one entry in `PEERS`.
"""

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from fer_lib.emotions import FER7

# Faces per call of the network.
BATCH = 64


@dataclasses.dataclass(frozen=True)
class Peer:
    """A classifier of another project, opened at its first answer.

    Args:
        file: Name of its file.
        size: Side in pixels to which faces are resized for it (bilinear).
        channels: 1 for grey, 3 where grey is repeated.
        scale, offset: Its preprocessing, `pixels * scale + offset`.
        label_set: Emotion names in the order of its outputs.
        trained_on: Key of `catalogue.DATASETS` that it was trained on, or `None` if its makers do
            not say.
        about: Where it comes from, its licence, and how it was trained.
        folder: Where its file lies; see `find_peers`.
    """

    file: str
    size: int
    channels: int
    scale: float
    offset: float
    label_set: tuple
    trained_on: str | None
    about: str
    folder: Path = Path()

    @functools.cached_property
    def model(self):
        """The `keras.Model`, from prepared faces to probabilities."""
        import keras

        return keras.models.load_model(self.folder / self.file, compile=False)

    def prepare(self, images):
        """Return faces as the model wants them.

        Args:
            images: `uint8` array of shape `(n, height, width)`, values 0 to 255.

        Returns:
            `float32` array of shape `(n, size, size, channels)`.

        Raises:
            ValueError: If images are no faces.
        """
        from PIL import Image

        images, side = np.asarray(images), (self.size, self.size)
        if images.dtype != np.uint8 or images.ndim != 3:
            raise ValueError(
                "images must be uint8 of shape (n, height, width); "
                f"got {images.dtype} of shape {images.shape}."
            )
        batch = np.empty((len(images), *side, self.channels), np.float32)
        for place, image in enumerate(images):
            resized = Image.fromarray(image).resize(side, Image.Resampling.BILINEAR)
            batch[place] = np.asarray(resized)[..., None]
        return batch * np.float32(self.scale) + np.float32(self.offset)

    def predict(self, images):
        """Return the probability of each emotion for each face.

        Args:
            images: `uint8` array of shape `(n, height, width)`, values 0 to 255.

        Returns:
            `float32` array of shape `(n, classes)`, rows summing to 1, columns in the order of
            `label_set`.
        """
        answers = [np.zeros((0, len(self.label_set)), np.float32)]
        for start in range(0, len(images), BATCH):
            batch = self.prepare(images[start : start + BATCH])
            answers.append(np.asarray(self.model.predict_on_batch(batch)))
        return np.concatenate(answers)


# The first 80 % of fer2013.csv's rows are its Training rows, so their epochs were chosen on
# PublicTest and PrivateTest together (src/utils/datasets.py and src/train_emotion_classifier.py).
_XCEPTION = {
    "size": 64,
    "channels": 1,
    "scale": 1 / 127.5,
    "offset": -1.0,
    "label_set": FER7,
    "trained_on": "fer2013",
    "about": "github.com/oarriaga/face_classification, MIT (arXiv:1710.07557); trained on "
    "FER-2013's Training rows, its epoch chosen on PublicTest and PrivateTest",
}
PEERS = {
    # 58 thousand parameters; also the model of the package fer.
    "mini_XCEPTION": Peer("fer2013_mini_XCEPTION.102-0.66.hdf5", **_XCEPTION),
    "big_XCEPTION": Peer("fer2013_big_XCEPTION.54-0.66.hdf5", **_XCEPTION),
    "face-api.js": Peer(
        "face_api_expression.keras",
        size=112,
        channels=3,
        scale=1.0,
        offset=0.0,
        label_set=("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"),
        trained_on=None,
        about="github.com/justadudewhohacks/face-api.js, MIT; trained on public data sets and "
        "images from the web that its makers do not list",
    ),
}


def find_peers(folder=None):
    """Return the peers whose files are in a folder.

    Args:
        folder: Folder of their files. Defaults to the environment variable `FER_PEERS`.

    Returns:
        `{name: Peer}` in the order of `PEERS`.

    Raises:
        FileNotFoundError: If no folder is given, or it holds none of the files.
    """
    folder = folder or os.environ.get("FER_PEERS")
    files = ", ".join(peer.file for peer in PEERS.values())
    if not folder:
        raise FileNotFoundError(
            "No folder of peers' models is named: give it as `folder`, or in the environment "
            f"variable FER_PEERS. It holds one or more of {files}."
        )
    found = {
        name: dataclasses.replace(peer, folder=Path(folder))
        for name, peer in PEERS.items()
        if (Path(folder) / peer.file).is_file()
    }
    if not found:
        raise FileNotFoundError(f"{folder} holds none of the peers' files: {files}.")
    return found
