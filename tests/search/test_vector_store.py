"""The store of an index: exact, deterministic, atomic and bounded in memory."""

import collections
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from keras_vatt.search import MediaIndexError, read_report
from keras_vatt.search import _approximate as approximate_module
from keras_vatt.search import _nearest as nearest_module
from keras_vatt.search import _vector_blocks as blocks_module
from keras_vatt.search._locations import local_folder, open_store
from tests.search.stores import (
    DIM,
    make_index,
    open_index,
    some_windows,
    unit,
    vectors_of,
)
from tests.search.tables import content, read_rows

pytestmark = pytest.mark.once

COUNT = 400


def by_formula(windows, vectors, query):
    """The windows with video, by the cosine in float64 and then by path and time."""
    vectors = unit(np.asarray(vectors, np.float64))
    scores = (vectors @ unit(np.asarray(query, np.float64))).round(6)
    rows = [
        (-score, window.file.path, window.start)
        for window, score in zip(windows, scores, strict=True)
        if window.start > 0
    ]
    return [(path, start, -score) for score, path, start in sorted(rows)]


def found(index, query, top_k, **options):
    results = index.search_vector(query, "video_to_text", top_k, **options)
    return [(r.path, r.start, r.score) for r in results]


def check(results, expected):
    assert [r[:2] for r in results] == [r[:2] for r in expected]
    scores = [r[2] for r in results]
    np.testing.assert_allclose(scores, [r[2] for r in expected], atol=1e-6)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "index"
    make_index(folder, some_windows(COUNT), batch=150)
    return folder


@pytest.mark.parametrize("top_k", [1, 10, COUNT])
def test_an_exact_search_equals_the_formula(stored, top_k):
    windows = some_windows(COUNT)
    for seed in range(5):
        query = np.random.default_rng(seed).normal(size=DIM)
        expected = by_formula(windows, vectors_of(windows), query)
        check(found(open_index(stored), query, top_k), expected[:top_k])


