"""The pictures of notebooks/README.md, one of each notebook's output, without faces of people.

    python tests/support/notebook_pictures.py FOLDER

carries the notebooks out on drawn faces, in small, into FOLDER (about ten minutes on two cores)
and writes one figure of each to `notebooks/pictures`. A notebook that FOLDER holds already is not
carried out again. The other notebooks are shown by their figures in `figures/`.
"""

import base64
import io
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "notebooks" / "pictures"
SIZE = (640, 360)  # pixels at most

# Notebook → number of the figure that is shown, and its parameters.
SHOWN = {
    "run_experiment": (2, {"dataset": "synthetic"}),
    "tune": (
        0,
        {
            "grid": "dataset=synthetic backbone=mini_xception weights=None epochs=4 "
            "train_fraction=0.5 learning_rate=0.0003,0.001,0.003,0.01"
        },
    ),
    "explore_dataset": (1, {"dataset": "synthetic"}),
    "label_quality": (0, {"dataset": "synthetic", "features": "pixels"}),
    "pitfalls": (
        -1,  # all traps at once
        {"dataset": "synthetic", "train": 300, "validation": 100, "test": 100, "epochs": 2}
        | {"seeds": 2},
    ),
    "live_emotions": (0, {}),
}


def carry_out(name, folder):
    """Carry out a notebook with its parameters for the picture, unless it was done before."""
    output = folder / f"{name}.ipynb"
    if output.exists():
        return output
    words = [w for key, value in SHOWN[name][1].items() for w in ("-p", key, str(value))]
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", notebook, f"{name}.part.ipynb", *words]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / f"{name}.part.ipynb").rename(output)


def picture(executed, number):
    """Return a figure of an executed notebook as a small PNG, by its place among the figures."""
    import nbformat
    from PIL import Image

    cells = nbformat.read(executed, 4).cells
    outputs = [out.get("data", {}) for cell in cells for out in cell.get("outputs", [])]
    figures = [data["image/png"] for data in outputs if "image/png" in data]
    image = Image.open(io.BytesIO(base64.b64decode(figures[number]))).convert("RGB")
    image.thumbnail(SIZE, Image.Resampling.LANCZOS)
    small = io.BytesIO()
    image.save(small, "png", optimize=True)
    return small.getvalue()


def main(folder):
    """Write the picture of every notebook."""
    folder.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    for name, (number, _) in SHOWN.items():
        png = picture(carry_out(name, folder), number)
        (PICTURES / f"{name}.png").write_bytes(png)
        print(f"{PICTURES / name}.png, {len(png):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
