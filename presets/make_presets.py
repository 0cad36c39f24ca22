"""Writes the built-in presets: configs, preprocessors and model cards.

    python presets/make_presets.py [--tiny RUNS]

`vatt_tiny_agnostic` is the only preset with weights. With `--tiny`, it is trained and
evaluated by the commands on its card, and no other preset is written. The folder RUNS
keeps the run: an interrupted one is resumed, and a finished one is used. Without
`--tiny`, all other presets are written.
"""

import argparse
import dataclasses
import json
import pathlib
import shlex

import keras

import keras_vatt
from keras_vatt.cli.main import main as run_command
from keras_vatt.data import ClipSpec, make_demo_corpus
from keras_vatt.storage._card_facts import card_facts
from keras_vatt.storage._model_card import write_card
from keras_vatt.storage._preset_writer import (
    write_configs,
    write_folder,
    write_metadata,
)
from keras_vatt.storage._published_checkpoints import AUTHORS, PUBLISHED
from keras_vatt.storage._weights_status import DOWNLOAD, NONE

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
AUDIO_SETS = {"audioset": 527}

PRETRAINING_SETS = ("HowTo100M", "AudioSet")

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

TINY_TRAINING = (
    "keras-vatt pretrain --recipe demo --preset vatt_tiny_agnostic --seed 1 "
    "--demo-clips 6000 --epochs 30 --no-cache --output runs/tiny"
)
# Other clips than those of the training, whose corpus has another seed.
HELD_OUT = {"train_clips": 0, "seed": 100}
TINY_CLIPS = (
    "import keras_vatt; keras_vatt.data.make_demo_corpus('held_out', "
    f"{', '.join(f'{name}={value}' for name, value in HELD_OUT.items())})"
)
TINY_EVALUATION = (
    "keras-vatt evaluate --task retrieval --preset vatt_tiny_agnostic --data held_out "
    "--windows 1"
)

# VATT fine-tunes on 32 frames at 12.5 frames per second, and on every second sample of
# 48 kHz audio. Here the audio is also low-pass filtered.
VIDEO_CLIP = ClipSpec(frames_per_second=12.5)
AUDIO_CLIP = ClipSpec(sampling_rate=24_000, audio_samples=153_600)


def encoder(size):
    names = ("hidden_dim", "intermediate_dim", "num_layers", "num_heads")
    return dict(zip(names, SIZES[size], strict=True)) | {"head_dim": 64}


def words():
    return keras_vatt.VATTTokenizer(sequence_length=16)


def pretraining_presets():
    """Yields the name, model and description of each model with three modalities."""
    preprocessor = keras_vatt.VATTPreprocessor(words())
    for size in ("base", "medium", "large"):
        backbone = keras_vatt.VATTAgnosticBackbone(**encoder(size))
        name = f"vatt_{size}_agnostic"
        paper = (
            ", the size in the gradient harmonization paper. The published weights "
            "were trained without harmonization"
        )
        yield (
            name,
            keras_vatt.VATT(backbone, preprocessor=preprocessor),
            f"One {size} encoder for all modalities"
            f"{paper if name in PUBLISHED else ''}.{unpublished(name)}",
        )
    for short, size in SPECIFIC.items():
        backbone = keras_vatt.VATTSpecificBackbone(
            encoder(size), encoder("base"), encoder("small")
        )
        yield (
            f"vatt_{short}_specific",
            keras_vatt.VATT(backbone, preprocessor=preprocessor),
            f"A {size} video, a base audio and a small text encoder.",
        )


def tiny_preset():
    """Yields the name, model and description of the tiny preset without weights."""
    backbone = keras_vatt.VATTSpecificBackbone(
        TINY_ENCODER, TINY_ENCODER, TINY_ENCODER, **TINY_INPUTS
    )
    head = keras_vatt.layers.FactorizedBridgeHead(128, 128, name="bridge_head")
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(TINY_CLIP, words())
    yield (
        "vatt_tiny_specific",
        keras_vatt.VATT(backbone, head, preprocessor),
        "One encoder for each modality, small enough to train on a laptop."
        f"{unpublished('vatt_tiny_specific')}",
    )


def unpublished(name):
    return "" if name in PUBLISHED else " No weights of this size were published."


def classifier_presets():
    """Yields the name, model and description of each published classifier."""
    for dataset, classes in VIDEO_SETS.items():
        for size in SPECIFIC.values():
            name = f"vatt_vit_{size}_{dataset}"
            if name in PUBLISHED:
                backbone = specific_tower("video", size)
                yield video_classifier(name, backbone, dataset, classes)
        name = f"vatt_vit_medium_agnostic_{dataset}"
        if name in PUBLISHED:
            yield video_classifier(name, agnostic_tower("video"), dataset, classes)
    for dataset, classes in AUDIO_SETS.items():
        for name, backbone in (
            (f"vatt_wat_base_{dataset}", specific_tower("audio", "base")),
            (f"vatt_wat_medium_agnostic_{dataset}", agnostic_tower("audio")),
        ):
            yield audio_classifier(name, backbone, dataset, classes)


