"""mteb runs VATT on tasks that are made here: no data is downloaded.

mteb is an extra of its own, which is heavy: these tests are skipped without it.
"""

import io

import av
import numpy as np
import pytest

import keras_vatt
from keras_vatt.evaluation.mteb import MTEBEncoder
from tests.models.tiny import tiny_vatt

pytestmark = pytest.mark.once

mteb = pytest.importorskip("mteb")
tasks = pytest.importorskip("evaluation._mteb_tasks")


def score_of(task, encoder):
    result = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False)
    return result.task_results[0].get_score()


@pytest.fixture(scope="module")
def encoder():
    return MTEBEncoder(keras_vatt.VATT.from_preset("vatt_tiny_agnostic"))


def test_mteb_classifies_captions_by_pooled_features(encoder):
    assert score_of(tasks.CaptionedColors(), encoder) > 0.9


def test_mteb_retrieves_videos_by_captions(encoder, tmp_path):
    task = tasks.CaptionsToVideos()
    task.folder = tmp_path
    assert score_of(task, encoder) > 0.8


def test_mteb_classifies_pictures_by_captions(encoder):
    assert score_of(tasks.NamedImages(), encoder) > 2 / len(tasks.COLORS)


def test_sounds_come_as_files_or_as_samples(encoder):
    buffer = io.BytesIO()
    rate = encoder.model.preprocessor.clip_spec.sampling_rate
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 12_000).astype(np.float32)
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_f32le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], "flt", "mono")
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    sounds = [
        {"bytes": buffer.getvalue(), "path": None},
        {"array": samples, "sampling_rate": rate},
        {"array": np.stack([samples, samples]), "sampling_rate": rate},
    ]
    task = tasks.make_metadata(
        "Sounds", "AudioClassification", ["audio"], "a2c", "accuracy"
    )
    embeddings = encoder.encode([{"audio": sounds}], task_metadata=task)
    expected = encoder.model.encode(audio=(samples, rate))["audio"]["features_pooled"]
    expected = np.repeat(expected, 3, axis=0)
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=1e-4)


def place(encoder, columns, modalities, category, prompt):
    task = tasks.make_metadata(
        "Any", "Any2AnyRetrieval", modalities, category, "ndcg_at_10"
    )
    return encoder._place(dict.fromkeys(columns), task, prompt)


def test_queries_and_documents_are_embedded_where_they_can_be_compared(encoder):
    both = ["video", "audio", "text"]
    for columns, modalities, category, prompt, expected in [
        (["text"], ["text", "video"], "t2v", "query", {"text": "to_video"}),
        (["video"], ["text", "video"], "t2v", "document", {"video": "to_text"}),
        (["image"], ["text", "image"], "i2t", "query", {"image": "to_text"}),
        (["audio"], ["audio", "video"], "a2v", "query", {"audio": "to_video"}),
        (["video"], ["audio", "video"], "a2v", "document", {"video": "to_audio"}),
        (["video", "audio"], both, "va2t", "query", {"video": "to_text"}),
        (["text"], both, "va2t", "document", {"text": "to_video"}),
        (["audio", "text"], both, "at2v", "query", {"text": "to_video"}),
        (["video"], both, "at2v", "document", {"video": "to_text"}),
        (["text"], ["text"], "t2t", "query", {"text": "features_pooled"}),
        (["image"], ["image"], "i2i", "query", {"image": "features_pooled"}),
    ]:
        found = place(encoder, columns, modalities, category, prompt)
        assert found == expected, category


def test_text_and_sound_need_a_joint_head(encoder):
    with pytest.raises(ValueError, match="JointBridgeHead"):
        place(encoder, ["text"], ["text", "audio"], "t2a", "query")


def test_a_model_without_preprocessor_is_refused():
    with pytest.raises(ValueError, match="no preprocessor"):
        MTEBEncoder(tiny_vatt())
