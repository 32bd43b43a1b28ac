"""shortcut_checks: a planted shortcut is found and priced, and clean faces pass."""

import dataclasses

import numpy as np
import pytest

from fer_lib.audit import shortcut_checks
from fer_lib.audit.shortcut_checks import people_known, score_without_known_people, shortcut
from fer_lib.data.faces import Faces
from fer_lib.emotions import FER7


def noise(n, seed, ids=None):
    """Faces of noise: nothing tells their class."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (n, 48, 48)).astype(np.uint8)
    return Faces(images, generator.integers(0, 7, n), FER7, ids=ids)


def framed(faces, share=1.0, seed=0):
    """Give the happy faces a white frame."""
    images = faces.images.copy()
    chosen = np.random.default_rng(seed).random(len(faces)) < share
    rows = np.flatnonzero((faces.labels == 3) & chosen)
    for strip in (np.s_[:, :2], np.s_[:, -2:], np.s_[:, :, :2], np.s_[:, :, -2:]):
        part = images[rows]
        part[strip] = 255
        images[rows] = part
    return dataclasses.replace(faces, images=images)


def found(kind, train, test):
    told, gain = shortcut_checks.shortcuts(train, test, [kind])[kind]
    return shortcut(kind, told, gain, test.classes), gain


@pytest.mark.parametrize("kind", ["border", "JPEG grid"])
def test_faces_without_a_shortcut_pass(kind):
    finding, gain = found(kind, noise(700, 1), noise(400, 2))
    assert finding.status == "pass" and gain["low"] <= 0.02


def test_a_frame_of_one_class_is_found():
    finding, gain = found("border", framed(noise(700, 1)), framed(noise(400, 2)))
    # Of seven classes one is known for sure and the six others are guessed: +1/7.
    assert finding.status != "pass" and gain["value"] == pytest.approx(1 / 7, abs=0.06)


def blocky(faces):
    """Draw the faces of even classes as blocks of 8 pixels, as a strong JPEG file does."""
    images = faces.images.copy()
    small = images[:, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2)
    even = faces.labels % 2 == 0
    images[even] = (images[even] // 4 + small[even] // 2).astype(np.uint8)
    return dataclasses.replace(faces, images=images)


def test_a_grid_of_some_classes_is_found():
    finding, gain = found("JPEG grid", blocky(noise(700, 1)), blocky(noise(400, 2)))
    assert finding.status != "pass" and gain["low"] > 0.02


def from_sources(n, seed, alike=False):
    """Faces whose ids are files: of each class mostly from one site."""
    faces = noise(n, seed)
    site = np.random.default_rng(seed + 9).integers(0, 7, n) if alike else faces.labels
    ids = [
        f"test/{FER7[c]}/site{'abcdefg'[s]}/{k}.jpg"
        for k, (c, s) in enumerate(zip(faces.labels, site, strict=True))
    ]
    return dataclasses.replace(faces, ids=np.array(ids))


def test_folders_of_sources_are_found_but_those_of_classes_and_splits_are_none():
    finding, gain = found("file source", from_sources(700, 1), from_sources(400, 2))
    assert finding.status == "fail" and gain["low"] > 0.6
    finding, gain = found("file source", from_sources(700, 1, True), from_sources(400, 2, True))
    assert finding.status == "pass" and gain["low"] <= 0.02
    assert shortcut_checks.shortcuts(noise(50, 1), noise(50, 2), ["file source"]) == {}


def test_a_shortcut_is_priced_by_faces_on_which_it_tells_nothing():
    """Half of the answers follow the shortcut, half are right by themselves."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 4000)
    sign = np.where(generator.random(4000) < 0.8, labels, 1 - labels)  # right in 80 %
    told = np.where(np.arange(2) == sign[:, None], 0.8, 0.2)
    gain = {"value": 0.3, "low": 0.28, "high": 0.32}
    follows = shortcut("border", told, gain, labels, np.eye(2)[sign])
    assert follows.figures["accuracy"] == pytest.approx(0.8, abs=0.02)
    assert follows.figures["accuracy without it"] == pytest.approx(0.5, abs=0.02)
    honest = np.where(generator.random(4000) < 0.7, labels, 1 - labels)
    stands = shortcut("border", told, gain, labels, np.eye(2)[honest])
    assert stands.figures["accuracy without it"] == pytest.approx(0.7, abs=0.03)
    assert follows.status == "fail"


def test_a_score_without_known_people_stands_beside_the_one_with_them():
    generator = np.random.default_rng(0)
    labels, groups = generator.integers(0, 7, 2000), np.arange(2000) // 10
    known = groups < 100
    right = generator.random(2000) < np.where(known, 0.9, 0.5)
    answers = np.eye(7)[np.where(right, labels, (labels + 1) % 7)]
    finding = score_without_known_people(labels, answers, known, groups)
    assert finding.status == "fail" and finding.figures["faces"] == 1000
    assert finding.figures["accuracy without them"] == pytest.approx(0.5, abs=0.05)
    assert finding.figures["gain low"] > 0.1
    none = np.zeros(2000, bool)
    assert score_without_known_people(labels, answers, none, groups).status == "pass"
    assert score_without_known_people(labels, answers, ~none, groups).status == "fail"


def test_it_is_said_where_nobody_knows_who_is_on_the_pictures():
    faces = noise(20, 1)
    known = dataclasses.replace(faces, groups=np.arange(20))
    assert people_known({"train": known, "test": known}).status == "pass"
    finding = people_known({"train": known, "test": faces})
    assert finding.status == "warn" and finding.figures == {"unknown in": ["test"]}
