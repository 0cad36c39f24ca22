"""Every guide runs as a script, on one backend."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

from tests.hub.local_hub import TOKEN, running_hub

# PyTorch, which compiles nothing, runs the others.
BACKENDS = {
    "embed_video_audio_and_text": "tensorflow",
    "pretrain_on_a_tpu_pod": "jax",
}
GUIDES = sorted((pathlib.Path(__file__).parents[1] / "guides").glob("*.py"))
OF_THIS_BACKEND = [
    guide
    for guide in GUIDES
    if BACKENDS.get(guide.stem, "torch") == keras.config.backend()
]


@pytest.mark.parametrize("guide", OF_THIS_BACKEND, ids=lambda path: path.stem)
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
