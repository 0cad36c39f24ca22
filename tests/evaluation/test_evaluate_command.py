"""`keras-vatt evaluate` agrees with scikit-learn and with plain formulas."""

import json
import os

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, top_k_accuracy_score

import keras_vatt
from keras_vatt.cli.main import main
from keras_vatt.data.datasets import read_labeled_dataset
from tests.evaluation._tiny_datasets import (
    CAPTIONS,
    COLORS,
    save_classifier,
    save_vatt,
    write_clip,
    write_folders,
)
from tests.models.tiny import tiny_vatt


def run(capsys, *arguments):
    code = main(["evaluate", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def results_in(folder):
    return json.loads((folder / "evaluation.json").read_text())["results"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six captioned videos, one of them without audio, and a damaged file."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number, caption in enumerate(CAPTIONS):
        name = f"{number}.mp4"
        color = caption.split()[1]
        write_clip(folder / name, color, number, sound=number != 2)
        rows.append({"path": name, "caption": caption})
    rows.append({"path": "0.mp4", "caption": "a dim blue thing"})
    (folder / "noise.mp4").write_bytes(b"nothing" * 99)
    rows.append({"path": "noise.mp4", "caption": "a red thing"})
    rows.append({"path": "gone.mp4", "caption": "a red thing"})
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder


def unit(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.once
def test_retrieval_ranks_as_a_plain_formula_does(capsys, tmp_path, corpus):
    model = save_vatt(tmp_path / "preset")
    arguments = ["--task", "retrieval", "--preset", tmp_path / "preset"]
    arguments += ["--data", corpus, "--windows", 3, "--output", tmp_path / "out"]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "text->video" in out
    results = results_in(tmp_path / "out")
    paths = [str(corpus / f"{number}.mp4") for number in range(6)]
    arrays = model.preprocessor({"video": paths}, num_windows=3)["video"]
    videos = model.encode(video=arrays)["video"]["to_text"].reshape(6, 3, -1)
    texts = model.encode(text=[*CAPTIONS, "a dim blue thing"])["text"]["to_video"]
    owners = [*range(6), 0]
    for average, candidates in (
        ("embedding", unit(videos.mean(axis=1))),
        ("similarity", unit(videos).mean(axis=1)),
    ):
        similarities = unit(texts) @ candidates.T
        of_match = similarities[np.arange(7), owners]
        ranks = (similarities > of_match[:, None] + 1e-9).sum(axis=1) + 1
        metrics = results[f"text->video, mean {average} of windows"]["metrics"]
        assert metrics["mean_rank"] == pytest.approx(ranks.mean())
        assert metrics["recall_at_1"] == pytest.approx((ranks == 1).mean())
        assert metrics["num_candidates"] == 6
    heard = [0, 1, 3, 4, 5]
    files = [paths[number] for number in heard]
    arrays = model.preprocessor({"audio": files}, num_windows=3)["audio"]
    sounds = model.encode(audio=arrays)["audio"]["to_video"].reshape(5, 3, -1)
    arrays = model.preprocessor({"video": paths}, num_windows=3)["video"]
    videos = model.encode(video=arrays)["video"]["to_audio"].reshape(6, 3, -1)
    similarities = unit(sounds.mean(axis=1)) @ unit(videos.mean(axis=1)).T
    of_match = similarities[np.arange(5), heard]
    ranks = (similarities > of_match[:, None] + 1e-9).sum(axis=1) + 1
    metrics = results["audio->video, mean embedding of windows"]["metrics"]
    assert metrics["mean_rank"] == pytest.approx(ranks.mean())
    assert (metrics["num_queries"], metrics["num_candidates"]) == (5, 6)


@pytest.mark.once
def test_skipped_clips_of_a_corpus_are_counted_and_named(capsys, tmp_path, corpus):
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "retrieval", "--preset", tmp_path / "preset"]
    arguments += ["--data", corpus, "--windows", 1, "--output", tmp_path / "out"]
    _, out, _ = run(capsys, *arguments)
    assert "noise.mp4" in out
    tasks = ["text->video", "video->text", "audio->video", "video->audio"]
    assert list(results_in(tmp_path / "out")) == tasks
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    assert report["counts"] == {"missing": 1, "corrupt": 1, "no_audio": 1}


@pytest.mark.once
def test_a_linear_probe_is_scikit_learns_on_pooled_features(capsys, tmp_path, folders):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = save_vatt(tmp_path / "preset")
    arguments = ["--task", "linear-probe", "--preset", tmp_path / "preset"]
    arguments += ["--data", folders, "--dataset", "folders", "--windows", 2]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    row = results_in(tmp_path / "out")["folders split 1"]
    read = read_labeled_dataset("folders", folders)
    features = {}
    for part, clips, windows in (("train", read.train, 1), ("test", read.test, 2)):
        files = [clip.segment for clip in clips]
        features[part] = model.extract_features("video", files, num_windows=windows)
    labels = {
        "train": [clip.labels[0] for clip in read.train],
        "test": [clip.labels[0] for clip in read.test],
    }
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=row["regularization"], max_iter=2000)
    )
    classifier.fit(features["train"][:, 0].astype(np.float64), labels["train"])
    probabilities = np.mean(
        [
            classifier.predict_proba(features["test"][:, window].astype(np.float64))
            for window in range(2)
        ],
        axis=0,
    )
    top_1 = top_k_accuracy_score(labels["test"], probabilities, k=1)
    assert row["metrics"]["top_1"] == pytest.approx(top_1)
    area = roc_auc_score(labels["test"], probabilities, multi_class="ovr")
    assert row["metrics"]["roc_auc"] == pytest.approx(area, abs=1e-3)


def test_classification_averages_the_logits_of_windows_and_crops(
    capsys, tmp_path, folders
):
    names = tuple(COLORS)[::-1]  # The reverse of the order in the dataset.
    model = save_classifier(tmp_path / "preset", num_classes=3, class_names=names)
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", folders, "--dataset", "folders", "--windows", 2]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    read = read_labeled_dataset("folders", folders)
    files = [clip.segment for clip in read.test]
    logits = model.predict(files, num_windows=2, num_crops=3, verbose=0)[:, ::-1]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = [clip.labels[0] for clip in read.test]
    metrics = results_in(tmp_path / "out")["folders split 1"]["metrics"]
    expected = top_k_accuracy_score(labels, probabilities, k=1)
    assert metrics["top_1"] == pytest.approx(expected)
    area = roc_auc_score(labels, probabilities, multi_class="ovr")
    assert metrics["roc_auc"] == pytest.approx(area)


@pytest.mark.once
def test_audio_with_several_classes_has_map_and_d_prime(capsys, tmp_path):
    from tests.data import _labeled_datasets as layouts

    ids = ("--4gqARaEJE", "--BfvyPmVMo", "Y0NGSrwioYjA")
    folder = layouts.audioset(tmp_path / "audioset")
    for number, (name, color) in enumerate(zip(ids, COLORS, strict=True)):
        write_clip(folder / f"{name}.mp4", color, number)
    cls = keras_vatt.VATTAudioClassifier
    save_classifier(tmp_path / "preset", cls, num_classes=3, multi_label=True)
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", folder, "--dataset", "audioset"]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    metrics = results_in(tmp_path / "out")["audioset split 1"]["metrics"]
    assert "top_1" not in metrics
    assert 0 < metrics["mean_average_precision"] <= 1
    assert metrics["num_examples"] == 3


@pytest.mark.once
def test_all_splits_are_probed_and_averaged(capsys, tmp_path):
    from tests.data import _labeled_datasets as layouts

    folder = layouts.esc50(tmp_path / "esc50")
    for number, path in enumerate(sorted(folder.glob("audio/*.wav"))):
        path.unlink()
        color = "red" if path.stem.endswith("1") else "blue"
        write_clip(path.with_suffix(".mp4"), color, number)
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "linear-probe", "--preset", tmp_path / "preset"]
    arguments += ["--data", folder, "--dataset", "esc50", "--split", "all"]
    arguments += ["--method", "svm"]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    results = results_in(tmp_path / "out")
    values = [
        results[f"esc50 split {fold}"]["metrics"]["top_1"] for fold in range(1, 6)
    ]
    mean = results["mean over 5 splits"]["metrics"]
    assert mean["top_1"] == pytest.approx(np.mean(values))
    assert mean["num_examples"] == 10


