"""Load: much of one kind of work keeps memory and open files flat."""

from pathlib import Path

import pytest

pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

from support import loads

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]


@pytest.mark.parametrize(
    "name, count, options",
    [
        ("photographs", 600, {"detector": "haar"}),
        ("page", 30, {"detector": "haar"}),
        ("sweep", 20, {}),
        pytest.param("slurm", 20, {}, marks=pytest.mark.slurm),
    ],
)
def test_memory_and_open_files_stay_flat(tmp_path, name, count, options):
    if name == "page":
        pytest.importorskip("gradio", reason='needs pip install -e ".[page]"')
    seen = loads.measure(name, tmp_path, count, **options)
    assert seen["steps"] >= count // 4 and len(seen["files"]) == 3, seen
    assert seen["memory"]["end"] < seen["memory"]["tenth"] + 30, seen
    assert seen["files"]["end"] <= seen["files"]["tenth"] + 2, seen
