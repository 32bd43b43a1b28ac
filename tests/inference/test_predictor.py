"""Predictors in other processes and threads: after fork and spawn, pickled, side by side."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fer_lib.inference.predictor import load_predictor

pytest.importorskip("ai_edge_litert")

SCRIPT = """
import multiprocessing, sys
import numpy as np
from fer_lib.inference.predictor import load_predictor

if __name__ == "__main__":
    faces = np.random.default_rng(0).integers(0, 256, (64, 48, 48), np.uint8)
    predictor = load_predictor("default", threads=2)
    wanted = predictor.predict(faces)
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        for answers in pool.map_async(predictor.predict, [faces, faces]).get(60):
            np.testing.assert_allclose(answers, wanted, atol=1e-6)
    print("equal")
"""


@pytest.fixture
def faces():
    return np.random.default_rng(0).integers(0, 256, (40, 48, 48), np.uint8)


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_predictor_that_has_answered_answers_in_other_processes(tmp_path, how):
    if how == "fork" and sys.platform == "win32":
        pytest.skip("Windows does not fork")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, how], capture_output=True, text=True, timeout=100
    )
    assert done.stdout.split() == ["equal"], done.stderr


def test_a_pickled_predictor_is_the_same_one_and_no_larger_than_its_path(faces):
    predictor = load_predictor("default", threads=2)
    wanted = predictor.predict(faces)
    data = pickle.dumps(predictor)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert repr(copy) == repr(predictor)
    np.testing.assert_allclose(copy.predict(faces), wanted, atol=1e-6)


def test_threads_may_ask_one_predictor_at_once(faces):
    predictor = load_predictor("default", threads=2)
    wanted = predictor.predict(faces)
    with ThreadPoolExecutor(8) as pool:
        for start, answers in enumerate(pool.map(lambda n: predictor.predict(faces[n:]), range(8))):
            np.testing.assert_allclose(answers, wanted[start:], atol=1e-6)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib_may_ask_one_predictor(faces, backend):
    from joblib import Parallel, delayed

    predictor = load_predictor("default", threads=2)
    wanted = predictor.predict(faces)
    jobs = (delayed(predictor.predict)(part) for part in (faces[:20], faces[20:]))
    answers = Parallel(2, backend=backend)(jobs)
    np.testing.assert_allclose(np.concatenate(answers), wanted, atol=1e-6)


def test_a_keras_predictor_says_why_it_cannot_answer_after_a_fork(tmp_path, faces):
    from fer_lib.inference.predictor import Predictor

    predictor = Predictor(tmp_path / "model.keras", ("happy", "sad"), (48, 48), 1)
    predictor._idle.append(lambda images: np.full((len(images), 2), 0.5, np.float32))
    predictor._process = -1  # as if this process had been forked from one that opened it
    with pytest.raises(RuntimeError, match="export the model .* or start processes by"):
        predictor.predict(faces)
