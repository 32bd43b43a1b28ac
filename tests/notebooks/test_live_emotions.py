"""The notebook of emotions over time runs as a user runs it, and the clip that it makes."""

import numpy as np
import pytest

from support.places import ROOT

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

from fer_lib.vision import detection, synthetic_clip
from support.clips import read_clip

NOTEBOOK = ROOT / "notebooks" / "live_emotions.ipynb"


def test_the_clip_shows_one_person_whose_expression_changes(tmp_path):
    frames = list(synthetic_clip.make_frames(2.0, rate=10))
    assert len(frames) == 20 and frames[0].shape == (240, 320, 3)
    assert all(len(detection.detect(frame, "haar")) == 1 for frame in frames[::4])
    x, y = (np.array(part) for part in zip(*[f.centre for f in found(frames[::4])], strict=True))
    assert np.ptp(x) < 60 and np.ptp(y) < 40
    path = synthetic_clip.write_clip(tmp_path / "a.mp4", 0.4)
    assert len(read_clip(path)) == 10
    before = path.stat().st_mtime_ns
    synthetic_clip.write_clip(path, 9.0)
    assert path.stat().st_mtime_ns == before


def found(frames):
    return [detection.detect(frame, "haar")[0] for frame in frames]


def test_a_source_is_taken_as_it_is(fer_home):
    assert synthetic_clip.resolve_source("clip.mp4") == "clip.mp4"
    path = synthetic_clip.resolve_source("synthetic", 0.2)
    assert path.is_relative_to(fer_home) and path.exists()


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, tiny):
    pytest.importorskip("ai_edge_litert.interpreter")
    import nbformat

    from fer_lib.emotions import FER7
    from fer_lib.inference.formats import export
    from fer_lib.models.classifier import build_classifier
    from support.papermill_runs import run_here

    network = build_classifier(tiny, weights=None)
    model = export(network, tmp_path, formats=["litert"], label_set=FER7)["litert"]
    output, table = tmp_path / "out.ipynb", tmp_path / "faces.csv"
    run_here(tmp_path, NOTEBOOK, output, model=model, seconds=1, detector="haar", out=table)
    cells = nbformat.read(output, as_version=4).cells
    pictures = [o for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 3 and "25 frames, 0 of them broken" in output.read_text()
    assert len(table.read_text().splitlines()) == 26