@pytest.mark.parametrize("top_k", [1, 5, 100])
def test_equal_windows_are_in_the_order_of_the_index(tmp_path, top_k):
    """More windows are equal than LanceDB is asked for at first."""
    windows = some_windows(COUNT)
    vectors = np.repeat(vectors_of(windows[:2]), COUNT // 2, axis=0)
    order = np.random.default_rng(0).permutation(COUNT)
    make_index(tmp_path / "a", windows, vectors)
    # The same windows, in other rows of the table.
    first = [windows[place] for place in sorted(order[: COUNT // 2])]
    make_index(tmp_path / "b", first, vectors[sorted(order[: COUNT // 2])])
    make_index(tmp_path / "b", windows, vectors)
    query = vectors[0]
    results = found(open_index(tmp_path / "a"), query, top_k)
    assert results == found(open_index(tmp_path / "b"), query, top_k)
    check(results, by_formula(windows, vectors, query)[:top_k])


@pytest.fixture
def sizes_read(monkeypatch):
    """Numbers of the vectors that are read together, in blocks of 64 rows."""
    sizes, read = [], blocks_module.checked_vectors

    def counted(column, name):
        sizes.append(len(column))
        return read(column, name)

    monkeypatch.setattr(blocks_module, "BLOCK_ROWS", 64)
    monkeypatch.setattr(blocks_module, "checked_vectors", counted)
    return sizes


@pytest.mark.parametrize(
    ("memory", "reads"), [(2**40, 1), (8 * 4 * DIM * COUNT - 1, 3)]
)
def test_vectors_are_kept_in_memory_if_they_fit(
    stored, monkeypatch, sizes_read, memory, reads
):
    monkeypatch.setattr(nearest_module, "physical_memory", lambda: memory)
    windows, index = some_windows(COUNT), open_index(stored)
    for seed, top_k in enumerate([3, 30, COUNT]):
        query = np.random.default_rng(seed).normal(size=DIM)
        expected = by_formula(windows, vectors_of(windows), query)
        check(found(index, query, top_k), expected[:top_k])
    assert 32 < max(sizes_read) <= 64
    assert sum(sizes_read) == reads * index.count("video")


def test_a_block_may_have_no_vector_at_all():
    empty = pa.array([], pa.list_(pa.float32(), DIM))
    assert blocks_module.checked_vectors(empty, "video_to_text").shape == (0, DIM)


@pytest.mark.parametrize("ascending", [False, True])
def test_the_best_rows_may_lie_in_any_block(tmp_path, sizes_read, ascending):
    windows, vectors = some_windows(COUNT), np.zeros((COUNT, DIM), np.float32)
    angles = np.linspace(0, 3, COUNT)[:: -1 if ascending else 1]
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    make_index(tmp_path, windows, vectors)
    expected = by_formula(windows, vectors, vectors[0])
    check(found(open_index(tmp_path), vectors[0], 70), expected[:70])


def test_several_queries_at_once_find_what_each_finds_alone(stored):
    queries = unit(np.random.default_rng(0).normal(size=(5, DIM)))
    search = nearest_module.ExactSearch(open_store(stored).table, "video_to_text")
    for query, several in zip(queries, search.nearest(queries, 10), strict=True):
        alone = search.nearest(query[np.newaxis], 10)[0]
        np.testing.assert_array_equal(alone, several)


def test_a_store_finds_what_it_has_written_since_the_last_search(tmp_path):
    windows = some_windows(8)
    make_index(tmp_path, windows[:6])
    store, new = open_store(tmp_path), windows[7]
    query = vectors_of([new])[0].astype(np.float64)
    assert store.nearest("video_to_text", query, 1)[1].max() < 1
    make_index(tmp_path / "other", windows[6:])
    store.append(read_rows(tmp_path / "other"))
    row_ids, scores = store.nearest("video_to_text", query, 1)
    assert scores.max() == 1
    store.delete(row_ids[scores == 1])
    assert store.nearest("video_to_text", query, 1)[1].max() < 1


@pytest.mark.parametrize("probes", [None, 1])
def test_a_query_of_another_width_is_refused(stored, probes):
    message = f"of width {DIM}, the query has {DIM + 1}"
    with pytest.raises(MediaIndexError, match=message):
        open_store(stored).nearest("video_to_text", np.ones(DIM + 1), 3, probes)


def test_embeddings_that_the_index_has_not_are_not_found(stored):
    assert open_index(stored).search_vector(np.ones(DIM), "both") == []
    for names in ("smell", ("video_to_text", "video_to_audio"), ()):
        with pytest.raises(MediaIndexError, match="name of an embedding"):
            open_index(stored).search_vector(np.ones(DIM), names)


def check_stored(folder):
    """Each window that is stored is whole, and none is stored twice."""
    index, rows = open_index(folder), read_rows(folder)
    assert len(index) == len(set(zip(*rows.select(["path", "start"]), strict=True)))
    for number, vector in enumerate(rows["video_to_text"].to_pylist()):
        window = index.window(number)
        assert (vector is None) == (window.start == 0)
        if vector is not None:
            np.testing.assert_array_equal(vector, vectors_of([window])[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of Unix")
def test_a_run_that_is_killed_is_resumed(tmp_path):
    kills, unfinished, folder = 8, 0, tmp_path / "index"
    script = [sys.executable, "-m", "tests.search.killed_runs", str(folder), str(kills)]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as runs:
        for _ in range(kills):
            # None has failed, so each could read what the one before it has left.
            assert runs.stdout.readline().strip() == str(int(signal.SIGKILL))
            if open_store(folder).exists():
                check_stored(folder)
                unfinished += not open_index(folder).complete
            print(file=runs.stdin, flush=True)
    assert unfinished > 0
    windows = some_windows(40, first=35)
    make_index(folder, windows)
    make_index(tmp_path / "fresh", windows)
    assert content(folder) == content(tmp_path / "fresh")


def test_windows_that_two_runs_have_added_are_stored_once(tmp_path):
    windows = some_windows(8)
    make_index(tmp_path, windows)
    rows = read_rows(tmp_path)
    open_store(tmp_path).append(rows)
    assert len(open_index(tmp_path)) == 16
    make_index(tmp_path, windows)
    assert read_rows(tmp_path) == rows


def test_a_run_without_changes_writes_nothing(stored):
    files = {path: path.stat().st_mtime_ns for path in stored.rglob("*")}
    report = read_report(stored)
    assert make_index(stored, some_windows(COUNT)) == report
    assert {path: path.stat().st_mtime_ns for path in stored.rglob("*")} == files


def test_earlier_versions_of_the_tables_are_removed(tmp_path):
    for count in (100, 200, 300):
        make_index(tmp_path, some_windows(count), batch=20)
    kinds = collections.Counter(path.suffix for path in tmp_path.rglob("*.*"))
    assert kinds[".lance"] <= 2 + 3
    assert kinds[".manifest"] <= 4


@pytest.fixture
def small_tables(monkeypatch):
    """Approximate indexes of tables that are large enough for them in a test."""
    monkeypatch.setattr(approximate_module, "FEWEST_ROWS", 200)
    monkeypatch.setattr(approximate_module, "_QUERIES", 20)


def test_an_approximate_search_has_the_recall_that_is_reported(tmp_path, small_tables):
    random = np.random.default_rng(0)
    windows = some_windows(2_000)
    centers = random.normal(size=(20, DIM))[random.integers(0, 20, 2_000)]
    vectors = unit(centers + 0.3 * random.normal(size=centers.shape))
    make_index(tmp_path, windows, vectors, approximate=True)
    index = open_index(tmp_path)
    (recall,) = index.recall.values()
    assert set(index.recall) == {"video_to_text"}
    assert recall >= 0.9
    hits = []
    for number in random.choice(2_000, 50, replace=False):
        query = vectors[number]
        exact = found(index, query, 10)
        near = found(index, query, 10, approximate=True)
        # Those that are found have their exact scores.
        assert [r for r in near if r in exact] == [r for r in exact if r in near]
        hits.append(len(set(exact) & set(near)) / 10)
    assert np.mean(hits) == pytest.approx(recall, abs=0.1)


def test_a_partition_that_is_not_searched_is_missed(tmp_path, small_tables):
    windows = some_windows(2_000)
    make_index(tmp_path, windows, approximate=True)
    store = open_store(tmp_path)
    query = unit(np.random.default_rng(5).normal(size=DIM))
    exact = set(store.nearest("video_to_text", query, 200)[0])
    few = set(store.nearest("video_to_text", query, 200, probes=1)[0])
    assert 0 < len(few & exact) < 200


def test_new_windows_are_found_by_an_approximate_search(tmp_path, small_tables):
    make_index(tmp_path, some_windows(400), approximate=True)
    windows = some_windows(404)
    make_index(tmp_path, windows, approximate=True)
    query = vectors_of(windows[-1:])[0]
    (best,) = found(open_index(tmp_path), query, 1, approximate=True)
    assert best[:2] == (windows[-1].file.path, windows[-1].start)


def test_a_small_index_is_searched_exactly(stored, tmp_path):
    windows = some_windows(COUNT)
    query = np.random.default_rng(0).normal(size=DIM)
    with pytest.raises(MediaIndexError, match="--approximate"):
        found(open_index(stored), query, 3, approximate=True)
    make_index(tmp_path, windows, approximate=True)
    index = open_index(tmp_path)
    assert index.recall == {}
    assert found(index, query, 9, approximate=True) == found(index, query, 9)


def test_a_run_without_approximate_removes_the_indexes(tmp_path, small_tables):
    windows = some_windows(400)
    make_index(tmp_path, windows, approximate=True)
    assert len(open_store(tmp_path).table.list_indices()) == 1
    make_index(tmp_path, windows)
    assert open_index(tmp_path).recall is None
    assert open_store(tmp_path).table.list_indices() == []


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "without-end": lambda content: content[:-1],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "pattern",
    ["header.lance/data/*", "windows.lance/data/*", "*.lance/_versions/*.manifest"],
    ids=["header", "windows", "manifests"],
)
def test_damaged_files_are_named(tmp_path, pattern, damage):
    make_index(tmp_path, some_windows(40))
    for path in tmp_path.glob(pattern):
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(MediaIndexError, match="can't be read"):
        open_index(tmp_path)


@pytest.mark.parametrize("part", ["header.lance", "windows.lance"])
def test_a_damaged_byte_ends_in_no_other_error(tmp_path, part):
    make_index(tmp_path, some_windows(40))
    path = max((tmp_path / part / "data").iterdir(), key=os.path.getmtime)
    whole, refused = path.read_bytes(), 0
    for place in np.random.default_rng(0).integers(0, len(whole), 30).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            found(open_index(tmp_path), np.ones(DIM), 5)
        except MediaIndexError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("index", "index"),
        ("/tmp/an index", "/tmp/an index"),
        ("file:///tmp/an%20index", "/tmp/an index"),
        ("s3://bucket/index", None),
        ("gs://bucket/index", None),
    ],
)
def test_a_location_is_a_folder_or_a_uri(location, folder):
    found = local_folder(location)
    assert found == folder if folder is None else str(found) == folder


def test_an_index_may_be_named_by_the_uri_of_its_folder(stored):
    query = np.ones(DIM)
    assert found(open_index(stored.as_uri()), query, 5) == found(
        open_index(stored), query, 5
    )