@pytest.mark.once
def test_an_interrupted_evaluation_decodes_no_clip_twice(
    capsys, tmp_path, folders, monkeypatch
):
    from keras_vatt.inference import _clip_decoder as decoding
    from keras_vatt.inference import _encoder as encoders

    names = tuple(COLORS)
    save_classifier(tmp_path / "preset", num_classes=3, class_names=names)
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", folders, "--dataset", "folders", "--windows", 1]
    arguments += ["--crops", 1, "--batch-size", 2]
    assert run(capsys, *arguments, "--output", tmp_path / "whole")[0] == 0
    encode, batches = encoders.LogitsEncoder.__call__, []

    def encode_two_batches(self, modality, batch):
        batches.append(len(batch))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return encode(self, modality, batch)

    monkeypatch.setattr(encoders.LogitsEncoder, "__call__", encode_two_batches)
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 130
    monkeypatch.setattr(encoders.LogitsEncoder, "__call__", encode)
    decode, decoded = decoding.ClipDecoder.__call__, []

    def count(self, segment):
        decoded.append(segment)
        return decode(self, segment)

    monkeypatch.setattr(decoding.ClipDecoder, "__call__", count)
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    assert len(decoded) == 2  # Of six; two batches of two had been finished.
    assert results_in(tmp_path / "out") == results_in(tmp_path / "whole")


