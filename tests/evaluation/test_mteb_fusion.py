"""Entries of several modalities are compared by all of them.

These tests run without mteb: its metadata of tasks and models are stood in for.
"""

import dataclasses

import numpy as np
import pytest

from keras_vatt.data import MediaError, Problem
from keras_vatt.evaluation import mteb as mteb_module
from keras_vatt.evaluation.mteb import MTEBEncoder
from tests.data._media import write_media
from tests.search.small import SPEC, small_model, tone, write_video

pytestmark = pytest.mark.once

_LETTERS = {"t": "text", "i": "image", "a": "audio", "v": "video"}


@dataclasses.dataclass
class Task:
    """The part of mteb's `TaskMetadata` that an encoder reads."""

    modalities: list
    category: str | None = None

    def get_modalities(self, prompt_type):
        queries, documents = self.category.split("2")
        letters = queries if prompt_type == "query" else documents
        return [_LETTERS[letter] for letter in letters]


@pytest.fixture(autouse=True)
def _no_mteb(monkeypatch):
    monkeypatch.setattr(mteb_module, "_model_meta", lambda *_: None)


@pytest.fixture(scope="module")
def factorized():
    return small_model()


@pytest.fixture(scope="module")
def joint():
    return small_model(joint=True)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [
        str(write_video(folder / f"{n}.mp4", 9 * n, 0.8, sound=tone(200 + 80 * n, 0.8)))
        for n in range(3)
    ]


def columns_of(clips):
    entries = [{"bytes": None, "path": clip} for clip in clips]
    return {"video": entries, "audio": entries}


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


def fused(*parts):
    return unit(np.mean([unit(part) for part in parts], axis=0))


def vectors(model, clips, **outputs):
    encoded = model.encode(**dict.fromkeys(outputs, clips))
    return [encoded[modality][output] for modality, output in outputs.items()]


def check(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("category", "prompt"),
    [("va2c", None), (None, None), ("va2va", "query"), ("va2va", "document")],
)
def test_features_of_video_and_audio_are_fused(factorized, clips, category, prompt):
    task = Task(["video", "audio"], category)
    found = MTEBEncoder(factorized).encode(
        [columns_of(clips[:2]), columns_of(clips[2:])],
        task_metadata=task,
        prompt_type=prompt,
    )
    both = {"video": "features_pooled", "audio": "features_pooled"}
    check(found, fused(*vectors(factorized, clips, **both)))


def test_video_with_audio_is_compared_with_video_in_their_space(factorized, clips):
    task = Task(["video", "audio"], "va2v")
    encoder = MTEBEncoder(factorized)
    batch = columns_of(clips)
    query = encoder.encode([batch], task_metadata=task, prompt_type="query")
    both = vectors(factorized, clips, video="to_audio", audio="to_video")
    check(query, fused(*both))
    del batch["audio"]
    document = encoder.encode([batch], task_metadata=task, prompt_type="document")
    check(document, both[0])


def test_text_is_compared_with_video_alone_in_a_factorized_space(factorized, clips):
    task = Task(["video", "audio", "text"], "va2t")
    encoder = MTEBEncoder(factorized)
    found = encoder.encode([columns_of(clips)], task_metadata=task, prompt_type="query")
    check(found, *vectors(factorized, clips, video="to_text"))
    texts = [{"text": ["a red star", "the blue circle"]}]
    found = encoder.encode(texts, task_metadata=task, prompt_type="document")
    expected = factorized.encode(text=texts[0]["text"])["text"]["to_video"]
    check(found, expected)


def test_text_is_compared_with_video_and_audio_in_a_joint_space(joint, clips):
    for category, prompt in [("va2t", "query"), ("t2va", "document")]:
        found = MTEBEncoder(joint).encode(
            [columns_of(clips)],
            task_metadata=Task(["video", "audio", "text"], category),
            prompt_type=prompt,
        )
        both = vectors(joint, clips, video="to_text", audio="to_video")
        check(found, fused(*both))


def test_video_and_text_are_fused_too(factorized, clips):
    texts = ["a red star", "the blue circle", "star"]
    batch = {"video": columns_of(clips)["video"], "text": texts}
    found = MTEBEncoder(factorized).encode(
        [batch], task_metadata=Task(["video", "text"], "vt2v"), prompt_type="query"
    )
    text = factorized.encode(text=texts)["text"]["to_video"]
    check(found, fused(*vectors(factorized, clips, video="to_text"), text))


def test_what_both_sides_have_is_compared_if_there_is_no_space(factorized, clips):
    task = Task(["audio", "text"], "at2a")
    batch = {"audio": columns_of(clips)["audio"], "text": ["star"] * 3}
    found = MTEBEncoder(factorized).encode(
        [batch], task_metadata=task, prompt_type="query"
    )
    check(found, *vectors(factorized, clips, audio="features_pooled"))


def test_an_entry_may_lack_a_modality_and_not_all(factorized, clips):
    batch = columns_of(clips)
    batch["audio"] = [None, *batch["audio"][1:]]
    task = Task(["video", "audio"], "va2c")
    encoder = MTEBEncoder(factorized)
    found = encoder.encode([batch], task_metadata=task)
    both = {"video": "features_pooled", "audio": "features_pooled"}
    video, audio = vectors(factorized, clips, **both)
    check(found, [unit(video[:1])[0], *fused(video[1:], audio[1:])])
    batch["video"] = [None, *batch["video"][1:]]
    with pytest.raises(ValueError, match="Entry 0"):
        encoder.encode([batch], task_metadata=task)


def test_text_and_audio_alone_need_a_joint_space(factorized, joint):
    task, batch = Task(["text", "audio"], "t2a"), {"text": ["a red star"]}
    with pytest.raises(ValueError, match="JointBridgeHead"):
        MTEBEncoder(factorized).encode([batch], task_metadata=task, prompt_type="query")
    found = MTEBEncoder(joint).encode([batch], task_metadata=task, prompt_type="query")
    check(found, joint.encode(text=["a red star"])["text"]["to_video"])


def test_short_clips_follow_the_rule_of_the_encoder(factorized, tmp_path):
    sound, rate = tone(300, 0.2, 2_000)
    path = tmp_path / "a.wav"
    write_media(path, sound=(sound, rate), audio_codec="pcm_f32le")
    task = Task(["audio"], "a2c")
    batch = {"audio": [{"bytes": path.read_bytes(), "path": None}]}

    def encode(rule):
        encoder = MTEBEncoder(factorized, short_clips=rule)
        return encoder.encode([batch], task_metadata=task)

    assert SPEC.audio_samples == 800
    halves = {"repeat": sound, "pad": np.zeros(400, np.float32)}
    for rule, half in halves.items():
        whole = np.concatenate([sound, half])
        expected = factorized.encode(audio=(whole, rate))["audio"]["features_pooled"]
        check(encode(rule), expected)
    with pytest.raises(MediaError) as caught:
        encode("error")
    assert caught.value.problem is Problem.TOO_SHORT


def test_an_unknown_rule_is_named(factorized):
    with pytest.raises(ValueError, match="short_clips='stretch'"):
        MTEBEncoder(factorized, short_clips="stretch")


def test_a_file_that_can_not_be_decoded_is_raised(factorized, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no media")
    batch = {"video": [{"path": str(tmp_path / "a.mp4"), "bytes": None}]}
    with pytest.raises(MediaError) as caught:
        MTEBEncoder(factorized).encode([batch], task_metadata=Task(["video"], "v2c"))
    assert caught.value.problem is Problem.CORRUPT
