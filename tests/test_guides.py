"""Every guide runs as a script."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.hub.local_hub import TOKEN, running_hub

GUIDES = sorted((pathlib.Path(__file__).parents[1] / "guides").glob("*.py"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_the_guide_runs(guide, tmp_path):
    with running_hub() as hub:
        environment = os.environ | {
            "NUM_CLIPS": "16",
            "EPOCHS": "1",
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hub-cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": TOKEN,
            "REPOSITORY": "tester/vatt",
        }
        process = subprocess.run(
            [sys.executable, str(guide)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert process.returncode == 0, process.stderr[-3000:]
    assert ("tester/vatt" in hub.repositories) == ("publish" in guide.stem)
