"""The page without a server: it finds, cuts and names faces in a browser as the library does."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')

from fer_lib.__main__ import main
from fer_lib.inference.predictor import load_predictor
from fer_lib.vision import detection, pictures, web_page
from support import chromium
from support.web_server import files_served

SCRIPTS = Path(web_page.__file__).with_name("web")
STATUS = "document.getElementById('status').textContent"


def by_id(name):
    return f"document.getElementById('{name}')"


def in_node(code, folder, image):
    """What a script gives, which gets faces.js as `f` and a picture as `p`."""
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")
    height, width = image.shape[:2]
    alpha = np.full((height, width, 1), 255, np.uint8)
    (folder / "picture").write_bytes(np.concatenate([image, alpha], axis=2).tobytes())
    shutil.copy(SCRIPTS / "faces.js", folder / "faces.mjs")
    (folder / "run.mjs").write_text(
        "import * as f from './faces.mjs';\nimport fs from 'fs';\n"
        f"const p = {{width: {width}, height: {height}, "
        "data: new Uint8ClampedArray(fs.readFileSync('picture'))};\n"
        f"console.log(JSON.stringify({code}));\n"
    )
    command = ["node", "run.mjs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def scene(rng):
    """A picture with edges and slopes in all directions."""
    coarse = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    return cv2.resize(coarse, (620, 460), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("side", [640, 500, 310, 77])
def test_a_picture_is_reduced_as_by_opencv(tmp_path, scene, side):
    expected = detection._reduced(scene, side)
    code = f"[f.reduce(p, {side})].map(small => ({{...small, data: [...small.data]}}))[0]"
    small = in_node(code, tmp_path, scene)
    found = np.array(small["data"]).reshape(small["height"], small["width"], 4)[..., :3]
    assert found.shape == expected.shape
    assert abs(found - expected.astype(int)).max() <= 1


def test_faces_are_cut_out_as_by_the_library(tmp_path, scene):
    """Upright and turned, small and large, at the edge and past it, and a profile."""
    boxes = [
        (100.3, 80.7, 60.2, 71.9, 0.0),
        (200, 150, 140, 170, 0.3),
        (-20.5, -30.2, 90, 110, -0.2),
        (540, 380, 120, 130, 0.5),
        (20, 10, 410, 440, 0.1),
        (300, 200, 17, 20, 0.0),
        (300, 100, 80, 90, None),
    ]
    faces = []
    for x, y, width, height, turn in boxes:
        reach, turn = (0.02, 1.0) if turn is None else (0.2, turn)
        across, down = width * reach * math.cos(turn), width * reach * math.sin(turn)
        middle = x + width / 2, y + height / 2
        eyes = ((middle[0] - across, middle[1] - down), (middle[0] + across, middle[1] + down))
        faces.append(detection.Detection(x, y, width, height, 0.9, eyes))
    expected = detection.crop_faces(scene, faces, 48)
    given = json.dumps([face._asdict() for face in faces])
    found = np.array(in_node(f"{given}.map(face => [...f.cutFace(p, face, 48)])", tmp_path, scene))
    difference = abs(found.reshape(expected.shape) - expected.astype(int))
    assert difference.max() <= 1 and difference.mean() < 0.2


def test_without_yunet_the_command_says_where_to_put_it(tmp_path, capsys):
    assert main(["export", "default", "--to", str(tmp_path / "web"), "--formats", "web"]) == 1
    assert "Put the file with sha256" in capsys.readouterr().err
    assert not (tmp_path / "web").exists()


def test_the_page_is_exported_alone(tmp_path, capsys):
    assert main(["export", "default", "--to", str(tmp_path), "--formats", "web", "keras"]) == 1
    assert "give --formats web alone" in capsys.readouterr().err


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    """The page of the default model, with the runtime that npm fetches."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    made = tmp_path_factory.mktemp("page") / "web"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_WEIGHTS", str(shared / "peers"))
        assert main(["export", "default", "--to", str(made), "--formats", "web"]) == 0
    fetched = subprocess.run(
        ["npm", "run", "--prefix", made, "runtime"], capture_output=True, text=True
    )
    if fetched.returncode:
        pytest.skip(f"npm cannot fetch the runtime: {fetched.stderr[-200:]}")
    return made


