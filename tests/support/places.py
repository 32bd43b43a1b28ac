"""Where things lie, and a small data set on disk."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


SHARED = Path(os.environ.get("FER_SHARED", ROOT.parent / "shared"))


def write_fer2013_csv(path, per_class=24):
    """Write synthetic faces as a small fer2013.csv with Training and PublicTest rows."""
    from fer_lib.data.synthetic import make_faces

    faces = make_faces(7 * per_class, seed=1)
    rows = ["emotion,pixels,Usage"]
    for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        usage = "PublicTest" if number % 4 == 0 else "Training"
        rows.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
    path.write_text("\n".join(rows) + "\n")
    return path