@pytest.mark.once
def test_a_limit_is_spread_over_the_classes(capsys, tmp_path, folders):
    names = tuple(COLORS)
    save_classifier(tmp_path / "preset", num_classes=3, class_names=names)
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", folders, "--dataset", "folders", "--windows", 1]
    run(capsys, *arguments, "--limit", 3, "--output", tmp_path / "out")
    metrics = results_in(tmp_path / "out")["folders split 1"]["metrics"]
    assert metrics["num_examples"] == 3
    assert metrics["num_classes_without_positives"] == 0


@pytest.mark.once
def test_mistakes_are_named_in_one_line(capsys, tmp_path, folders, corpus):
    save_vatt(tmp_path / "vatt")
    save_classifier(tmp_path / "four", num_classes=4)
    save_classifier(tmp_path / "nameless", num_classes=3)
    names = ("red", "green", "brown")
    save_classifier(tmp_path / "others", num_classes=3, class_names=names)
    tiny_vatt().save_to_preset(tmp_path / "bare")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    sets = ["--data", folders, "--dataset", "folders"]
    vatt = ["--preset", tmp_path / "vatt"]
    probe = ["--task", "linear-probe", *vatt]
    classify = ["--task", "classification", *sets, "--preset"]
    retrieve = ["--task", "retrieval", "--data", corpus]
    mistakes = {
        "has 4 classes, folders has 3": [*classify, tmp_path / "four"],
        "no names of its classes": [*classify, tmp_path / "nameless"],
        "lacks 'blue'": [*classify, tmp_path / "others"],
        "fine-tuned classifier": [*classify, tmp_path / "vatt"],
        "needs classes: give --dataset": [*probe, "--data", corpus],
        "there is no dataset": [*probe, "--data", corpus, "--dataset", "ucf100"],
        "Expected there: UCF-101": [*probe, "--data", corpus, "--dataset", "ucf101"],
        "split(s), counted from 1": [*probe, *sets, "--split", 2],
        "There is no preset": [*retrieve, "--preset", "vatt_huge"],
        "no preprocessor": [*retrieve, "--preset", tmp_path / "bare"],
        "no file or folder": ["--task", "retrieval", *vatt, "--data", tmp_path / "x"],
        "is not empty": [*retrieve, *vatt, "--output", tmp_path / "full"],
    }
    for message, arguments in mistakes.items():
        code, _, err = run(capsys, *arguments)
        assert code == 2, message
        assert message in err.strip().splitlines()[-1]


@pytest.mark.once
def test_another_evaluation_does_not_mix_with_the_one_in_the_folder(
    capsys, tmp_path, folders
):
    names = tuple(COLORS)
    save_classifier(tmp_path / "preset", num_classes=3, class_names=names)
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", folders, "--dataset", "folders", "--output", tmp_path / "o"]
    assert run(capsys, *arguments, "--windows", 1)[0] == 0
    code, _, err = run(capsys, *arguments, "--windows", 2)
    assert code == 2
    assert "(windows)" in err
    model = keras_vatt.VATTVideoClassifier.from_preset(tmp_path / "preset")
    model.classifier.bias.assign([1.0, 2.0, 3.0])
    model.save_to_preset(tmp_path / "preset")
    code, _, err = run(capsys, *arguments, "--windows", 1)
    assert code == 2
    assert "(weights)" in err
    marker = tmp_path / "o" / "settings.json"
    marker.rename(tmp_path / "outside.json")
    marker.symlink_to(tmp_path / "outside.json")
    code, _, err = run(capsys, *arguments, "--windows", 1)
    assert code == 2
    assert "leads out of its folder" in err
    marker.unlink()
    os.mkfifo(marker)
    code, _, err = run(capsys, *arguments, "--windows", 1)
    assert code == 2
    assert "not a regular file" in err
