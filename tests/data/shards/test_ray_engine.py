"""A cluster of two nodes gives the same as one machine, even if workers are killed."""

import os
import signal

import lancedb
import numpy as np
import pytest

import keras_vatt
from keras_vatt._ray import ClusterError, run_on_cluster
from keras_vatt.data import MediaError, make_demo_corpus, prepare_shards
from keras_vatt.search import MediaIndexError, embed_folder
from tests.data.shards.conftest import FORM

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.once

PRESET = "vatt_tiny_agnostic"


@pytest.fixture(scope="module")
def address():
    """Address of a cluster of two nodes with a processor each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "videos"
    return make_demo_corpus(folder, 5, 2, progress=False)


class KilledOnce:
    """Squares numbers; the worker of number 2 is killed at its first try."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, number):
        mark = self.folder / "killed"
        if number == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number**2

    def make(self):
        return self


@pytest.mark.parametrize("keeps_workers", [False, True])
def test_the_item_of_a_killed_worker_is_computed_again(
    keeps_workers, address, tmp_path
):
    function = KilledOnce(tmp_path)
    function = function.make if keeps_workers else function
    results = run_on_cluster(function, range(6), address, keeps_workers)
    assert list(results) == [0, 1, 4, 9, 16, 25]
    assert (tmp_path / "killed").exists()


def test_shards_are_the_same_bytes(address, videos, tmp_path):
    for engine in ("local", "ray"):
        prepare_shards(
            videos,
            tmp_path / engine,
            "tfrecord",
            3,
            FORM,
            engine=engine,
            address=address,
            progress=False,
        )
    found, expected = (
        {path.name: path.read_bytes() for path in (tmp_path / engine).iterdir()}
        for engine in ("ray", "local")
    )
    assert found == expected


def test_an_error_of_a_worker_is_raised_here(address, videos, tmp_path):
    with pytest.raises(MediaError, match=r"noise\.mp4"):
        prepare_shards(
            videos,
            tmp_path / "out",
            "tfrecord",
            3,
            FORM,
            on_error="raise",
            engine="ray",
            address=address,
            progress=False,
        )


def test_an_index_is_the_same_up_to_rounding(address, corpus, tmp_path):
    model = keras_vatt.VATT.from_preset(PRESET)
    preset = str(tmp_path / "preset")
    model.save_to_preset(preset)
    tables = []
    for engine in ("local", "ray"):
        embed_folder(
            model,
            corpus,
            tmp_path / engine,
            preset,
            batch_size=4,
            progress=False,
            engine=engine,
            address=address,
        )
        table = lancedb.connect(tmp_path / engine).open_table("windows")
        tables.append(table.to_arrow())
    first, second = tables
    for name in first.column_names:
        if name.startswith(("video_", "audio_")) or name == "both":
            vectors = [np.stack(table[name].to_numpy()) for table in tables]
            np.testing.assert_allclose(*vectors, atol=1e-5)
        else:
            assert first[name].equals(second[name]), name


def test_another_model_on_the_nodes_is_refused(address, corpus, tmp_path):
    preset = str(tmp_path / "preset")
    model = keras_vatt.VATT.from_preset(PRESET)
    model.save_to_preset(preset)
    variable = model.trainable_variables[0]
    variable.assign(variable + 1.0)
    with pytest.raises(MediaIndexError, match="has other weights on a node"):
        embed_folder(
            model, corpus, tmp_path / "index", preset, engine="ray", address=address
        )


def test_a_model_without_a_name_can_t_be_sent_to_a_cluster(corpus, tmp_path):
    model = keras_vatt.VATT.from_preset(PRESET)
    with pytest.raises(MediaIndexError, match="needs a `preset`"):
        embed_folder(model, corpus, tmp_path / "index", engine="ray")


def test_a_cluster_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**options):
        raise ConnectionError("could not connect")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ClusterError, match="no cluster answers at '127.0.0.1:1'"):
        list(run_on_cluster(len, ["x"], "127.0.0.1:1"))
