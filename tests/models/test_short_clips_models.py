"""Clips shorter than a model's are used by every entry point, by one rule."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import MediaError, MediaSegment, Problem, encode_clip
from tests.models.classifiers import SPEC, raw_clip, tiny_classifier, wav_bytes

RATE = SPEC.sampling_rate
RULES = ("repeat", "pad")


@pytest.fixture(scope="module")
def models():
    return {kind: tiny_classifier(kind) for kind in ("video", "audio")}


def ramp(count=40):
    return np.linspace(-0.5, 0.5, count).astype("float32")


def filled(values, count, rule):
    if rule == "repeat":
        return np.concatenate([values] * count)[:count]
    return np.concatenate([values, np.zeros((count, *values.shape[1:]), values.dtype)])[
        :count
    ]


def short_frames(count=2):
    levels = np.arange(1, count + 1, dtype=np.uint8) * 50
    return np.broadcast_to(levels[:, None, None, None], (count, 8, 8, 3)).copy()


@pytest.mark.once
@pytest.mark.parametrize("rule", RULES)
def test_short_audio_is_filled(rule, models, tmp_path):
    preprocessor, samples = models["audio"].preprocessor, ramp()
    expected = filled(samples, 96, rule)
    path = tmp_path / "short.wav"
    path.write_bytes(wav_bytes(samples))
    clips = [(samples, RATE), path, path.read_bytes(), MediaSegment(path, 0.0, 9.0)]
    for converter in (
        lambda clip: preprocessor({"audio": clip}, short_clips=rule)["audio"],
        lambda clip: preprocessor.audio_converter(clip, short_clips=rule),
    ):
        for waveform in converter(clips):
            np.testing.assert_allclose(waveform[:, 0], expected, atol=1e-4)


@pytest.mark.once
@pytest.mark.parametrize("rule", RULES)
def test_short_video_is_filled(rule, models, tmp_path):
    preprocessor, frames = models["video"].preprocessor, short_frames()
    expected = filled(frames, 4, rule)
    path = tmp_path / "short.mp4"
    large = np.repeat(np.repeat(frames, 4, axis=1), 4, axis=2)
    encode_clip(path, large, 4, np.zeros(RATE // 2, "float32"), RATE)
    clips = [(frames, 4.0), path, MediaSegment(path, 0.0, 0.5)]
    for converter in (
        lambda clip: preprocessor({"video": clip}, short_clips=rule)["video"],
        lambda clip: preprocessor.video_converter(clip, short_clips=rule),
    ):
        for shown in converter(clips):
            assert np.abs(shown.astype(int) - expected).max() <= 4


@pytest.mark.parametrize("rule", RULES)
def test_every_entry_point_fills_short_clips(rule, models):
    model = models["audio"]
    clip = [(ramp(), RATE)]
    arrays = filled(ramp(), 96, rule)[None, :, None]
    logits = model.predict(arrays, verbose=0)
    options = {"short_clips": rule}
    np.testing.assert_allclose(
        model.predict(clip, verbose=0, **options), logits, atol=1e-6
    )
    features = model.extract_features("audio", clip, **options)
    expected = model.extract_features("audio", arrays)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    probabilities = np.sort(np.exp(logits[0]) / np.exp(logits).sum())[::-1]
    (best,) = model.classify(clip, **options)
    np.testing.assert_allclose([p for _, p in best], probabilities, rtol=1e-5)
    results = model.evaluate(clip, [0], verbose=0, **options)
    again = model.evaluate(arrays, np.array([0]), verbose=0)
    np.testing.assert_allclose(results, again, rtol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("rule", RULES)
def test_training_on_short_clips_is_training_on_filled_ones(rule):
    losses = []
    for clips in ([(ramp(), RATE)] * 2, filled(ramp(), 96, rule)[None, :, None]):
        keras.utils.set_random_seed(0)
        model = tiny_classifier("audio")
        if isinstance(clips, np.ndarray):
            clips = np.repeat(clips, 2, axis=0)
        history = model.fit(
            clips,
            [0, 1],
            epochs=2,
            shuffle=False,
            validation_data=(clips, [0, 1]),
            short_clips=rule,
            verbose=0,
        ).history
        losses.append(history["loss"] + history["val_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.once
def test_encode_and_zero_shot_take_the_rule():
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    spec, labels = model.preprocessor.clip_spec, ["a red star", "a blue circle"]
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (4, 16, 16, 3), np.uint8)
    clip = frames, spec.frames_per_second
    for rule in RULES:
        whole = filled(frames, spec.num_frames, rule), spec.frames_per_second
        for call in (
            lambda clip, **more: model.encode(video=clip, **more)["video"]["to_text"],
            lambda clip, **more: keras_vatt.zero_shot_classify(
                model, labels, video=clip, **more
            ),
        ):
            np.testing.assert_allclose(
                call(clip, short_clips=rule), call(whole), atol=1e-5
            )
    padded = model.encode(video=clip, short_clips="pad")["video"]["to_text"]
    repeated = model.encode(video=clip)["video"]["to_text"]
    assert np.abs(padded - repeated).max() > 1e-3


@pytest.mark.once
def test_short_clips_are_counted_and_not_skipped(models, tmp_path):
    paths = [tmp_path / "short.wav", tmp_path / "long.wav"]
    for path, samples in zip(paths, (ramp(), raw_clip("audio")[0]), strict=True):
        path.write_bytes(wav_bytes(samples))
    model, clips = models["audio"], [*paths, (ramp(), RATE)]
    for rule, done in (("repeat", "repeated"), ("pad", "padded")):
        logits = model.predict(clips, short_clips=rule, verbose=0)
        assert np.isfinite(logits).all()
        report = model.clip_report
        assert report.used == 3
        assert report.counts == {Problem.SHORT: 2}
        assert [finding.where for finding in report.findings] == [
            str(paths[0]),
            "clip 2",
        ]
        assert all(finding.reason.endswith(done) for finding in report.findings)
    assert "lasts 0.01 s" in report.findings[0].reason


@pytest.mark.once
def test_with_error_short_files_can_not_be_used(models, tmp_path):
    paths = [tmp_path / "short.wav", tmp_path / "long.wav"]
    for path, samples in zip(paths, (ramp(), raw_clip("audio")[0]), strict=True):
        path.write_bytes(wav_bytes(samples))
    model = models["audio"]
    logits = model.predict(paths, short_clips="error", verbose=0)
    np.testing.assert_array_equal(np.isnan(logits).all(axis=1), [True, False])
    assert model.clip_report.counts == {Problem.TOO_SHORT: 1}
    with pytest.raises(MediaError, match=r"short\.wav"):
        model.predict(paths, short_clips="error", on_error="raise", verbose=0)
    with pytest.raises(MediaError, match=r"short\.wav"):
        model.preprocessor({"audio": paths}, short_clips="error")


@pytest.mark.once
def test_an_unknown_rule_for_short_clips_is_refused(models):
    model, clip = models["audio"], [raw_clip("audio")]
    for call in (
        lambda **rule: model.predict(clip, **rule),
        lambda **rule: model.fit(clip, [0], **rule),
        lambda **rule: model.evaluate(clip, [0], **rule),
        lambda **rule: model.classify(clip, **rule),
        lambda **rule: model.extract_features("audio", clip, **rule),
        lambda **rule: model.preprocessor({"audio": clip}, **rule),
        lambda **rule: model.preprocessor.audio_converter(clip, **rule),
    ):
        with pytest.raises(ValueError, match="`short_clips` must be one of"):
            call(short_clips="loop")
