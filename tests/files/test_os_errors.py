"""What the operating system refuses is an `OSError` with a path, by any library."""

import errno

import h5py
import numpy as np
import pytest
import safetensors.numpy

from keras_vatt._files import atomic_write, check_free_space, check_space
from keras_vatt._os_errors import errno_of, os_errors_at
from tests.file_limits import file_size_limit

pytestmark = pytest.mark.once

LARGE = np.random.default_rng(0).normal(size=100_000).astype("float32")


def with_safetensors(path):
    safetensors.numpy.save_file({"a": LARGE}, path)


def with_python(path):
    path.write_bytes(LARGE.tobytes())


def with_hdf5(path):
    with h5py.File(path, "w") as file:
        file["a"] = LARGE


@pytest.mark.parametrize("write", [with_safetensors, with_python, with_hdf5])
def test_a_write_that_is_refused_names_its_file(tmp_path, write):
    path = tmp_path / "weights"
    with (
        file_size_limit(100_000),
        pytest.raises(OSError, match="File too large") as caught,
        atomic_write(path) as partial,
    ):
        write(partial)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("I/O error: No space left on device (os error 28)", errno.ENOSPC),
        ("RESOURCE_EXHAUSTED: Failed to write [os_error_code='122']", errno.EDQUOT),
        ("open file failed with strerror: Read-only file system", errno.EROFS),
        ("/x/events.out; Permission denied [Op:WriteSummary]", errno.EACCES),
        ("Resource exhausted: OOM when allocating a tensor", None),
        ("some other error (os error 9999)", None),
    ],
)
def test_the_reason_is_found_in_the_words_of_a_library(message, number):
    assert errno_of(RuntimeError(message)) == number


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    missing = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError) as caught, os_errors_at(tmp_path / "other"):
        missing.read_text()
    assert caught.value.filename == str(missing)


def test_other_errors_pass_as_they_are(tmp_path):
    error = ValueError("the shapes differ")
    with pytest.raises(ValueError, match="differ") as caught, os_errors_at(tmp_path):
        raise error
    assert caught.value is error


def test_too_little_space_is_told_before_a_library_writes(tmp_path):
    path = tmp_path / "model.pt2"
    with file_size_limit(100_000), pytest.raises(OSError, match="too large") as caught:
        check_space(path, 200_000)
    assert caught.value.filename == str(path)
    check_space(path, 200_000)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_a_checkpoint_is_begun(tmp_path):
    check_free_space(tmp_path / "new" / "checkpoints", 1)
    with pytest.raises(OSError, match="No space left") as caught:
        check_free_space(tmp_path / "new" / "checkpoints", 2**62)
    assert caught.value.filename == str(tmp_path / "new" / "checkpoints")
