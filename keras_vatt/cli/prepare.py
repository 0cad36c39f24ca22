"""Prepares a dataset for training: from raw files and captions to shards.

Each clip is decoded once, and stored as JPEG frames, a waveform and captions. The same
command resumes an interrupted run. Clips that can't be used are skipped, and named in
the `report.json` of the output. Train on the result with `keras-vatt pretrain --data`.
"""

from __future__ import annotations

from keras_vatt._remote_files import is_remote
from keras_vatt._setting_fields import add_setting_options, given_settings
from keras_vatt.cli.errors import CommandError
from keras_vatt.data import StoredForm, prepare_shards, verify_shards
from keras_vatt.data.decoding._file_errors import ON_ERROR
from keras_vatt.data.shards._engines import ENGINES
from keras_vatt.data.shards._formats import FORMATS


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument(
        "--source",
        help="folder of videos with captions, manifest (.jsonl, .csv), folder of "
        "AudioSet or YouTube-8M with its segment tables, shards to convert, or dataset "
        "of the Hugging Face datasets library; also at gs://, s3:// and hf://",
    )
    parser.add_argument("--output", help="folder or URL of the dataset")
    parser.add_argument(
        "--verify",
        metavar="FOLDER",
        help="only read the shards of a prepared dataset and compare their checksums",
    )
    parser.add_argument(
        "--format", choices=list(FORMATS), default="arrayrecord", help="kind of shards"
    )
    parser.add_argument(
        "--num-shards", type=int, default=16, help="shards of the largest split"
    )
    add_setting_options(parser, StoredForm)
    parser.add_argument(
        "--stored-frames-per-second",
        type=float,
        default=10.0,
        help="frame rate of a source of shards that don't tell theirs",
    )
    parser.add_argument(
        "--stored-sampling-rate",
        type=int,
        default=48_000,
        help="sampling rate of a source of shards that don't tell theirs",
    )
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=0.0,
        help="fraction of the files to hold out, if the source has no test split",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of that choice")
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="read files outside the folder of the source; only for data that you "
        "trust",
    )
    parser.add_argument(
        "--caption-language",
        default="en",
        help="language of the captions of videos that have several",
    )
    parser.add_argument(
        "--on-error",
        choices=ON_ERROR,
        default="skip",
        help="rule for clips that can't be used: skip and report them, or stop",
    )
    parser.add_argument(
        "--num-workers",
        type=int,
        help="shards that are written at the same time; one per processor by default",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="local",
        help="threads of this machine, or a cluster with Ray Data",
    )
    parser.add_argument(
        "--address",
        help="address of the Ray cluster, such as auto or 10.0.0.1:6379; by default "
        "one is started on this machine",
    )


def run(arguments):
    """Runs the command."""
    if arguments.verify is not None:
        _verify(arguments.verify)
        return
    for name in ("source", "output"):
        if getattr(arguments, name) is None:
            raise CommandError(f"--{name} is missing")
    try:
        report = prepare_shards(
            arguments.source,
            arguments.output,
            arguments.format,
            arguments.num_shards,
            StoredForm(**given_settings(arguments, StoredForm)),
            test_fraction=arguments.test_fraction,
            seed=arguments.seed,
            allow_outside=arguments.allow_outside,
            caption_language=arguments.caption_language,
            stored_frames_per_second=arguments.stored_frames_per_second,
            stored_sampling_rate=arguments.stored_sampling_rate,
            on_error=arguments.on_error,
            num_workers=arguments.num_workers,
            engine=arguments.engine,
            address=arguments.address,
        )
    except (FileNotFoundError, ValueError) as error:
        raise CommandError(str(error)) from error
    print(report)
    place = arguments.output
    print(f"the dataset is ready: keras-vatt pretrain --data {place} --output runs/1")
    if not is_remote(place):
        print(f"all that was skipped is in {place.rstrip('/')}/report.json")


def _verify(folder):
    report = verify_shards(folder)
    print(report)
    if report.findings:
        raise CommandError(f"{len(report.findings)} shards of {folder} can't be used")
