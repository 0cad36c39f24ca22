"""A damaged cache is built again, or the error names what to delete."""

import errno
import json
import os
import resource

import numpy as np
import pytest

from keras_vatt.data import CachedClips, ClipSource, build_cache, make_dataset
from keras_vatt.data._cache import CacheError, find_cache_error
from tests.data._corpus import SPEC, tokenize

pytestmark = pytest.mark.once


@pytest.fixture
def cache(corpus, tmp_path):
    folder = tmp_path / "cache"
    build_cache(ClipSource(corpus, SPEC, tokenize, candidates=3), folder, 1, False)
    return folder


def records(cache):
    return cache / "clips.bin"


def change_index(cache, **changes):
    path = cache / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "no JSON": lambda cache: (cache / "cache.json").write_text("{"),
    "no UTF-8": lambda cache: (cache / "cache.json").write_bytes(b"\xff\xfe"),
    "no object": lambda cache: (cache / "cache.json").write_text("[]"),
    "no version": lambda cache: (cache / "cache.json").write_text("{}"),
    "clips": lambda cache: change_index(cache, clips=[{"segment": 1}]),
    "captions": lambda cache: change_index(cache, clips=[{"captions": 3}] * 6),
    "report": lambda cache: change_index(cache, report=[]),
    "spec": lambda cache: change_index(cache, spec={"frames": 2}),
    "no records": lambda cache: records(cache).unlink(),
    "empty": lambda cache: records(cache).write_bytes(b""),
    "cut": lambda cache: records(cache).write_bytes(records(cache).read_bytes()[:-9]),
    "zeros": lambda cache: records(cache).write_bytes(bytes(100_000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_with_what_to_do(cache, damage):
    DAMAGES[damage](cache)
    with pytest.raises(CacheError, match=r"delete the folder .*cache'") as caught:
        CachedClips(cache, tokenize)
    assert "cache.json" in str(caught.value) or "clips.bin" in str(caught.value)


@pytest.mark.parametrize("damage", ["no JSON", "no object", "report", "cut", "empty"])
def test_a_damaged_cache_is_built_again(cache, corpus, damage):
    expected = CachedClips(cache, tokenize)[2]["video"].copy()
    DAMAGES[damage](cache)
    build_cache(ClipSource(corpus, SPEC, tokenize, candidates=3), cache, 1, False)
    np.testing.assert_array_equal(CachedClips(cache, tokenize)[2]["video"], expected)


def flip_in_records(cache):
    content = bytearray(records(cache).read_bytes())
    content[200] ^= 8
    records(cache).write_bytes(content)


def test_a_flipped_bit_is_found_when_its_clip_is_read(cache):
    flip_in_records(cache)
    clips = CachedClips(cache, tokenize)
    with pytest.raises(CacheError, match="clips.bin"):
        [clips[index] for index in range(len(clips))]


def test_a_file_that_is_shortened_while_it_is_open_is_found(cache):
    clips = CachedClips(cache, tokenize)
    os.truncate(records(cache), records(cache).stat().st_size // 2)
    with pytest.raises(CacheError, match="shortened after it was opened"):
        clips[len(clips) - 1]


def test_a_flipped_bit_ends_the_reading_of_batches(cache):
    flip_in_records(cache)
    dataset = make_dataset(CachedClips(cache, tokenize), 2, training=False)
    with pytest.raises(CacheError, match="clips.bin"):
        list(dataset)


def test_the_cache_is_named_in_the_error_of_another_library():
    error = CacheError("/x/clips.bin", "hash mismatch")
    assert find_cache_error(error) == str(error)
    quoted = RuntimeError(f"INVALID_ARGUMENT: CacheError: {error}\n at node PyFunc")
    assert find_cache_error(quoted) == str(error)
    assert find_cache_error(RuntimeError("something else")) is None


def test_a_full_disk_is_an_error_with_the_path_and_leaves_nothing(corpus, tmp_path):
    source = ClipSource(corpus, SPEC, tokenize, candidates=3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            build_cache(source, tmp_path / "cache", 1, False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(tmp_path / "cache" / "clips.bin")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_build_left_is_removed_by_the_next(corpus, tmp_path):
    left = tmp_path / "cache" / ".partial-abcdefgh"
    left.mkdir(parents=True)
    (left / "clips.bin").write_bytes(b"half")
    source = ClipSource(corpus, SPEC, tokenize, candidates=3)
    build_cache(source, tmp_path / "cache", 1, False)
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert names == {"cache.json", "clips.bin"}


def test_a_cache_error_is_found_in_long_messages_of_others():
    message = "x CacheError: the cache is damaged: delete it. It is built again."
    quoted = f"{'CacheError: ' * 100_000}\n{message}\nand more"
    assert find_cache_error(Exception(quoted)) == message.partition(": ")[2]
    assert find_cache_error(Exception("CacheError: " * 100_000)) is None
