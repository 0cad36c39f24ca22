"""Towers of one modality, and the exports that they refuse."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import ops

import keras_vatt
from keras_vatt.exporting import FORMATS
from tests.models.tiny import tiny_backbone, tiny_batch, tiny_vatt

BACKEND = keras.config.backend()
OWN_FORMATS = [name for name, backends in FORMATS.items() if BACKEND in backends]
OTHER_FORMATS = [name for name in FORMATS if name not in OWN_FORMATS]


def test_a_tower_runs_in_inference_mode_whatever_it_is_told():
    model = tiny_vatt()
    batch = tiny_batch(2)["audio"]
    outputs = model.tower("audio")(batch, training=True)
    expected = model.encode(audio=batch)["audio"]["to_video"]
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs["to_video"]), expected, rtol=1e-5, atol=1e-6
    )


def test_a_tower_carries_no_weights_of_other_modalities():
    paths = [variable.path for variable in tiny_vatt("specific").tower("text").weights]
    assert any("text_encoder" in path for path in paths)
    assert not any("video_encoder" in path or "audio_stem" in path for path in paths)


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_without_a_preprocessor_clips_fill_the_position_tables(form):
    model = tiny_vatt(form)
    words = 5 if form == "agnostic" else 16
    shapes = {"video": (4, 8, 8, 3), "audio": (96, 1), "text": (words,)}
    for modality, shape in shapes.items():
        assert model.tower(modality).clip_shape == shape


def test_a_preprocessor_says_what_clips_are():
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a star"], sequence_length=7)
    preprocessor = keras_vatt.VATTPreprocessor(
        tokenizer,
        keras_vatt.VATTVideoConverter(num_frames=6, frame_size=12),
        keras_vatt.VATTAudioConverter(16_000, 480),
    )
    model = keras_vatt.VATT(tiny_backbone(), preprocessor=preprocessor)
    shapes = {"video": (6, 12, 12, 3), "audio": (480, 1), "text": (7,)}
    for modality, shape in shapes.items():
        assert model.tower(modality).clip_shape == shape


@pytest.mark.parametrize("format", OTHER_FORMATS)
def test_a_format_of_other_backends_is_refused_with_the_way_to_get_it(format, tmp_path):
    with pytest.raises(ValueError, match=f"KERAS_BACKEND={FORMATS[format][0]}"):
        tiny_vatt().export(tmp_path / "tower.tflite", format, modality="audio")


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be one of"):
        tiny_vatt().export(tmp_path / "tower", "caffe", modality="audio")


def test_openvino_is_pointed_to_onnx(tmp_path):
    with pytest.raises(ValueError, match="OpenVINO reads ONNX"):
        tiny_vatt().export(tmp_path / "tower.xml", "openvino", modality="audio")


@pytest.mark.parametrize("format", sorted({"litert", "torch"} & set(OWN_FORMATS)))
def test_a_file_of_another_ending_is_refused(format, tmp_path):
    with pytest.raises(ValueError, match="must end with"):
        tiny_vatt().export(tmp_path / "tower.bin", format, modality="audio")


@pytest.mark.skipif("onnx" not in OWN_FORMATS, reason="no ONNX with this backend")
def test_a_missing_package_is_named_with_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"keras-vatt\[export\]"):
        tiny_vatt().export(tmp_path / "tower.onnx", "onnx", modality="audio")


def test_a_model_in_half_precision_is_refused_where_float32_is_needed(tmp_path):
    model = tiny_vatt(dtype="mixed_bfloat16")
    with pytest.raises(ValueError, match="dtype='float32'"):
        model.export(tmp_path / "tower.onnx", "onnx", modality="audio")


def test_a_vatt_must_be_told_which_modality(tmp_path):
    with pytest.raises(ValueError, match="`modality` must be one of"):
        tiny_vatt().export(tmp_path / "tower")
    with pytest.raises(ValueError, match="`modality` must be one of"):
        tiny_vatt(modalities=("video", "audio")).tower("text")


def test_a_clip_shape_of_another_rank_is_refused():
    with pytest.raises(ValueError, match="without the axis of clips"):
        tiny_vatt().tower("audio", clip_shape=(1, 96, 1))
