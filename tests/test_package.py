"""The wheel, as a user has it: installed in an empty folder, with no checkout in sight."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *build, str(REPOSITORY)], check=True, timeout=300)
    (wheel,) = folder.glob("seqlm-*.whl")
    site = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    return site


def test_the_wheel_counts_trains_by_a_recipe_evaluates_and_samples(installed, tmp_path):
    # Ahead of the checkout on the path; the libraries are this environment's.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SEQLM_")}
    environment |= {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    (tmp_path / "text.txt").write_text("a stitch in time saves nine .\nhe saves a stitch .\n" * 40)

    def seqlm(*arguments: str) -> str:
        command = [sys.executable, "-m", "seqlm", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import seqlm; print(seqlm.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(installed))
    seqlm("count", "text.txt", "--order", "2", "--discount-fallback", "-o", "bigram")
    assert float(seqlm("eval", "-m", "bigram", "text.txt")) < 10
    run = seqlm("train", "text.txt", "--config", "ptb-lstm", "--epochs", "1", "--width", "8")
    assert float(seqlm("eval", "-m", run.strip(), "text.txt")) > 1
    assert seqlm("sample", "-m", "bigram", "--num-samples", "3").count("\n") == 3
