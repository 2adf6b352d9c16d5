"""Which code and which versions produced a run."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from isogain.record import provenance

HERE = Path(provenance.__file__).relative_to(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def no_hook(monkeypatch):
    """Within a git hook these variables would lead git to the repository that is committed to."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout with one commit, in which provenance.py lies where it lies in this one."""
    file = tmp_path / HERE
    file.parent.mkdir(parents=True)
    file.write_text("")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    monkeypatch.setattr(provenance, "__file__", str(file))
    return tmp_path


def test_the_versions_are_those_installed():
    found = dict(part.rsplit(" ", 1) for part in provenance.versions().split(", "))
    assert found["python"] == platform.python_version()
    assert found == {"python": found["python"]} | {p: version(p) for p in provenance.PACKAGES}
    assert {"torch", "pytorch-lightning", "isogain"} <= found.keys()


def test_the_commit_is_that_of_the_checkout(checkout):
    assert provenance.git_commit() == git(checkout, "rev-parse", "HEAD")


def test_changed_code_is_marked(checkout):
    (checkout / HERE).write_text("changed")
    assert provenance.git_commit() == git(checkout, "rev-parse", "HEAD") + "+"


def test_files_that_git_does_not_know_are_no_change(checkout):
    (checkout / "notes.txt").write_text("mine")
    assert provenance.git_commit() == git(checkout, "rev-parse", "HEAD")


def test_the_working_directory_does_not_matter(checkout, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert provenance.git_commit() == git(checkout, "rev-parse", "HEAD")


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "src" / "isogain" / "x.py"))
    (tmp_path / "src").mkdir()
    assert provenance.git_commit() is None


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout / "nowhere"))
    assert provenance.git_commit() is None


def test_the_commit_of_a_project_that_only_has_the_package_installed_is_not_ours(
    checkout, monkeypatch
):
    site = checkout / ".venv" / "lib" / "python3.11" / "site-packages" / "isogain"
    site.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(site / "provenance.py"))
    assert provenance.git_commit() is None
