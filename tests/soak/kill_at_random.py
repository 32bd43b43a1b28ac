"""Soak test: kill -9 at random moments of a run's life, and see what is left.

    python tests/soak/kill_at_random.py --writes 60 --downloads 20 --trainings 25 --sweeps 20

After each kill everything a reader would take for whole is read; at the end, started again, the
work must come out as if nobody had interrupted it. Not part of the test suite: it takes minutes.
"""

import argparse
import hashlib
import http.server
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from fer_lib import storage
from fer_lib.data.readers import cache
from fer_lib.sweeps import local
from fer_lib.sweeps.grid import make_grid
from fer_lib.sweeps.points import points_file, state, sweep_folder, write_points
from fer_lib.vision import yunet

TEMPORARY = "????????."  # what storage.replacing puts before a name, after a dot


def whole_files(folder):
    """Read every file that carries its final name; raise if one is truncated."""
    for path in Path(folder).glob("**/*"):
        if path.is_file() and not path.match(f".{TEMPORARY}*"):
            if path.suffix in (".json", ".ipynb"):
                storage.read_json(path)
            elif path.suffix == ".npz":
                with np.load(path) as arrays:
                    _ = [arrays[name].shape for name in arrays]
            elif path.suffix == ".keras":
                bad = zipfile.ZipFile(path).testzip()
                if bad:
                    raise ValueError(f"{path}: {bad} is damaged")


def kill_after(work, longest):
    """Run `work` in a forked process and kill it at a random moment; return whether it ended."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print("in the killed process:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    end = time.monotonic() + random.uniform(0, longest)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError("the process failed without being killed")
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def soak_writing(folder, kills):
    """Kill while scores are replaced and a parsed data set is cached."""
    from fer_lib.data.synthetic import make_faces

    os.environ["FER_HOME"] = str(folder / "home")
    faces, source = make_faces(700), folder / "source.csv"
    source.write_text("x")
    value = {"values": list(range(200_000))}
    storage.write_json(folder / "scores.json", value)

    def work():
        while True:
            storage.write_json(folder / "scores.json", value)
            shutil.rmtree(folder / "home", ignore_errors=True)
            cache.cached(source, lambda path: faces, version="1")

    for _ in range(kills):
        kill_after(work, 0.5)
        if storage.read_json(folder / "scores.json") != value:
            raise ValueError("scores.json lost what it held")
        again = cache.cached(source, lambda path: faces, version="1")
        if again.content_hash != faces.content_hash:
            raise ValueError("the cache served other faces")
    return kills


def soak_downloading(folder, kills):
    """Kill while a slow server sends a file of weights; what has its name must be whole."""
    content = random.randbytes(200_000)

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                for start in range(0, len(content), 10_000):
                    self.wfile.write(content[start : start + 10_000])
                    time.sleep(0.01)
            except OSError:
                pass  # the reader was killed

        def log_message(self, *_):
            pass

    path, killed = folder / "weights" / "file.onnx", 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/file.onnx"
        weights = yunet.Weights(path.name, (url,), hashlib.sha256(content).hexdigest())
        while killed < kills:
            path.unlink(missing_ok=True)
            killed += not kill_after(lambda: yunet.fetch(weights, path.parent), 0.4)
            if path.exists() and path.read_bytes() != content:
                raise ValueError(f"{path} was taken for whole")
        if yunet.fetch(weights, path.parent).read_bytes() != content:
            raise ValueError("the download after the kills is not the file")
        server.shutdown()
    return killed


def soak_training(folder, kills):
    """Kill one training again and again; it must end as one that was left alone."""
    code = Path(__file__).with_name("tiny_run.py")

    def start(results):
        return subprocess.Popen([sys.executable, code, results], start_new_session=True)

    begun = time.monotonic()
    if start(folder / "alone").wait():
        raise RuntimeError("the training that was left alone failed")
    longest, killed = time.monotonic() - begun, 0
    while killed < kills:
        results, finished = folder / f"killed{killed}", False
        while not finished:
            process, begun = start(results), time.monotonic()
            try:
                # Never before it has loaded Keras: such kills test nothing.
                status = process.wait(random.uniform(0.4, 1) * longest)
                if status:
                    raise RuntimeError(f"a training started again failed in {results}")
                finished, longest = True, time.monotonic() - begun  # the machine's load changes
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                longest *= 1.1  # else one that must train every epoch anew may never end
            whole_files(results)
        compare(folder / "alone", results)
        shutil.rmtree(results)
    return killed


def compare(expected, found):
    """Raise unless both folders hold the same scores and histories (but for the time taken)."""
    import pandas as pd

    for path in Path(expected).glob("*/scores.json"):
        other = Path(found) / path.parent.name
        if storage.read_json(path) != storage.read_json(other / "scores.json"):
            raise ValueError(f"{other} has other scores than {path}")
        tables = [pd.read_csv(run / "history.csv") for run in (path.parent, other)]
        clocks = ["seconds", "compile_seconds"]
        if not tables[0].drop(columns=clocks).equals(tables[1].drop(columns=clocks)):
            raise ValueError(f"{other} has another history")


def soak_sweeping(folder, kills):
    """Kill a sweep with or without its points, start it again; no point may run twice at once."""
    from support.stub_notebook import write_stub

    stub = write_stub(folder / "stub.ipynb")
    killed = 0
    while killed < kills:
        results = folder / f"sweep{killed}"
        fixed = {"dataset": "synthetic", "weights": None, "results_dir": str(results)}
        grid = make_grid(fixed | {"dropout": [0.1, 0.2]}, seeds=3)
        write_points(points_file(grid), grid.points, notices=[])
        storage.write_json(results / "behaviour.json", {"seconds": 1})
        finished = False
        while not finished:
            child = os.fork()
            if not child:
                os.setsid()
                local.run(grid, workers=3, cores=1, gpus=[], notebook=stub)
                os._exit(0)
            time.sleep(random.uniform(1, 12))
            points = running_points(results)
            # The sweep alone, so that its points go on; or one point; or all.
            for pid in random.choice([[child], points[:1], [child, *points]]):
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            os.waitpid(child, 0)
            whole_files(results)
            states = [state(p) for p in grid.points]
            finished = set(states) == {"finished"}
        written = [p.name for p in results.glob("*/scores.json")]
        if len(written) != len(grid.points) or list(results.glob("sweep/*.lock.*")):
            raise ValueError(f"{results} holds other than six finished points")
        shutil.rmtree(results)
    return killed


def running_points(results):
    """Return the ids of the processes that run points of a sweep."""
    from support.stub_notebook import child_processes

    return child_processes(str(sweep_folder(results)))


def main():
    """Run the soak test and print how often it killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=60)
    parser.add_argument("--downloads", type=int, default=20)
    parser.add_argument("--trainings", type=int, default=25)
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options, total = parser.parse_args(), 0
    random.seed(options.seed)
    parts = (
        ("writing", soak_writing, options.writes),
        ("downloading", soak_downloading, options.downloads),
        ("sweeping", soak_sweeping, options.sweeps),
        ("training", soak_training, options.trainings),
    )
    for name, part, kills in parts:
        if kills:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                killed = part(Path(folder), kills)
            print(f"{name}: {killed} kills, nothing lost", flush=True)
            total += killed
    print(f"{total} kills in all")


if __name__ == "__main__":
    main()
