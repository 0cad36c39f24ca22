"""A pre-training run, from its settings to its preset and reports."""

import contextlib
import pathlib
import sys

import keras

from keras_vatt import harmonization, losses
from keras_vatt._files import write_text
from keras_vatt._keras_internals import without_tensorflow
from keras_vatt._os_errors import os_errors_at
from keras_vatt.data import ClipAugmentation, make_dataset
from keras_vatt.data._cache import find_cache_error
from keras_vatt.evaluation import zero_shot_retrieval
from keras_vatt.metrics import RetrievalMetrics
from keras_vatt.models import VATTTokenizer
from keras_vatt.pretraining._corpus import read_data
from keras_vatt.pretraining._data_report import DATA_REPORT, DataReport
from keras_vatt.pretraining._devices import (
    cache_name,
    device_scope,
    is_first_process,
    join_processes,
    process_place,
)
from keras_vatt.pretraining._errors import PretrainingError, user_errors
from keras_vatt.pretraining._evaluated_model import EvaluatedModel, start_averages
from keras_vatt.pretraining._model import (
    choose_clip_spec,
    make_model,
    make_tokenizer,
    preset_preprocessor,
)
from keras_vatt.pretraining._report import (
    run_provenance,
    save_history,
    save_plots,
    save_retrieval,
)
from keras_vatt.pretraining._run_lock import run_lock
from keras_vatt.pretraining._settings import PretrainSettings, check_settings
from keras_vatt.pretraining._trackers import Tracker, import_tracker
from keras_vatt.pretraining._validation import Validation, ValidationCurves
from keras_vatt.training import CosineHistograms, RunCheckpoint, warmup_cosine
from keras_vatt.training._checkpoint_folder import CheckpointError

_LOSSES = {"asymmetric": losses.AsymmetricNCE, "symmetric": losses.SymmetricNCE}
_EVALUATION_BATCH = 32
CHECKPOINTS = "checkpoints"
VOCABULARY = "vocabulary.txt"


def pretrain(settings: PretrainSettings) -> dict[str, RetrievalMetrics]:
    """Pre-trains a model, or resumes an interrupted run.

    The run writes these files to the folder `settings.output`:

    | file or folder | content |
    |---|---|
    | `preset/` | the trained model, for `keras_vatt.VATT.from_preset` |
    | `retrieval.txt`, `retrieval.json` | zero-shot retrieval among held-out clips |
    | `plots/` | losses, gradient cosines and norms, histograms of the cosines |
    | `history.csv`, `tensorboard/` | the logs of each epoch |
    | `validation.csv` | losses and retrieval every `settings.validation_steps` steps |
    | `best/` | the model of the best of these validations |
    | `tracked_run.json` | the id of the run in `settings.tracker` |
    | `vocabulary.txt` | the words of the train captions, unless a vocabulary is given |
    | `data_report.json` | number of used clips, and reasons why others were skipped |
    | `checkpoints/` | the state from which an interrupted run resumes |
    | `cache/`, `corpus/` | decoded clips; the demo corpus |

    If the folder has a run with the same settings, it resumes from its last
    checkpoint, which may be in the middle of an epoch (`settings.checkpoint_steps`).
    Results and logs are the same as those of an uninterrupted run. A run that
    `settings.patience` has ended is not trained further.

    Args:
        settings: `PretrainSettings`.

    Returns:
        Dict from task to retrieval metrics, see `keras_vatt.evaluation`; empty if no
        clip is held out.

    Raises:
        PretrainingError: if a setting, a file or a checkpoint can't be used, or another
            run is writing to the folder.

    Example:
    ```python
    from keras_vatt.pretraining import PretrainSettings, pretrain

    settings = PretrainSettings(data="videos", output="runs/first", epochs=20)
    results = pretrain(settings)
    results["text->video"].recall_at_10
    ```
    """
    check_settings(settings)
    join_processes(settings)
    with run_lock(settings.output):
        return _pretrain(settings)


