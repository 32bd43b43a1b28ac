"""reforms: all 32 items of the checklist, and what a run tells of each."""

import re
from collections import Counter

import pytest

from fer_lib.audit import reforms, report
from fer_lib.audit.finding import Finding
from fer_lib.experiments import runs
from support.places import ROOT


@pytest.fixture(scope="module")
def published():
    return runs.load_run(next((ROOT / "figures" / "runs").glob("*599d1f6d")))


def test_the_checklist_has_32_items_in_eight_modules_numbered_as_in_the_paper():
    sizes = Counter(item[0] for item in reforms.ITEMS)
    assert list(sizes) == list(reforms.MODULES)
    assert list(sizes.values()) == [3, 5, 7, 3, 6, 3, 3, 2] and len(reforms.ITEMS) == 32
    for number, count in sizes.items():
        letters = [item[1] for item in reforms.ITEMS if item[0] == number]
        assert "".join(letters) == "abcdefg"[:count]
    assert all(question.endswith("?") for _, question in reforms.ITEMS.values())


def sections(text):
    """`{item: its lines}` of a checklist."""
    parts = re.split(r"^\*\*(\d[a-g])\. .*\*\*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_a_run_fills_in_what_it_knows_and_asks_the_rest(published):
    finding = Finding("near-duplicates", "warn", {}, "526 faces have a copy.", "L1.4")
    found = sections(reforms.checklist(published, [finding]))
    assert list(found) == list(reforms.ITEMS)
    asked = {item for item, part in found.items() if reforms.TO_ANSWER in part}
    assert set(reforms.ITEMS) - asked == {"2c", "3e", "7b"}
    assert "n = " not in found["1a"] and found["1a"].count("- ") == 1
    assert "3,589 faces, SHA-256 86f55b41fd2c43cb" in found["2a"]
    assert "c0fea6c37dba2a9f"[:12] not in found["2a"] and "c0fea6c37dba2a9a" in found["2b"]
    assert "tensorflow 2.21.0" in found["2b"] and "papermill notebooks/" in found["2e"]
    assert "disgust 56" in found["3e"] and "526 faces have a copy." in found["6b"]
    assert "0.685" in found["7a"] and "95% percentile bootstrap" in found["7b"]


def test_the_command_writes_it_with_the_audit_s_findings(published, tmp_path, monkeypatch):
    told = [Finding("seeds", "warn", {}, "One seed only.")]
    monkeypatch.setattr(report, "audit_run", lambda run: told)
    path = tmp_path / "reforms.md"
    assert reforms.of_folder(published.folder, path) == told
    assert "One seed only." in sections(path.read_text())["7b"]


def test_without_an_audit_there_are_fewer_answers(published):
    text = reforms.checklist(published)
    assert "no judgement" in text and "near-dup" not in text
