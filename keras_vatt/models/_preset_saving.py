"""Saves models as presets, in folders and on the Hugging Face Hub."""

import os
import pathlib
import tempfile

from keras_vatt._files import check_space
from keras_vatt._keras_internals import without_tensorflow
from keras_vatt.storage import save_weights, write_folder
from keras_vatt.storage._card_facts import card_facts
from keras_vatt.storage._hub import is_hub_uri, parse_hub_uri, upload_preset
from keras_vatt.storage._model_card import write_card
from keras_vatt.storage._preset_writer import write_configs, write_metadata
from keras_vatt.storage._provenance import Provenance


class SavesToPreset:
    """Mixin of the models that are saved as presets."""

    def save_to_preset(
        self,
        folder: str | os.PathLike,
        max_shard_size: float = 5.0,
        keras_hub_weights: bool = False,
    ) -> None:
        """Saves the model with its preprocessor, tokenizer and a model card.

        The write is atomic: an earlier preset in the folder is replaced only by a
        complete new one. A folder with anything else in it is refused.

        Args:
            folder: string or path; or `hf://owner/name[@branch]`, see `push_to_hub`.
            max_shard_size: float. Size of the largest weights file in gigabytes;
                larger weights are split into several files. Defaults to `5.0`.
            keras_hub_weights: bool. Whether to write `model.weights.h5` as well, the
                format of KerasHub's own presets. Defaults to `False`.

        Raises:
            PresetError: if the folder holds something else than a preset.
            OSError: if the preset can't be written, for example on a full disk. The
                error names the folder, and an earlier preset in it is unchanged.

        Example:
        ```python
        model.save_to_preset("my_preset")
        model = keras_vatt.VATT.from_preset("my_preset")
        ```
        """
        if is_hub_uri(folder):
            repository, revision = parse_hub_uri(str(folder))
            self.push_to_hub(repository, revision=revision)
            return
        with write_folder(folder) as partial:
            self._write_preset(partial, pathlib.Path(folder).name, max_shard_size)
            if keras_hub_weights:
                save_keras_hub_weights(getattr(self, "backbone", self), partial)

    def push_to_hub(
        self,
        repo_id: str,
        private: bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        token: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Saves the model as a preset in a repository on the Hugging Face Hub.

        Args:
            repo_id: string, `owner/name`. The repository is created if it is missing.
            private: bool. Whether a new repository is private. Defaults to `None`, the
                default of the account.
            revision: string, the branch, which is created if it is missing. Defaults
                to `None`, the main branch.
            create_pr: bool. Whether to open a pull request. Defaults to `False`.
            token: string, a user access token. Defaults to `None`, the token that
                `hf auth login` stored.
            commit_message: string. Defaults to `None`.

        Returns:
            String, the URL of the commit or of the pull request.

        Raises:
            PresetError: if the Hub can't be reached or refuses the upload.

        Example:
        ```python
        model.push_to_hub("owner/my_preset", private=True)
        model = keras_vatt.VATT.from_preset("hf://owner/my_preset")
        ```
        """
        with tempfile.TemporaryDirectory() as folder:
            self._write_preset(pathlib.Path(folder), f"hf://{repo_id}")
            return upload_preset(
                folder, repo_id, private, revision, create_pr, token, commit_message
            )

    @without_tensorflow()
    def _write_preset(self, folder, name, max_shard_size=5.0):
        if hasattr(self, "backbone"):
            write_configs(folder, self.backbone, self, self.preprocessor)
        else:
            write_configs(folder, self)
        weights = save_weights(self, folder, max_shard_size)
        provenance = self.provenance or Provenance()
        write_metadata(folder, self, weights, provenance.get_config())
        write_card(folder, name, card_facts(self), provenance)


def save_keras_hub_weights(backbone, folder):
    """Writes `model.weights.h5`, the weights of a backbone for KerasHub.

    Args:
        backbone: a VATT backbone.
        folder: `pathlib.Path` of the preset.

    Raises:
        OSError: if there is too little space on the disk.
    """
    path = folder / "model.weights.h5"
    check_space(path, 4 * backbone.count_params())
    backbone.save_weights(path)
