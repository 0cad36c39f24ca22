"""`keras-vatt evaluate --dataset folders` on images, and zero-shot by class names."""

import json

import numpy as np
import pytest

import keras_vatt
from keras_vatt.cli.main import main
from keras_vatt.data.datasets import read_labeled_dataset
from tests.evaluation._tiny_datasets import (
    CAPTIONS,
    COLOURS,
    save_classifier,
    save_vatt,
    write_clip,
    write_folders,
    write_image_folders,
)


def run(capsys, *arguments):
    code = main(["evaluate", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def metrics_in(folder):
    results = json.loads((folder / "evaluation.json").read_text())["results"]
    return results["folders split 1"]["metrics"]


def counts_in(folder):
    return json.loads((folder / "data_report.json").read_text())["counts"]


@pytest.fixture
def images(tmp_path):
    return write_image_folders(tmp_path / "images")


def test_a_classifier_of_images_is_evaluated_as_predict_predicts(
    capsys, tmp_path, images
):
    model = save_classifier(
        tmp_path / "preset",
        keras_vatt.VATTImageClassifier,
        num_classes=3,
        class_names=tuple(COLOURS),
    )
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", images, "--dataset", "folders", "--crops", 3]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    read = read_labeled_dataset("folders", images)
    paths = [clip.segment.path for clip in read.test]
    labels = np.array([clip.labels[0] for clip in read.test])
    logits = model.predict(paths, num_crops=3, verbose=0)
    metrics = metrics_in(tmp_path / "out")
    assert metrics["top_1"] == pytest.approx(np.mean(logits.argmax(1) == labels))
    assert metrics["num_examples"] == 6


def test_images_have_one_window_and_one_crop_unless_crops_are_asked_for(
    capsys, tmp_path, images
):
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", images, "--dataset", "folders"]
    cls, names = keras_vatt.VATTImageClassifier, tuple(COLOURS)
    save_classifier(tmp_path / "preset", cls, num_classes=3, class_names=names)
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (settings["modality"], settings["windows"]) == ("image", 1)
    assert settings["crops"] == 1


def test_a_linear_probe_on_images_is_trained_on_their_pooled_features(
    capsys, tmp_path, images
):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = save_vatt(tmp_path / "preset")
    arguments = ["--task", "linear-probe", "--preset", tmp_path / "preset"]
    arguments += ["--data", images, "--dataset", "folders"]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    read = read_labeled_dataset("folders", images)
    features, labels = {}, {}
    for part, clips in (("train", read.train), ("test", read.test)):
        paths = [clip.segment.path for clip in clips]
        features[part] = model.extract_features("image", paths)[:, 0]
        labels[part] = np.array([clip.labels[0] for clip in clips])
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    row = report["results"]["folders split 1"]
    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=row["regularization"], max_iter=2000)
    )
    classifier.fit(features["train"].astype(np.float64), labels["train"])
    accuracy = classifier.score(features["test"].astype(np.float64), labels["test"])
    assert row["metrics"]["top_1"] == pytest.approx(accuracy)


@pytest.mark.parametrize("modality", ["image", "video"])
def test_zero_shot_compares_clips_with_the_names_of_their_classes(
    capsys, tmp_path, modality
):
    write = write_image_folders if modality == "image" else write_folders
    folder = write(tmp_path / "data", num_train=0)
    model = save_vatt(tmp_path / "preset")
    arguments = ["--task", "zero-shot", "--preset", tmp_path / "preset"]
    arguments += ["--data", folder, "--dataset", "folders", "--windows", 2]
    arguments += ["--template", "a big {}", "--template", "a {} thing"]
    assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
    read = read_labeled_dataset("folders", folder)
    prompts = [
        t.format(c) for c in read.class_names for t in ("a big {}", "a {} thing")
    ]
    texts = unit(model.extract_features("text", prompts, output="to_video")[:, 0])
    texts = unit(texts.reshape(3, 2, -1).mean(axis=1))
    files = [clip.segment.path for clip in read.test]
    windows = {} if modality == "image" else {"num_windows": 2}
    clips = model.extract_features(modality, files, output="to_text", **windows)
    found = (unit(clips.mean(axis=1)) @ texts.T).argmax(axis=1)
    labels = np.array([clip.labels[0] for clip in read.test])
    assert metrics_in(tmp_path / "out")["top_1"] == pytest.approx(
        np.mean(found == labels)
    )


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_files_that_are_no_image_are_counted_and_the_others_evaluated(
    capsys, tmp_path, images
):
    (images / "test/red/drawing.svg").write_text("<svg/>")
    (images / "test/red/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (images / "test/red/empty.jpg").touch()
    (images / "train/red/more").mkdir()
    (images / "train/red/lost.webp").symlink_to(tmp_path / "gone.webp")
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "linear-probe", "--preset", tmp_path / "preset"]
    arguments += ["--data", images, "--dataset", "folders"]
    code, out, _ = run(capsys, *arguments, "--output", tmp_path / "out")
    assert code == 0
    assert "drawing.svg" in out
    assert metrics_in(tmp_path / "out")["num_examples"] == 6
    counts = counts_in(tmp_path / "out")
    assert counts == {"ignored": 2, "corrupt": 2, "missing": 1}


