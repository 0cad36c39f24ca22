"""Color profiles of images don't crash the process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

_PROGRAM = """
import gc, io
import numpy as np
import PIL.Image, PIL.ImageCms
from keras_vatt.data.decoding._images import raw_images

profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
file = io.BytesIO()
image = PIL.Image.new("RGB", (64, 48), (255, 0, 0))
image.save(file, "PNG", icc_profile=profile)
gc.freeze()  # The modules need not be searched 60 times.
for _ in range(60):
    pixels = raw_images(file.getvalue(), 32)
    gc.collect()
print(pixels.reshape(-1, 3).mean(axis=0).round())
"""


def test_a_png_with_a_named_color_profile_is_decoded():
    # In a process of its own, which a second freeing of the name would end.
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert "[255.   0.   0.]" in run.stdout
