"""Every guide runs as a script."""

import os
import pathlib
import subprocess
import sys

import pytest

GUIDES = sorted((pathlib.Path(__file__).parents[1] / "guides").glob("*.py"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_the_guide_runs(guide, tmp_path):
    environment = os.environ | {"NUM_CLIPS": "16", "EPOCHS": "1"}
    process = subprocess.run(
        [sys.executable, str(guide)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