def _pretrain(settings):
    output = pathlib.Path(settings.output)
    output.mkdir(parents=True, exist_ok=True)
    with without_tensorflow():
        keras.utils.set_random_seed(settings.seed)
    with user_errors():
        make_harmonizer(settings, total_steps=1)
        if settings.tracker is not None and is_first_process():
            import_tracker(settings.tracker)
        preprocessor = preset_preprocessor(settings)
        spec = choose_clip_spec(settings, preprocessor)
        data = read_data(settings, output)
        tokenizer = _kept_words(output)
        if tokenizer is None:
            tokenizer = make_tokenizer(settings, preprocessor, data)
            _keep_words(settings, tokenizer, output)
        scope = device_scope(settings)
        evaluated = EvaluatedModel(scope)
        with scope:
            model = make_model(settings, spec, tokenizer)
        cache = output / "cache" / cache_name()
        train_clips, test_clips = (
            data.open(split, settings, spec, tokenizer, cache / split)
            for split in ("train", "test")
        )
        report = DataReport(
            output, data.findings, {"train": train_clips, "test": test_clips}
        )
        if (output / CHECKPOINTS).exists():
            _recall(report)
    _say(report)
    with _saved_by_the_first_process(report):
        try:
            with scope:
                checkpoint = _fit(
                    model, settings, train_clips, test_clips, evaluated, output, report
                )
        except CheckpointError as error:
            raise PretrainingError(str(error)) from error
        model = evaluated.update(model)
        if not is_first_process():
            return {}
        save_plots(checkpoint, output / "plots")
        with _file_errors(settings, test_clips):
            results = _evaluate(model, test_clips, output)
    model.provenance = run_provenance(
        settings, checkpoint.history, results, output / "plots"
    )
    model.save_to_preset(output / "preset")
    _say(f"\nPreset, plots and reports are in {output.resolve()}")
    return results


def _kept_words(output):
    """Returns the tokenizer of an interrupted run, if it was made from captions.

    Made again, it would have other ids if captions were added or can't be read.
    """
    path = output / VOCABULARY
    if (output / CHECKPOINTS).exists() and path.is_file():
        return VATTTokenizer(path)
    return None


def _keep_words(settings, tokenizer, output):
    is_from_captions = settings.vocabulary is None and settings.initialize_from is None
    if is_from_captions and is_first_process():
        write_text(output / VOCABULARY, "\n".join(tokenizer.vocabulary))


def _recall(report):
    try:
        report.recall()
    except ValueError as error:
        _say(f"the data report starts empty, as the stored one can't be used: {error}")


@contextlib.contextmanager
def _saved_by_the_first_process(report):
    """Writes the data report before and after a block, even if the block fails."""
    if not is_first_process():
        yield
        return
    report.save()
    try:
        yield
    finally:
        report.save()


def make_harmonizer(settings, total_steps):
    """Returns the harmonizer of a run, whose threshold changes over all steps.

    Args:
        settings: `PretrainSettings`.
        total_steps: int, the number of steps of the run.

    Returns:
        `keras_vatt.harmonization.Harmonizer`, or `None` for `"none"`.
    """
    if settings.harmonizer == "none":
        return None
    threshold = harmonization.LinearThreshold(
        settings.threshold_start, settings.threshold_end, total_steps
    )
    members = [
        harmonization.Curriculum(threshold)
        if name.strip().lower() == "curriculum"
        else harmonization.get(name)
        for name in settings.harmonizer.split("+")
    ]
    return members[0] if len(members) == 1 else harmonization.Chain(members)


def _fit(model, settings, clips, test_clips, evaluated, output, report):
    steps_per_epoch = settings.steps_per_epoch or len(clips) // settings.batch_size
    if len(clips) < settings.batch_size:
        raise PretrainingError(
            f"--batch-size {settings.batch_size} is larger than the number of train "
            f"clips, {len(clips)}: give more clips or a smaller --batch-size"
        )
    compile_model(model, settings, settings.epochs * steps_per_epoch)
    checkpoint = RunCheckpoint(
        output / CHECKPOINTS, every_steps=settings.checkpoint_steps
    )
    if checkpoint.restore(model):
        _say(
            f"resuming after epoch {checkpoint.epoch} and {checkpoint.step_in_epoch} "
            f"steps of the next epoch: {checkpoint.steps} steps in total"
        )
    callbacks, listeners = [checkpoint], [ValidationCurves(output / "tensorboard")]
    tracker = _tracker(settings, output, checkpoint)
    if tracker is not None:
        callbacks.append(tracker)
        listeners.append(tracker.log_validation)
    if settings.validation_steps is not None:
        validation = Validation(
            settings, model, test_clips, checkpoint, evaluated, output, listeners
        )
        if validation.is_over:
            _say("this run was stopped early: it is not trained further")
            return checkpoint
        # Before the checkpoint of the same step, which holds the results.
        callbacks.insert(0, validation)
    if is_first_process():
        # The report comes first, as clips before a checkpoint are not decoded again.
        callbacks = [_saver(report), *callbacks, *_log_files(checkpoint, output)]
    with (
        tracker.running() if tracker else contextlib.nullcontext(),
        os_errors_at(output),
        _completed_checkpoint(checkpoint),
        _file_errors(settings, test_clips),
        _file_errors(settings, clips),
    ):
        _run_fits(model, settings, clips, checkpoint, steps_per_epoch, callbacks)
    return checkpoint


