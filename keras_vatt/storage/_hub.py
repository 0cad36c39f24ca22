"""Downloads and uploads presets on the Hugging Face Hub, with actionable errors."""

import contextlib
import pathlib
import re

import huggingface_hub
from huggingface_hub import errors

from keras_vatt.storage import _preset_files as preset_files
from keras_vatt.storage._preset_files import PresetError
from keras_vatt.storage._stored_tensors import SINGLE_FILE

_PREFIX = "hf://"
_URI = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-][\w./-]*))?"
)
_CONFIGS = ["*.json", preset_files.CARD, f"{preset_files.PLOTS}/*.png"]
_CONFIGS += [f"{preset_files.TOKENIZER_ASSETS}/*"]
_WEIGHTS = ["*.safetensors"]
# Files of an earlier preset in the repository that the new one may not have.
_REPLACED = ["*.json", "*.safetensors", "*.weights.h5", "assets/*", "plots/*"]


def is_hub_uri(preset):
    """Returns whether the name of a preset is an address on the Hub."""
    return str(preset).startswith(_PREFIX)


def parse_hub_uri(uri):
    """Splits `hf://owner/name[@revision]` into repository and revision.

    Args:
        uri: string.

    Returns:
        Tuple of two strings. The revision is `None` if the address has none.

    Raises:
        PresetError: if it is not such an address.
    """
    match = _URI.fullmatch(uri)
    # The revision becomes a part of the paths in the cache.
    if match is None or ".." in uri:
        raise PresetError(
            f"{uri!r} is not an address on the Hugging Face Hub: expected "
            "hf://owner/name or hf://owner/name@revision"
        )
    return match["repository"], match["revision"]


def download_preset(uri, with_weights=True):
    """Downloads a preset from the Hub into the local cache, unless it is there.

    Args:
        uri: string, `hf://owner/name[@revision]`.
        with_weights: bool. `False` doesn't download the weights. Defaults to `True`.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        PresetError: if there is no such repository or revision, access is denied, or
            the Hub can't be reached and the preset is not in the cache.
    """
    repository, revision = parse_hub_uri(uri)
    patterns = _CONFIGS + (_WEIGHTS if with_weights else [])
    with _clear_errors(repository, revision):
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision, allow_patterns=patterns
        )
    return pathlib.Path(folder)


def has_weights_on_hub(repository):
    """Returns whether a repository on the Hub holds a preset with weights.

    Args:
        repository: string, `owner/name`.

    Raises:
        PresetError: if the Hub can't be reached or refuses the request.
    """
    hub = huggingface_hub.HfApi()
    with _clear_errors(repository, None):
        return any(
            hub.file_exists(repository, name)
            for name in (SINGLE_FILE, preset_files.WEIGHTS_INDEX)
        )


def upload_preset(
    folder,
    repository,
    private=None,
    revision=None,
    create_pr=False,
    token=None,
    message=None,
):
    """Uploads a preset folder to a repository of the Hub, in one commit.

    The repository and the branch are created if they are missing. Files of an earlier
    preset that the new one doesn't have are removed.

    Args:
        folder: path of the preset.
        repository: string, `owner/name`.
        private: bool. Whether a new repository is private. Defaults to `None`, the
            default of the account.
        revision: string, the branch. Defaults to `None`, the main branch.
        create_pr: bool. Whether to open a pull request. Defaults to `False`.
        token: string, a user access token. Defaults to `None`, the stored token.
        message: string, the commit message. Defaults to `None`.

    Returns:
        String, the URL of the commit or of the pull request.

    Raises:
        PresetError: if the Hub can't be reached or refuses the upload.
    """
    hub = huggingface_hub.HfApi(token=token)
    with _clear_errors(repository, revision):
        hub.create_repo(repository, private=private, exist_ok=True)
        if revision is not None and not create_pr:
            hub.create_branch(repository, branch=revision, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            create_pr=create_pr,
            commit_message=message or "Upload a keras_vatt preset",
            delete_patterns=_REPLACED,
        )
    return commit.pr_url or commit.commit_url


@contextlib.contextmanager
def _clear_errors(repository, revision):
    try:
        yield
    except errors.GatedRepoError as error:
        raise PresetError(
            f"The repository {repository!r} is gated: request access on its page, then "
            "log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise PresetError(
            f"The repository {repository!r} has no revision {revision!r}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise PresetError(
            f"There is no repository {repository!r} on the Hub, or it is private: "
            "check the name, or log in with `hf auth login`"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise PresetError(
            f"The repository {repository!r} is incomplete in the cache and can't be "
            f"downloaded from the Hub: {_one_line(error.__cause__ or error)}"
        ) from error
    except errors.HfHubHTTPError as error:
        raise PresetError(
            f"The Hub refused the request for {repository!r}: {_one_line(error)}"
        ) from error
    # An interrupted download raises an error of the client's HTTP library.
    except (OSError, errors.HTTPError, errors.HFValidationError) as error:
        raise PresetError(
            f"The transfer of {repository!r} failed. Try again. The error was: "
            f"{_one_line(error)}"
        ) from error


def _one_line(error):
    return " ".join(str(error).split())
