"""environment: whose commit a run was made with."""

import subprocess

import pytest

from fer_lib.experiments import environment


@pytest.fixture
def repository(tmp_path):
    """A repository, and a function that runs git in it."""

    def git(*words):
        name = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        done = subprocess.run(["git", *name, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    git("init")
    (tmp_path / "analysis.py").write_text("of somebody who uses fer_lib")
    git("add", "analysis.py")
    git("commit", "-m", "first")
    return tmp_path, git


def test_an_installed_copy_does_not_tell_the_commit_of_the_project_around_it(
    repository, monkeypatch
):
    folder, git = repository
    installed = folder / "venv" / "site-packages" / "fer_lib" / "environment.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert environment._git_state() is None


def test_a_checkout_tells_its_commit_and_whether_files_differ(repository, monkeypatch):
    folder, git = repository
    module = folder / "environment.py"
    module.write_text("")
    git("add", "environment.py")
    git("commit", "-m", "second")
    monkeypatch.setattr(environment, "__file__", str(module))
    state = {"commit": git("rev-parse", "HEAD"), "changed": False}
    assert environment._git_state() == state
    module.write_text("changed")
    assert environment._git_state() == state | {"changed": True}