def test_only_folders_have_images(capsys, tmp_path, images):
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "linear-probe", "--preset", tmp_path / "preset"]
    arguments += ["--data", images, "--modality", "image", "--dataset", "ucf101"]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "ucf101 has no images" in err


def test_a_modality_that_a_folder_does_not_have_is_named(capsys, tmp_path, images):
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "linear-probe", "--preset", tmp_path / "preset"]
    arguments += ["--data", images, "--dataset", "folders", "--modality", "audio"]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "has no audio files" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--template", "a thing"], "{}"),
        (["--modality", "audio"], "no common space of audio and text"),
    ],
    ids=["template without a place for the class", "audio of a factorized head"],
)
def test_zero_shot_names_what_can_not_be_compared(capsys, tmp_path, options, message):
    write_folders(tmp_path / "data", num_train=0, num_test=1)
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "zero-shot", "--preset", tmp_path / "preset"]
    arguments += ["--data", tmp_path / "data", "--dataset", "folders", *options]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_class_names_that_the_model_can_not_read_are_named(capsys, tmp_path):
    write_clip(tmp_path / "data/test/zebra/1.mp4", "red", 1)
    assert "zebra" not in " ".join(CAPTIONS)
    save_vatt(tmp_path / "preset")
    arguments = ["--task", "zero-shot", "--preset", tmp_path / "preset"]
    arguments += ["--data", tmp_path / "data", "--dataset", "folders"]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "zebra" in err


def test_short_clips_are_counted_also_by_an_evaluation_that_resumes(capsys, tmp_path):
    for color in COLOURS:
        for number, frames in enumerate((15, 4)):
            path = tmp_path / f"data/test/{color}/{number}.mp4"
            write_clip(path, color, number, num_frames=frames)
    names = tuple(COLOURS)
    save_classifier(tmp_path / "preset", num_classes=3, class_names=names)
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", tmp_path / "data", "--dataset", "folders"]
    for _ in range(2):
        assert run(capsys, *arguments, "--output", tmp_path / "out")[0] == 0
        assert counts_in(tmp_path / "out") == {"short": 3}
        assert metrics_in(tmp_path / "out")["num_examples"] == 6
    report = json.loads((tmp_path / "out" / "data_report.json").read_text())
    assert report["used"] == 6
    assert all(f["reason"].endswith(": repeated") for f in report["findings"])


def test_short_clips_are_left_out_if_asked_for(capsys, tmp_path):
    for number, frames in enumerate((15, 4)):
        path = tmp_path / f"data/test/red/{number}.mp4"
        write_clip(path, "red", number, num_frames=frames)
    save_classifier(tmp_path / "preset", num_classes=1, class_names=("red",))
    arguments = ["--task", "classification", "--preset", tmp_path / "preset"]
    arguments += ["--data", tmp_path / "data", "--dataset", "folders"]
    arguments += ["--short-clips", "error", "--output", tmp_path / "out"]
    assert run(capsys, *arguments)[0] == 0
    assert counts_in(tmp_path / "out") == {"too_short": 1}
    assert metrics_in(tmp_path / "out")["num_examples"] == 1