def specific_tower(modality, size):
    towers = {f"{modality}_encoder": encoder(size), "modalities": (modality,)}
    return keras_vatt.VATTSpecificBackbone(**towers)


def agnostic_tower(modality):
    return keras_vatt.VATTAgnosticBackbone(**encoder("medium"), modalities=(modality,))


def video_classifier(name, backbone, dataset, classes):
    model = keras_vatt.VATTVideoClassifier(
        backbone,
        classes,
        class_names=class_names(dataset),
        preprocessor=keras_vatt.VATTPreprocessor.from_clip_spec(VIDEO_CLIP),
    )
    return name, model, describe_classifier("Video classifier", name, model)


def audio_classifier(name, backbone, dataset, classes):
    model = keras_vatt.VATTAudioClassifier(
        backbone,
        classes,
        class_names=class_names(dataset),
        multi_label=True,
        preprocessor=keras_vatt.VATTPreprocessor.from_clip_spec(AUDIO_CLIP),
    )
    return name, model, describe_classifier("Multi-label audio classifier", name, model)


def class_names(dataset):
    """Returns the names of a dataset's classes; `None` if no list is known."""
    path = FOLDER / "class_names" / f"{dataset}.txt"
    return path.read_text("utf-8").splitlines() if path.exists() else None


def describe_classifier(kind, name, model):
    names = (
        "It has no class names: `classify` returns the indices of classes."
        if model.class_names is None
        else "The order of its class names is assumed, as that of the training is not "
        "known: classify a few clips of known classes to check it."
    )
    dataset = PUBLISHED[name].dataset
    return f"{kind} for the {model.num_classes} classes of {dataset}. {names}"


def provenance(name, description):
    """Returns the provenance of a preset, with the results that its authors report."""
    facts = {"description": description, "license": "apache-2.0"}
    if name == "vatt_tiny_specific":
        source = "a model size that `keras-vatt pretrain` trains in minutes"
        return keras_vatt.Provenance(**facts, source=source)
    if name not in PUBLISHED:
        source = "the encoder sizes of VATT; no weights of this size were published"
        return keras_vatt.Provenance(**facts, source=source)
    checkpoint = PUBLISHED[name]
    datasets = dict.fromkeys((*PRETRAINING_SETS, checkpoint.dataset))
    task = f"{checkpoint.dataset}, as reported by the authors of VATT"
    return keras_vatt.Provenance(
        **facts,
        source=f"the checkpoint `{checkpoint.path}` by the authors of VATT ({AUTHORS})",
        datasets=tuple(filter(None, datasets)),
        evaluation={task: dict(checkpoint.reported)} if checkpoint.reported else {},
    )


def write(name, model, description):
    made = provenance(name, description)
    weights = DOWNLOAD if name in PUBLISHED else NONE
    with write_folder(FOLDER / name) as folder:
        write_configs(folder, model.backbone, model, model.preprocessor)
        write_metadata(folder, model, [], made.get_config())
        write_card(folder, name, card_facts(model), made, weights)


def write_tiny(runs):
    """Trains the tiny preset, and writes it with the results of its evaluation."""
    run, held_out = runs / "tiny", runs / "held_out"
    if run.exists():
        _run(f"keras-vatt pretrain --output {run} --resume")
    else:
        _run(TINY_TRAINING.replace("runs/tiny", str(run)))
    model = keras_vatt.VATT.from_preset(run / "preset")
    made = dataclasses.replace(
        model.provenance,
        description="One encoder for all modalities, small enough to train on a "
        "laptop. It was trained on clips of moving colored shapes, with a voice and "
        "captions that name them. It is evaluated by the last command below, on one "
        "new clip of each of the 120 combinations of color, shape and motion. All of "
        "them also occur in training.",
        license="apache-2.0",
        commands=(TINY_TRAINING, f'python -c "{TINY_CLIPS}"', TINY_EVALUATION),
    )
    # Saved twice: the evaluation loads it by its name.
    _save_tiny(model, made)
    make_demo_corpus(held_out, **HELD_OUT)
    evaluation = TINY_EVALUATION.replace("held_out", str(held_out))
    _run(f"{evaluation} --output {runs / 'evaluated'}")
    path = runs / "evaluated" / "evaluation.json"
    results = {
        f"zero-shot {task}": {n: round(value, 4) for n, value in row["metrics"].items()}
        for task, row in json.loads(path.read_text("utf-8"))["results"].items()
    }
    _save_tiny(model, dataclasses.replace(made, evaluation=results))


def _run(command):
    status = run_command(shlex.split(command)[1:])
    if status:
        raise SystemExit(status)


def _save_tiny(model, made):
    model.provenance = made
    model.save_to_preset(FOLDER / "vatt_tiny_agnostic")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", metavar="RUNS", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.tiny is not None:
        write_tiny(arguments.tiny)
        return
    for presets in (tiny_preset, pretraining_presets, classifier_presets):
        for preset in presets():
            print(preset[0], flush=True)
            write(*preset)
            # Names of layers in configs do not depend on the order of the presets.
            keras.utils.clear_session()


if __name__ == "__main__":
    main()