def _tracker(settings, output, checkpoint):
    if settings.tracker is None or not is_first_process():
        return None
    return Tracker(settings, output, checkpoint)


def _run_fits(model, settings, clips, checkpoint, steps_per_epoch, callbacks):
    process, num_processes = process_place()
    for start_step, arguments in checkpoint.remaining_fits(
        settings.epochs, steps_per_epoch
    ):
        dataset = make_dataset(
            clips,
            settings.batch_size,
            training=True,
            seed=settings.seed,
            start_step=start_step,
            augment=ClipAugmentation(
                settings.noise,
                settings.horizontal_flip,
                settings.scale_jitter,
                settings.color_jitter,
                settings.random_area_crop,
            ),
            num_workers=settings.num_workers,
            shard_index=process,
            shard_count=num_processes,
        )
        model.fit(
            dataset,
            callbacks=callbacks,
            # In a log file, each update of a progress bar would be a line.
            verbose=(1 if sys.stdout.isatty() else 2) if process == 0 else 0,
            **arguments,
        )


@contextlib.contextmanager
def _completed_checkpoint(checkpoint):
    """Completes a checkpoint that is being written when the process has to end.

    That is after SIGINT, SIGTERM, or when nobody reads the output anymore.
    """
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        checkpoint.wait()
        raise


@contextlib.contextmanager
def _file_errors(settings, clips):
    """Converts errors from a damaged cache or clip to `PretrainingError`.

    The reason is read from the report of the clips, as TensorFlow replaces exceptions
    in its data pipeline by its own.
    """
    try:
        yield
    except Exception as error:
        message = find_cache_error(error) or _broken_file(settings, clips)
        if message is None:
            raise
        raise PretrainingError(message) from error


def _broken_file(settings, clips):
    """Returns the file and the reason for which a run ended; `None` for others."""
    report = clips.report
    left_out = [f for f in report.findings if f.problem.consequence == "skipped"]
    if left_out and settings.on_error == "raise":
        return f"{left_out[-1].where}: {left_out[-1].reason}"
    if left_out and not report.used:
        return f"no clip could be decoded, see {DATA_REPORT}: {left_out[-1].reason}"
    return None


def _saver(report):
    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: report.save_if_new()
    )


def _log_files(checkpoint, output):
    to_csv = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: save_history(checkpoint.history, output / "history.csv")
    )
    return [
        to_csv,
        keras.callbacks.TensorBoard(output / "tensorboard", write_graph=False),
        CosineHistograms(output / "tensorboard"),
    ]


def compile_model(model, settings, total_steps):
    """Compiles the model of a run with its optimizer, harmonizer and loss.

    Args:
        model: `keras_vatt.VATT`.
        settings: `PretrainSettings`.
        total_steps: int, the number of steps of the run.
    """
    warmup_steps = settings.warmup_steps
    if warmup_steps is None:
        warmup_steps = total_steps // 50
    with user_errors():
        learning_rate = warmup_cosine(
            settings.learning_rate,
            settings.final_learning_rate,
            warmup_steps,
            total_steps,
        )
        model.compile(
            optimizer=keras.optimizers.Adam(
                learning_rate,
                epsilon=1e-7,
                use_ema=settings.ema_momentum is not None,
                ema_momentum=settings.ema_momentum or 0.0,
            ),
            harmonizer=make_harmonizer(settings, total_steps),
            loss=_LOSSES[settings.loss](
                settings.temperature, skip_fraction=settings.skip_fraction
            ),
            num_groups=settings.num_groups,
            group_by=settings.group_by,
            compare=settings.compare,
            harmonized_variables=settings.harmonized_variables,
            num_micro_batches=settings.num_micro_batches,
        )
    start_averages(model)


def _evaluate(model, clips, output):
    if not len(clips):
        _say("there is no retrieval report, as no clips are held out")
        return {}
    dataset = make_dataset(clips, _EVALUATION_BATCH, training=False)
    results = zero_shot_retrieval(model, dataset)
    table = save_retrieval(results, output)
    _say(f"\nZero-shot retrieval among {len(clips)} held-out clips\n{table}")
    return results


def _say(text):
    if is_first_process():
        print(text, flush=True)
