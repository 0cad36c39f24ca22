"""Writes the built-in presets that hold the sizes of the published models.

    python presets/make_presets.py [--tiny RUN/preset]

The tiny agnostic preset comes with weights, which `keras-vatt pretrain --recipe demo`
made: with `--tiny` it is made from the preset of such a run, and nothing else is done.
All others are written anew, configs, preprocessors and cards.
"""

import argparse
import dataclasses
import pathlib

import keras_vatt
from keras_vatt.data import ClipSpec
from keras_vatt.storage._card_facts import card_facts
from keras_vatt.storage._model_card import write_card
from keras_vatt.storage._preset_writer import (
    write_configs,
    write_folder,
    write_metadata,
)

FOLDER = pathlib.Path(__file__).parent
SIZES = {
    "small": (512, 2048, 6, 8),
    "base": (768, 3072, 12, 12),
    "medium": (1024, 4096, 12, 16),
    "large": (1024, 4096, 24, 16),
}
SPECIFIC = {"bbs": "base", "mbs": "medium", "lbs": "large"}
KINETICS = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700}
VIDEO_SETS = KINETICS | {"moments_in_time": 339}
# The agnostic video classifier was not published for Kinetics-700.
AGNOSTIC_SETS = ("kinetics400", "kinetics600", "moments_in_time")
AUDIO_SETS = {"audioset": 527}

TINY_ENCODER = {
    "hidden_dim": 64,
    "intermediate_dim": 128,
    "num_layers": 2,
    "num_heads": 2,
    "head_dim": 32,
}
TINY_INPUTS = {
    "video_patch_size": (3, 32, 32),
    "audio_patch_size": 80,
    "video_positions": (4, 2, 2),
    "audio_positions": 120,
    "vocabulary_size": 256,
    "word_embedding_dim": 64,
    "trainable_word_embedding": True,
    "token_keep_rate": 1.0,
    "dropout": 0.0,
}
TINY_CLIP = ClipSpec(
    num_frames=12, frames_per_second=5.0, frame_size=64, sampling_rate=4_000
)

# VATT fine-tunes on 32 frames at 12.5 frames per second, and on sound of which every
# second sample of 48 kHz is kept (ours is filtered, too).
VIDEO_CLIP = ClipSpec(frames_per_second=12.5)
AUDIO_CLIP = ClipSpec(sampling_rate=24_000, audio_samples=153_600)


def encoder(size):
    names = ("hidden_dim", "intermediate_dim", "num_layers", "num_heads")
    return dict(zip(names, SIZES[size], strict=True)) | {"head_dim": 64}


def words():
    return keras_vatt.VATTTokenizer(sequence_length=16)


def pretraining_presets():
    """Yield name, model and description of each model with three modalities."""
    preprocessor = keras_vatt.VATTPreprocessor(words())
    for size in ("base", "medium", "large"):
        backbone = keras_vatt.VATTAgnosticBackbone(**encoder(size))
        paper = ": the model of the gradient harmonization paper"
        yield (
            f"vatt_{size}_agnostic",
            keras_vatt.VATT(backbone, preprocessor=preprocessor),
            f"One encoder of the {size} size for all modalities"
            f"{paper if size == 'medium' else ''}.",
        )
    for short, size in SPECIFIC.items():
        backbone = keras_vatt.VATTSpecificBackbone(
            encoder(size), encoder("base"), encoder("small")
        )
        yield (
            f"vatt_{short}_specific",
            keras_vatt.VATT(backbone, preprocessor=preprocessor),
            f"{size.capitalize()} video, base audio and small text encoder.",
        )


def tiny_preset():
    """Yield name, model and description of the tiny preset without weights."""
    backbone = keras_vatt.VATTSpecificBackbone(
        TINY_ENCODER, TINY_ENCODER, TINY_ENCODER, **TINY_INPUTS
    )
    head = keras_vatt.layers.FactorizedBridgeHead(128, 128, name="bridge_head")
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(TINY_CLIP, words())
    yield (
        "vatt_tiny_specific",
        keras_vatt.VATT(backbone, head, preprocessor),
        "One encoder for each modality, small enough to train on a laptop.",
    )


def classifier_presets():
    """Yield name, model and description of each fine-tuned classifier."""
    for size in SPECIFIC.values():
        for dataset, classes in VIDEO_SETS.items():
            backbone = keras_vatt.VATTSpecificBackbone(
                video_encoder=encoder(size), modalities=("video",)
            )
            yield video_classifier(f"vatt_vit_{size}_{dataset}", backbone, classes)
    for dataset in AGNOSTIC_SETS:
        backbone = keras_vatt.VATTAgnosticBackbone(
            **encoder("medium"), modalities=("video",)
        )
        name = f"vatt_vit_medium_agnostic_{dataset}"
        yield video_classifier(name, backbone, VIDEO_SETS[dataset])
    for dataset, classes in AUDIO_SETS.items():
        specific = keras_vatt.VATTSpecificBackbone(
            audio_encoder=encoder("base"), modalities=("audio",)
        )
        yield audio_classifier(f"vatt_wat_base_{dataset}", specific, classes)
        agnostic = keras_vatt.VATTAgnosticBackbone(
            **encoder("medium"), modalities=("audio",)
        )
        name = f"vatt_wat_medium_agnostic_{dataset}"
        yield audio_classifier(name, agnostic, classes)


def video_classifier(name, backbone, classes):
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(VIDEO_CLIP)
    model = keras_vatt.VATTVideoClassifier(backbone, classes, preprocessor=preprocessor)
    return name, model, f"Video classifier with {classes} classes."


def audio_classifier(name, backbone, classes):
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(AUDIO_CLIP)
    model = keras_vatt.VATTAudioClassifier(backbone, classes, preprocessor=preprocessor)
    return name, model, f"Sound classifier with {classes} classes, any number a clip."


def source(name):
    if name == "vatt_tiny_specific":
        return "sizes that `keras-vatt pretrain` trains in minutes"
    if name in ("vatt_base_agnostic", "vatt_large_agnostic"):
        return "sizes of VATT's encoders; no checkpoint was published"
    return (
        "sizes of a published model of google-research/vatt, whose checkpoint "
        f"`keras-vatt convert --from CHECKPOINT_PREFIX --config {name} --output "
        "FOLDER` turns into a preset with weights"
    )


def write(name, model, description):
    provenance = keras_vatt.Provenance(
        description=description, license="apache-2.0", source=source(name)
    )
    with write_folder(FOLDER / name) as folder:
        write_configs(folder, model.backbone, model, model.preprocessor)
        write_metadata(folder, model, [], provenance.get_config())
        write_card(folder, name, card_facts(model), provenance, has_weights=False)


def write_tiny(run):
    model = keras_vatt.VATT.from_preset(run)
    model.provenance = dataclasses.replace(
        model.provenance,
        description="One encoder for all modalities, small enough to train on a "
        "laptop: it knows coloured shapes that move, and a voice that names them.",
        license="apache-2.0",
    )
    model.save_to_preset(FOLDER / "vatt_tiny_agnostic")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", metavar="RUN/preset")
    arguments = parser.parse_args()
    if arguments.tiny is not None:
        write_tiny(arguments.tiny)
        return
    for presets in (tiny_preset, pretraining_presets, classifier_presets):
        for preset in presets():
            print(preset[0], flush=True)
            write(*preset)


if __name__ == "__main__":
    main()
