"""Evaluate a preset on a set of the field, or on your own clips.

Retrieval asks for videos by captions and by audio, and back, without training.
Zero-shot classification compares clips with the names of their classes. A linear probe
is trained on frozen features of the train clips. Classification tests a fine-tuned
classifier. Datasets are read from their official split files. With --output the report
is kept, and the same command resumes where it was interrupted.
"""

import argparse

from keras_vatt.data.datasets import labeled_datasets
from keras_vatt.data.decoding._short_clips import SHORT_CLIPS
from keras_vatt.evaluation._settings import METHODS, TASKS, EvaluationSettings


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument("--task", required=True, choices=TASKS, help="what is measured")
    parser.add_argument(
        "--preset",
        required=True,
        help="built-in preset, preset folder, or hf://owner/name; for classification "
        "that of a fine-tuned classifier",
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="the folder of the set; for retrieval also what 'pretrain --data' takes",
    )
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help=f"which set it is: {', '.join(labeled_datasets())} (train/<class>/* and "
        "test/<class>/*, of video, audio or images); not given for a manifest or a "
        "folder of captioned videos",
    )
    parser.add_argument(
        "--split",
        default=1,
        type=_split,
        help="official split, from 1 (for esc50 the held-out fold), or 'all' for the "
        "mean over all",
    )
    parser.add_argument(
        "--windows",
        default=4,
        type=_count,
        help="windows of a test clip; an image is one",
    )
    parser.add_argument(
        "--crops",
        type=_count,
        help="crops of each window of video, or of each image; 3 of video for "
        "classification, else 1, if not given",
    )
    parser.add_argument(
        "--method",
        default="logistic_regression",
        choices=METHODS,
        help="the probe; 'vatt' is the one of the VATT authors, a bottleneck",
    )
    parser.add_argument(
        "--modality",
        choices=("video", "audio", "image"),
        help="what is classified; that of the dataset if not given",
    )
    parser.add_argument(
        "--template",
        dest="templates",
        action="append",
        metavar="TEXT",
        help="for zero-shot: a text with {} where the name of a class goes; may be "
        "repeated; the name alone if not given",
    )
    parser.add_argument(
        "--short-clips",
        default="repeat",
        choices=SHORT_CLIPS,
        help="what becomes of clips that are shorter than the model's: repeated from "
        "the start, padded with black frames and silence, or left out",
    )
    parser.add_argument(
        "--batch-size", default=32, type=_count, help="windows that run at a time"
    )
    parser.add_argument(
        "--num-workers",
        type=_count,
        help="threads that decode clips; by default the number of processors",
    )
    parser.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help="evaluate on N clips, evenly spread over the list, to try it; all if not "
        "given",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="report, features, and list of unused clips"
    )


def run(arguments):
    """Runs the command."""
    # It loads a backend: `keras-vatt --help` should not wait for it.
    from keras_vatt.evaluation import evaluate

    given = vars(arguments).copy()
    for name in ("command", "run"):
        given.pop(name)
    given["templates"] = tuple(given["templates"] or ("{}",))
    _, text = evaluate(EvaluationSettings(**given))
    print(text.split("## Versions")[0].strip())
    if arguments.output is not None:
        print(f"\nthe report is in {arguments.output}")


def _split(text):
    return "all" if text == "all" else _count(text)


def _count(text):
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer: {text!r}")
    return value
