"""What an installation from a wheel gets."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("constitution", "engine", "training", "scripts")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    built = subprocess.run(
        [*command, "--directory", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_every_file_of_the_packages(wheel_names):
    """Code, constitutions, schema, templates, and what the report page is made of; no benchmarks."""
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and not {"__pycache__", "bench"} & set(path.parts)
    }
    assert files - wheel_names == set()


def test_benchmarks_stay_out_of_the_wheel_and_nothing_needs_them(wheel_names):
    assert (ROOT / "scripts" / "bench").is_dir()
    assert not [name for name in wheel_names if name.startswith("scripts/bench")]
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        if "bench" not in path.parts and "scripts.bench" in path.read_text(encoding="utf-8")
    }
    assert importing == set()


def test_the_wheel_holds_nothing_else(wheel_names):
    folders = {name.split("/")[0] for name in wheel_names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == set(PACKAGES)