@pytest.fixture(scope="module")
def tab(folder, shared, tmp_path_factory):
    """A browser in which the page was loaded once, and again when its server was gone."""
    image = pictures.read_photo(shared / "media" / "astronaut.png")[:384, :512]
    camera = chromium.camera(tmp_path_factory.mktemp("camera") / "face.y4m", image)
    where = tmp_path_factory.mktemp("browser") / "profile"
    with chromium.browser(where, camera) as opened:
        with files_served(folder) as address:
            opened.open(address)
            opened.until(f"{STATUS} === 'Ready.'")
            opened.run("navigator.serviceWorker.ready.then(() => null)")
        opened.open("about:blank")
        opened.open(address)
        opened.until(f"{STATUS} === 'Ready.'")
        opened.run("import('./page.js').then(page => { window.page = page; })")
        opened.run("import('./faces.js').then(faces => { window.faces = faces; })")
        yield opened
        assert not opened.told


def look(tab, photo):
    """Choose a photo on the page and wait for the answer."""
    tab.click(by_id("photo-tab"))
    tab.upload(by_id("file"), photo)
    return tab.until(f"/ ms[.]$/.test({STATUS}) && {STATUS}")


def saved_table(tab):
    """The rows of the table that a click on the button downloads, as dicts."""
    import pandas as pd

    file = tab.folder / "faces.csv"
    file.unlink(missing_ok=True)
    tab.click(by_id("save"))
    chromium.wait(file.exists, "faces.csv")
    return pd.read_csv(file)


@pytest.mark.slow
@pytest.mark.realdata
class TestInTheBrowser:
    """One browser for all: what the page answers without a network."""

    def test_the_folder_has_15_megabytes_at_most(self, folder):
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 15_000_000

    def test_answers_are_those_of_the_predictor(self, tab, real_data):
        import pandas as pd

        rows = pd.read_csv(real_data / "fer2013" / "fer2013.csv", nrows=200)["pixels"]
        images = np.stack([np.array(row.split(), np.uint8).reshape(48, 48) for row in rows])
        crops = json.dumps(images.reshape(200, -1).tolist())
        answers = tab.run(
            f"page.tools().then(t => faces.classify(t.ort, t.network, {crops}, t.size))"
        )
        expected = load_predictor("default").predict(images)
        assert abs(np.array(answers) - expected).max() < 1e-3

    # Chromium makes other colours of a JPEG file than Pillow does: it enlarges them otherwise.
    @pytest.mark.parametrize(
        ("name", "off"), [("two_men_and_two_bystanders.jpg", 0.05), ("grace_hopper.png", 0.002)]
    )
    def test_a_photo_has_the_faces_of_the_library(self, tab, shared, monkeypatch, name, off):
        monkeypatch.setenv("FER_WEIGHTS", str(shared / "peers"))
        image = pictures.read_photo(shared / "media" / name)
        found = detection.detect(image)
        answers = load_predictor("default").predict(detection.crop_faces(image, found))
        assert look(tab, shared / "media" / name).startswith(f"{len(found)} face")
        table = saved_table(tab)
        boxes = np.array([face[:4] for face in found])
        assert abs(table[["x", "y", "width", "height"]].to_numpy() - boxes).max() <= 1
        assert list(table)[8:] == list(load_predictor("default").label_set)
        assert abs(table.iloc[:, 8:].to_numpy() - answers).max() < off

    def test_a_file_that_is_no_picture_is_refused(self, tab, tmp_path):
        (tmp_path / "text.jpg").write_text("no photo")
        tab.click(by_id("photo-tab"))
        tab.upload(by_id("file"), tmp_path / "text.jpg")
        assert tab.until(f"/cannot be read/.test({STATUS}) && {STATUS}").startswith("text.jpg")

    def test_the_camera_is_followed_until_it_is_stopped(self, tab):
        tab.click(by_id("camera-tab"))
        tab.click(by_id("start"))
        assert tab.until(f"/^1 face, /.test({STATUS})")
        tab.click(by_id("stop"))
        chromium.wait(lambda: not tab.run(f"{by_id('start')}.disabled"), "the end of the camera")
        told = tab.run(STATUS)
        assert tab.run("new Promise(done => setTimeout(done, 500))") is None
        assert tab.run(STATUS) == told

    def test_on_a_phone_nothing_is_off_screen(self, tab, shared):
        tab.view(390, 844, phone=True)
        look(tab, shared / "media" / "two_men_and_two_bystanders.jpg")
        assert tab.off_screen() == []
        assert tab.run("document.documentElement.scrollWidth <= innerWidth")

    def test_the_policy_lets_nothing_out(self, tab):
        refused = tab.run(
            "fetch('http://127.0.0.1:9/', {method: 'POST'}).then(() => 'sent', () => 'no')"
        )
        assert refused == "no"
        assert "Content Security Policy" in str(tab.told.pop())
        tab.told.clear()
