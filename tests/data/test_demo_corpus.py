"""The demo corpus has real media, is deterministic, and agrees with its manifest."""

import builtins
import collections
import json
import shutil

import av
import numpy as np
import pytest

from keras_vatt.data import (
    ClipSource,
    ClipSpec,
    decode_clip,
    make_demo_corpus,
    probe,
    read_corpus,
    synthesize_speech,
)
from keras_vatt.data.demo import _corpus as demo_corpus
from keras_vatt.data.demo._clip_plans import plan_test, plan_train
from keras_vatt.data.demo._moving_shapes import (
    COLORS,
    COMBINATIONS,
    MOTIONS,
    Appearance,
    render_moving_shape,
)

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=24, frame_size=64)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    return make_demo_corpus(
        folder, 24, 8, misaligned_audio=0.5, misaligned_text=0.5, progress=False
    )


def plans_of(folder, **options):
    """The segments of a corpus, planned but not rendered."""
    settings = {"seed": 0, "misaligned_audio": 0.0, "misaligned_text": 0.0} | options
    train = plan_train(settings.pop("count", 2000), **settings)
    return [plan.to_segment(folder) for plan in train]


def test_the_files_are_h264_and_aac(demo):
    paths = sorted(demo.rglob("*.mp4"))
    assert len(paths) == 32
    for path in paths[::8]:
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert video.codec_context.name == "h264"
            assert video.codec_context.pix_fmt == "yuv420p"
            assert (video.width, video.height) == (64, 64)
            assert audio.codec_context.name == "aac"
            assert (audio.rate, audio.channels) == (48_000, 1)
        assert probe(path).duration == pytest.approx(2.6, abs=0.02)


def test_every_clip_of_the_corpus_can_be_used(demo):
    segments, findings = read_corpus(demo)
    assert findings == []
    assert collections.Counter(s.split for s in segments) == {"train": 24, "test": 8}

    def tokenize(texts):
        return np.array([[len(text)] for text in texts])

    source = ClipSource(segments, SPEC, tokenize, candidates=1)
    for index in range(len(source)):
        element = source[index]
        assert element["audio_mask"] == element["text_mask"] == 1.0
    assert source.report.findings == ()


def test_the_frames_show_their_combination(demo):
    for segment in read_corpus(demo)[0]:
        color, _, motion = segment.extra["video"].split()
        frames, _ = decode_clip(segment.path, 0.1, SPEC)
        centers, seen = _follow(frames.astype(float))
        others = {name: np.array(rgb) for name, rgb in COLORS.items()}
        nearest = min(others, key=lambda name: _color_distance(seen, others[name]))
        assert nearest == color
        moved = centers[-1] - centers[0]
        expected = np.array(MOTIONS[motion])
        assert moved @ expected > 6  # of shape and track together
        assert np.abs(moved).min() < 3


def test_every_shape_looks_different():
    appearance = Appearance(0.4, 0.5, 0.5, 0.9, 1.0, 20)
    images = {
        combination.shape: render_moving_shape(combination, appearance, 1, 64)[0]
        for combination in COMBINATIONS
        if (combination.color, combination.motion) == ("blue", "up")
    }
    areas = {shape: (image != 20).any(-1).mean() for shape, image in images.items()}
    assert len(areas) == 5
    assert np.diff(sorted(areas.values())).min() > 0.001
    # A disc covers pi / 4 of its square, a square all of it.
    assert areas["circle"] / areas["square"] == pytest.approx(np.pi / 4, abs=0.05)


