"""Runs on shards, mixtures and object stores."""

import json

import numpy as np
import pytest

import keras_vatt
from keras_vatt.cli.main import main
from keras_vatt.data import StoredForm, make_demo_corpus, prepare_shards
from keras_vatt.pretraining import _run
from keras_vatt.pretraining._corpus import data_sources, read_data
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._settings import PretrainSettings

FORMATS = ("arrayrecord", "tfrecord", "webdataset")
OPTIONS = {
    "epochs": 1,
    "batch_size": 4,
    "num_frames": 4,
    "frame_size": 32,
    "sampling_rate": 8_000,
    "horizontal_flip": 0.5,
    "random_area_crop": 0.5,
    "devices": "one",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "videos"
    return make_demo_corpus(folder, 12, 5, progress=False)


@pytest.fixture(scope="module")
def shards(corpus, tmp_path_factory):
    """A function from a format to a folder of shards."""
    folder = tmp_path_factory.mktemp("shards")
    form = StoredForm(frame_size=64, sampling_rate=8_000)

    def prepared(kind):
        prepare_shards(corpus, folder / kind, kind, 3, form, progress=False)
        return folder / kind

    return prepared


def options_of(data, output, **changes):
    values = OPTIONS | {"output": output} | changes
    options = [f"--data={source}" for source in data]
    return options + [
        f"--{name.replace('_', '-')}={value}" for name, value in values.items()
    ]


@pytest.fixture
def batches(monkeypatch):
    """The first batch of each dataset that a run makes."""
    found, make = [], _run.make_dataset

    def recorded(source, *args, **options):
        found.append(next(iter(make(source, *args, **options))))
        return make(source, *args, **options)

    monkeypatch.setattr(_run, "make_dataset", recorded)
    return found


def test_all_formats_give_the_same_first_batch_and_the_same_losses(
    shards, batches, tmp_path
):
    histories = []
    for kind in FORMATS:
        output = tmp_path / kind
        assert main(["pretrain", *options_of([shards(kind)], output)]) == 0
        histories.append((output / "history.csv").read_text())
        report = json.loads((output / "data_report.json").read_text())
        assert report["splits"] == {"train": 12, "test": 5}
        assert not (output / "cache").exists()
    assert histories[0] == histories[1] == histories[2]
    per_run = len(batches) // 3
    assert per_run
    for number in range(per_run):
        first, *others = batches[number::per_run]
        for other in others:
            for name, values in first.items():
                np.testing.assert_array_equal(other[name], values)
    model = keras_vatt.VATT.from_preset(tmp_path / "tfrecord" / "preset")
    assert "moving" in model.preprocessor.tokenizer.vocabulary


@pytest.mark.once
def test_a_mixture_is_trained_on_in_the_given_proportions(shards, corpus, tmp_path):
    data = [f"{shards('tfrecord')}:0.75", f"{corpus}:0.25"]
    assert main(["pretrain", *options_of(data, tmp_path / "run", epochs=2)]) == 0
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["data"] == data
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 3
    again = ["pretrain", "--output", str(tmp_path / "run"), "--resume"]
    assert main(again) == 0
    assert main([*again, f"--data={data[0]}"]) == 2


@pytest.mark.once
def test_a_run_reads_a_store(shards, s3_store, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VATT_CACHE", str(tmp_path / "cache"))
    s3_store.fill(shards("tfrecord"))
    assert main(["pretrain", *options_of([s3_store.url], tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "retrieval.json").exists()


@pytest.mark.once
def test_a_run_reads_videos_of_a_store(corpus, gcs_store, tmp_path):
    gcs_store.fill(corpus)
    assert main(["pretrain", *options_of([gcs_store.url], tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "retrieval.json").exists()


@pytest.mark.once
def test_records_without_a_test_split_are_held_out(shards, tmp_path):
    source = f"{shards('tfrecord')}/train-*.tfrecord"
    settings = PretrainSettings(data=source, output=str(tmp_path), test_fraction=0.25)
    (part,) = read_data(settings, tmp_path).parts
    assert (len(part.train), len(part.test)) == (9, 3)
    places = [part.train.where(k) for k in range(9)]
    assert places + [part.test.where(k) for k in range(3)] == [
        part.train.records.where(k) for k in range(12)
    ]
    assert len(list(part.captions())) == 9


@pytest.mark.once
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("videos", [("videos", 1.0)]),
        (("a.jsonl:0.7", "b:3"), [("a.jsonl", 0.7), ("b", 3.0)]),
        ("s3://bucket/x", [("s3://bucket/x", 1.0)]),
        ("gs://bucket/x:0.5", [("gs://bucket/x", 0.5)]),
    ],
)
def test_weights_follow_a_colon(data, expected):
    assert data_sources(data) == expected


@pytest.mark.once
def test_a_path_with_a_colon_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk:2").mkdir()
    assert data_sources("talk:2") == [("talk:2", 1.0)]


@pytest.mark.once
@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf"])
def test_a_weight_that_is_not_positive_is_refused(weight):
    with pytest.raises(PretrainingError, match="the weight must be positive"):
        data_sources(f"videos:{weight}")


@pytest.mark.once
@pytest.mark.parametrize(
    "data", ["nowhere", "nowhere:0.5", "nowhere/*.tar", "nowhere@3"]
)
def test_data_that_is_not_there_is_named(data, tmp_path, capsys):
    assert main(["pretrain", *options_of([tmp_path / data], tmp_path / "run")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
