"""The local page in Chromium: real clicks, an upload, a phone, and nothing left."""

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("cv2", reason='needs pip install -e ".[vision]"')
pytest.importorskip("gradio", reason='needs pip install -e ".[page]"')

from support import chromium

pytestmark = [pytest.mark.slow, pytest.mark.realdata]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """The temporary folder of the page's process."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def tab(shared, temporary, tmp_path_factory):
    """A browser in which the page is open; at the end the page is told to end."""
    command = [sys.executable, "-m", "fer_lib", "page"]
    env = os.environ | {"FER_WEIGHTS": str(shared / "peers"), "TMPDIR": str(temporary)}
    served = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        address = served.stdout.readline().split()[4]
        profile = tmp_path_factory.mktemp("browser") / "profile"
        with chromium.browser(profile) as opened:
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
    tab.click(seen("button[role=tab]", f"e.innerText === '{name}'"))


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
    before = set(tab.folder.glob(f"*{suffix}"))
    tab.click(element)
    return chromium.wait(lambda: set(tab.folder.glob(f"*{suffix}")) - before, suffix).pop()


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
