"""The local page in Chromium: real clicks, uploads, a camera, a phone, and nothing left."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')
pytest.importorskip("gradio", reason='needs pip install -e ".[page]"')

from fer_lib.vision import pictures, synthetic_clip
from support import chromium

pytestmark = [pytest.mark.slow, pytest.mark.realdata]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """The temporary folder of the page's process."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def tab(shared, temporary, tmp_path_factory):
    """A browser in which the page is open; at the end the page is told to end."""
    image = pictures.read_photo(shared / "media" / "astronaut.png")[:384, :512]
    shown = image, np.roll(image, 8, axis=1)  # the same answer again would be the same file
    camera = chromium.camera(tmp_path_factory.mktemp("camera") / "face.y4m", *shown)
    command = [sys.executable, "-m", "fer_lib", "page"]
    env = os.environ | {"FER_WEIGHTS": str(shared / "peers"), "TMPDIR": str(temporary)}
    served = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        address = served.stdout.readline().split()[4]
        profile = tmp_path_factory.mktemp("browser") / "profile"
        with chromium.browser(profile, camera) as opened:
            opened.view(1280, 900)
            opened.open(address)
            opened.until("document.querySelectorAll('button[role=tab]').length === 3")
            yield opened
            served.send_signal(signal.SIGTERM)
            assert served.wait(30) == 0
            assert not [path for path in temporary.rglob("*") if path.suffix]
    finally:
        served.kill()
        served.wait()
        served.stdout.close()


def seen(selector, condition="true"):
    """An expression for the first element that is to be seen of those that fit."""
    found = f"[...document.querySelectorAll(`{selector}`)]"
    return f"{found}.find(e => e.checkVisibility() && {condition})"


def choose(tab, name):
    """Click on a tab of the page."""
    button = seen("button[role=tab]", f"e.innerText === '{name}'")
    tab.click(button)
    tab.until(f"{button}.ariaSelected === 'true'")


def upload(tab, path):
    """Choose a file in the tab in sight; file inputs themselves are hidden."""
    chosen = "e.closest('[role=tabpanel]')?.checkVisibility()"
    tab.upload(f"[...document.querySelectorAll('input[type=file]')].find(e => {chosen})", path)


def first_answer(tab):
    """The first answer of the table in sight; no other cell of it stands further left."""
    return tab.until(
        """(() => {
            const cells = [...document.querySelectorAll("[role=tabpanel] td, [role=gridcell]")]
                .filter(e => e.checkVisibility() && e.innerText.trim());
            const one = cells.find(e => /^(angry|disgust|fear|happy|sad|surprise|neutral)/
                .test(e.innerText.trim()));
            const left = e => e.getBoundingClientRect().left;
            const own = cells.filter(e => e.closest("table") === one?.closest("table"));
            return one && own.every(e => left(e) >= left(one)) && one.innerText.trim();
        })()""",
        120,
    )


def downloaded(tab, suffix, element):
    """Click on what downloads a file, and return its path."""
    for before in tab.folder.glob(f"*{suffix}"):
        before.unlink()  # a file of the same name takes its place
    tab.click(element)
    return chromium.wait(lambda: list(tab.folder.glob(f"*{suffix}")), suffix).pop()


def test_a_photo_is_answered_first_of_all_and_its_table_is_kept(tab, shared, temporary):
    import pandas as pd

    upload(tab, shared / "media" / "two_men_and_two_bystanders.jpg")
    assert "%" in first_answer(tab)
    tab.picture(tab.folder / "photo.png")
    button = seen("button, a", "e.innerText.trim() === 'Download the table'")
    table = pd.read_csv(downloaded(tab, ".csv", button))
    assert len(table) == 4 and set(table["source"]) == {"two_men_and_two_bystanders.jpg"}
    assert list(temporary.rglob("two_men*.jpg"))  # which the end of `tab` removes


def test_on_a_phone_nothing_is_off_screen(tab):
    tab.view(390, 844, phone=True)
    for name in ("Photo", "Camera", "Video"):
        choose(tab, name)
        tab.run("new Promise(done => setTimeout(done, 300))")
        tab.picture(tab.folder / f"phone_{name}.png")
        assert tab.off_screen() == [], name
        assert tab.run("document.documentElement.scrollWidth <= innerWidth"), name
    tab.view(1280, 900)


def test_the_camera_is_answered_until_it_is_stopped(tab):
    choose(tab, "Camera")
    access = seen("[role=tabpanel] button", "/webcam/i.test(e.innerText)")
    tab.until(f"{access} !== undefined")
    tab.click(access)
    record = seen("button.capture-button")
    tab.until(f"{record} !== undefined")
    tab.click(record)
    answer = seen("[role=tabpanel] img", "e.naturalWidth >= 512")
    first = tab.until(f"{answer}?.src")
    assert tab.until(f"{answer}?.src !== `{first}` && {answer}?.src")
    tab.picture(tab.folder / "camera.png")
    tab.click(record)
    tab.run("new Promise(done => setTimeout(done, 1000))")
    last = tab.run(f"{answer}.src")
    tab.run("new Promise(done => setTimeout(done, 1000))")
    assert tab.run(f"{answer}.src") == last
    assert "image" not in tab.run("JSON.stringify({...localStorage, ...sessionStorage})")


def test_a_video_gives_a_timeline_episodes_and_files_to_keep(tab, tmp_path):
    import av
    import pandas as pd

    clip = synthetic_clip.write_clip(tmp_path / "clip.mp4", 3, rate=10)
    choose(tab, "Video")
    upload(tab, clip)
    first_answer(tab)
    tab.until(f"{seen('video')}?.readyState >= 2")
    assert tab.run(f"{seen('[data-testid=matplotlib] img')}?.naturalWidth > 0")
    tab.picture(tab.folder / "video.png")
    marked = downloaded(tab, ".mp4", seen("a[download='marked.mp4']"))
    with av.open(str(marked)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 30
    button = seen("button, a", "e.innerText.trim() === 'Download the table'")
    table = pd.read_csv(downloaded(tab, ".csv", button))
    assert table["frame"].nunique() == 30 and set(table["source"]) == {"clip.mp4"}
