"""Pre-trains VATT with gradient harmonization on videos with audio and captions.

The command reads video files and writes a preset folder, plots and a zero-shot
retrieval report. Options take precedence over the settings of the recipe, and these
over the defaults. To resume an interrupted run, give `--output FOLDER --resume`.
"""

import contextlib
import importlib
import pathlib

from keras_vatt._files import is_free_folder
from keras_vatt._setting_fields import add_setting_options, given_settings
from keras_vatt.cli.errors import CommandError
from keras_vatt.cli.quiet_logs import quiet_imports
from keras_vatt.pretraining._corpus import data_sources, is_there
from keras_vatt.pretraining._data_report import DATA_REPORT
from keras_vatt.pretraining._devices import is_first_process, join_processes
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._named_places import (
    SIGNATURE,
    check_places,
    check_processes,
    check_settings_file,
    is_own_run,
    sign_places,
)
from keras_vatt.pretraining._run import CHECKPOINTS, VOCABULARY, pretrain
from keras_vatt.pretraining._run_lock import LOCK_NAME, run_lock
from keras_vatt.pretraining._settings import (
    PretrainSettings,
    load_settings,
    recipe_names,
    resolve_settings,
    save_settings,
)
from keras_vatt.pretraining._trackers import TRACKED_RUN

_SETTINGS = "settings.json"
# Files that a run which failed before its first step may leave.
_REUSED = {"cache", "corpus", DATA_REPORT, LOCK_NAME, VOCABULARY}


def add_arguments(parser):
    """Adds the options of the command."""
    parser.add_argument(
        "--recipe",
        help=f"built-in recipe ({', '.join(recipe_names())}) or TOML file of settings",
    )
    parser.add_argument(
        "--resume", action="store_true", help="resume the run in --output"
    )
    add_setting_options(parser, PretrainSettings)


def run(arguments):
    """Runs the command."""
    given = given_settings(arguments, PretrainSettings)
    settings = _settle(given, arguments.recipe, arguments.resume)
    with quiet_imports():
        importlib.import_module("tensorflow")  # Keras' TensorBoard callback does it.
    with run_lock(settings.output):
        if is_first_process() and not arguments.resume:
            _begin(settings)
        _pretrain_or_clear(settings, arguments.resume)


def _pretrain_or_clear(settings, resume):
    """Pre-trains, and cleans up if that fails before the first checkpoint."""
    try:
        pretrain(settings)
    except PretrainingError:
        output = pathlib.Path(settings.output)
        has_begun = resume or (output / CHECKPOINTS).exists()
        if not has_begun and is_first_process():
            for name in (_SETTINGS, SIGNATURE, TRACKED_RUN, LOCK_NAME):
                (output / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # It may have decoded clips.
                output.rmdir()
        raise


def _settle(given, recipe, resume):
    if "output" not in given:
        raise CommandError("--output is missing")
    output = pathlib.Path(given["output"])
    if resume:
        if recipe is not None:
            raise CommandError(
                "--resume uses the settings of the run: leave out --recipe"
            )
        return _resumed_settings(output, given)
    settings = resolve_settings(given, recipe)
    for source, _ in data_sources(settings.data):
        if not is_there(source):
            raise CommandError(f"there is no file or folder {source!r}")
    join_processes(settings)
    if is_first_process():
        # Checked before locking, which would leave a file in an unrelated folder.
        _check_free(output)
    return settings


def _resumed_settings(output, given):
    check_settings_file(output, _SETTINGS)
    settings = load_settings(output / _SETTINGS, given)
    is_own = is_own_run(load_settings(output / _SETTINGS, {}), output)
    if not is_own:
        check_processes(settings, given)
    join_processes(settings)
    # Only the first process checks: without it, the others can't resume.
    if not is_own and is_first_process():
        check_places(settings, given, output)
    return settings


def _begin(settings):
    # Checked again: another run may have started there before this one had the lock.
    output = pathlib.Path(settings.output)
    _check_free(output)
    save_settings(settings, output / _SETTINGS)
    sign_places(settings, output)


def _check_free(output):
    """Raises an error if a new run can't use the folder, see `_REUSED`."""
    if not is_free_folder(output, ignored=_REUSED):
        raise CommandError(
            f"{str(output)!r} is not empty: choose another --output, or resume the run "
            "in it with --resume"
        )