def test_the_audio_is_the_speech_of_its_combination(demo):
    plans = plan_train(16, 0, 0.5, 0.5)
    waveforms, rate = synthesize_speech([plan.utterance for plan in plans])
    for plan, speech in list(zip(plans, waveforms, strict=True))[::3]:
        assert all(word in plan.utterance.text for word in str(plan.audio).split())
        _, heard = decode_clip(demo / plan.path, 0.0, SPEC)
        assert np.abs(heard).max() == pytest.approx(plan.loudness, rel=0.3)
        spoken = np.interp(
            np.arange(len(speech) * 48_000 // rate) * rate / 48_000,
            np.arange(len(speech)),
            np.tanh(6 * speech / np.abs(speech).max()),
        )
        assert _likeness(heard, spoken) > 0.95


def test_all_speech_lies_within_a_clip_of_2_4_seconds(demo):
    whole = ClipSpec(num_frames=26, frame_size=32)
    for path in sorted(demo.rglob("*.mp4")):
        _, heard = decode_clip(path, 0.0, whole)
        # A clip without a given start is cut from the middle.
        inside = heard[4_800:-4_800]
        assert np.square(inside).sum() > 0.999 * np.square(heard).sum()


def test_captions_name_their_combination(demo):
    for segment in read_corpus(demo)[0]:
        assert all(word in segment.caption for word in segment.extra["text"].split())


def test_the_ground_truth_is_in_the_manifest(demo):
    segments = read_corpus(demo)[0]
    for segment in segments:
        extra = segment.extra
        assert extra["audio_aligned"] == (extra["audio"] == extra["video"])
        assert extra["text_aligned"] == (extra["text"] == extra["video"])
    test = [segment for segment in segments if segment.split == "test"]
    assert all(s.extra["audio_aligned"] and s.extra["text_aligned"] for s in test)
    assert len({segment.extra["video"] for segment in test}) == len(test)


def test_misalignment_has_the_given_probabilities_independently(tmp_path):
    segments = plans_of(tmp_path, misaligned_audio=0.3, misaligned_text=0.6)
    audio = np.array([not segment.extra["audio_aligned"] for segment in segments])
    text = np.array([not segment.extra["text_aligned"] for segment in segments])
    assert audio.mean() == pytest.approx(0.3, abs=0.035)
    assert text.mean() == pytest.approx(0.6, abs=0.035)
    assert (audio & text).mean() == pytest.approx(0.18, abs=0.035)


@pytest.mark.parametrize(("probability", "aligned"), [(0.0, True), (1.0, False)])
def test_misalignment_of_none_or_all_is_exact(tmp_path, probability, aligned):
    options = {"misaligned_audio": probability, "misaligned_text": probability}
    segments = plans_of(tmp_path, count=300, **options)
    assert {s.extra["audio_aligned"] for s in segments} == {aligned}
    assert {s.extra["text_aligned"] for s in segments} == {aligned}


def test_misalignment_changes_nothing_else(tmp_path):
    clean, noisy = plans_of(tmp_path), plans_of(tmp_path, misaligned_audio=0.5)
    for one, other in zip(clean, noisy, strict=True):
        assert one.extra["video"] == other.extra["video"]
        assert one.caption == other.caption


def test_training_draws_all_combinations_evenly(tmp_path):
    segments = plans_of(tmp_path, count=6000)
    counts = collections.Counter(segment.extra["video"] for segment in segments)
    assert len(counts) == 120
    assert max(counts.values()) < 85
    assert min(counts.values()) > 22


def test_the_test_split_has_each_combination_before_any_twice():
    plans = plan_test(130, 0)
    assert len({plan.video for plan in plans[:120]}) == 120
    assert len({(plan.appearance, plan.utterance) for plan in plans}) == 130


def test_the_bytes_do_not_depend_on_the_number_of_workers(demo, tmp_path):
    options = {"misaligned_audio": 0.5, "misaligned_text": 0.5, "progress": False}
    again = make_demo_corpus(tmp_path / "again", 24, 8, num_workers=3, **options)
    files = sorted(path.relative_to(demo) for path in demo.rglob("*") if path.is_file())
    assert files == sorted(
        p.relative_to(again) for p in again.rglob("*") if p.is_file()
    )
    for path in files:
        assert (again / path).read_bytes() == (demo / path).read_bytes()


def test_an_existing_corpus_is_used_unchanged(demo):
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*")}
    options = {"misaligned_audio": 0.5, "misaligned_text": 0.5, "progress": False}
    assert make_demo_corpus(demo, 24, 8, **options) == demo
    assert {path: path.stat().st_mtime_ns for path in demo.rglob("*")} == before


def test_an_incomplete_corpus_is_completed(demo, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(demo, half)
    (half / "manifest.jsonl").unlink()
    for number in (0, 5, 17):
        (half / "train" / f"{number:06d}.mp4").unlink()
    (half / "train" / ".000005.mp4.partial").write_bytes(b"cut off")
    options = {"misaligned_audio": 0.5, "misaligned_text": 0.5, "progress": False}
    make_demo_corpus(half, 24, 8, **options)
    for path in demo.rglob("*"):
        if path.is_file():
            assert (half / path.relative_to(demo)).read_bytes() == path.read_bytes()
    assert not list(half.rglob(".*.partial"))


def test_a_failing_clip_leaves_no_manifest(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise OSError("no space left")

    monkeypatch.setattr(demo_corpus, "encode_clip", fail)
    with pytest.raises(OSError, match="no space left"):
        make_demo_corpus(tmp_path / "new", 4, 2, progress=False)
    assert not (tmp_path / "new" / "manifest.jsonl").exists()


def test_another_corpus_or_other_files_are_never_overwritten(demo, tmp_path):
    with pytest.raises(ValueError, match=r"demo corpus with other settings \(seed, "):
        make_demo_corpus(demo, 24, 8, seed=1, progress=False)
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(ValueError, match="is not empty"):
        make_demo_corpus(tmp_path, 4, 2, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train_clips", -1),
        ("test_clips", 1.5),
        ("seed", -1),
        ("misaligned_audio", 1.5),
        ("misaligned_text", -0.1),
        ("frame_size", 95),
        ("frame_size", 8),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(tmp_path, name, value):
    arguments = {"train_clips": 2, "test_clips": 2} | {name: value}
    with pytest.raises(ValueError, match=name):
        make_demo_corpus(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("package", ["espeakng_loader", "PIL"])
def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch, package):
    def no_package(name, *arguments):
        if name == package:
            raise ImportError(name)
        return original(name, *arguments)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_package)
    with pytest.raises(ImportError, match=r'pip install "keras-vatt\[demo\]"'):
        make_demo_corpus(tmp_path / "new", 2, 2, progress=False)


def test_a_file_of_the_folder_has_the_settings_of_the_corpus(demo):
    settings = json.loads((demo / "demo_corpus.json").read_text())
    assert settings["misaligned_audio"] == 0.5
    assert settings["train_clips"] == 24


def _follow(frames):
    """The center of the shape in each frame, as (column, row), and its color."""
    background = np.median(frames, axis=(0, 1, 2))
    inside = np.abs(frames - background).max(axis=-1) > 60
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    centers = [(columns[mask].mean(), rows[mask].mean()) for mask in inside]
    return np.array(centers), np.median(frames[inside], axis=0)


def _color_distance(seen, color):
    return np.linalg.norm(seen / np.linalg.norm(seen) - color / np.linalg.norm(color))


def _likeness(heard, spoken):
    """The largest correlation of two signals over all shifts."""
    size = len(heard) + len(spoken)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(spoken, size))
    norms = np.linalg.norm(heard) * np.linalg.norm(spoken)
    return np.fft.irfft(product, size).max() / norms
