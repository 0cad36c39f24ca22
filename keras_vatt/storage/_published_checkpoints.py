"""The checkpoints of VATT that its authors published, and the results they report.

Source: the README of google-research/google-research, folder `vatt` (Apache-2.0).
"""

import dataclasses
from collections.abc import Mapping

AUTHORS = (
    "Hassan Akbari, Liangzhe Yuan, Rui Qian, Wei-Hong Chuang, Shih-Fu Chang, Yin Cui, "
    "Boqing Gong; google-research/google-research, folder `vatt`, Apache-2.0"
)


@dataclasses.dataclass(frozen=True)
class PublishedCheckpoint:
    """A checkpoint that the authors of VATT published.

    Attributes:
        path: string, the path of its two files below the base address, without
            `.index` and `.data-00000-of-00001`.
        dataset: string, the dataset that the model was fine-tuned on; empty for a
            pre-trained model.
        reported: dict from metric to the value that the authors report.
    """

    path: str
    dataset: str = ""
    reported: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def describe_results(self) -> str:
        """Returns the reported results, such as `"top-1 79.6, top-5 94.9"`."""
        return ", ".join(f"{name} {value}" for name, value in self.reported.items())


def _pretrained(name):
    return PublishedCheckpoint(f"pretrain/{name}/ckpt-500000")


def _video(path, dataset, top_1, top_5):
    reported = {"top-1": top_1, "top-5": top_5}
    return PublishedCheckpoint(f"finetune/{path}", dataset, reported)


def _audio(path, mean_average_precision, auc, d_prime):
    reported = {"mAP": mean_average_precision, "AUC": auc, "d'": d_prime}
    return PublishedCheckpoint(f"finetune/{path}/ckpt-50000", "AudioSet", reported)


def _kinetics(size, classes, kind, results, step=100_000):
    path = f"vit_{size}/k{classes}_modality_{kind}_pretrain/ckpt-{step}"
    return _video(path, f"Kinetics-{classes}", *results)


def _moments(size, kind, results):
    path = f"vit_{size}/mit_modality_{kind}_pretrain/ckpt-150000"
    return _video(path, "Moments in Time", *results)


# By the names of the built-in presets.
PUBLISHED = {
    "vatt_bbs_specific": _pretrained("tx_fac_bbs"),
    "vatt_mbs_specific": _pretrained("tx_fac_mbs"),
    "vatt_lbs_specific": _pretrained("tx_fac_lbs"),
    "vatt_medium_agnostic": _pretrained("ut_fac_medium"),
    "vatt_vit_base_kinetics400": _kinetics("base", 400, "specific", (79.6, 94.9)),
    "vatt_vit_medium_kinetics400": _kinetics("medium", 400, "specific", (81.1, 95.6)),
    "vatt_vit_large_kinetics400": _kinetics("large", 400, "specific", (82.1, 95.5)),
    "vatt_vit_medium_agnostic_kinetics400": _kinetics(
        "medium", 400, "agnostic", (79.9, 94.9)
    ),
    "vatt_vit_base_kinetics600": _kinetics("base", 600, "specific", (80.5, 95.5)),
    "vatt_vit_medium_kinetics600": _kinetics(
        "medium", 600, "specific", (82.4, 96.1), step=90_000
    ),
    "vatt_vit_large_kinetics600": _kinetics("large", 600, "specific", (83.6, 96.6)),
    "vatt_vit_medium_agnostic_kinetics600": _kinetics(
        "medium", 600, "agnostic", (80.8, 95.5)
    ),
    "vatt_vit_large_kinetics700": _kinetics("large", 700, "specific", (72.7, 90.5)),
    "vatt_vit_base_moments_in_time": _moments("base", "specific", (38.7, 67.5)),
    "vatt_vit_medium_moments_in_time": _moments("medium", "specific", (39.5, 68.2)),
    "vatt_vit_large_moments_in_time": _moments("large", "specific", (41.1, 67.7)),
    "vatt_vit_medium_agnostic_moments_in_time": _moments(
        "medium", "agnostic", (37.8, 65.9)
    ),
    "vatt_wat_base_audioset": _audio(
        "wat_base/audioset_modality_specific_pretrain", 39.4, 97.1, 2.895
    ),
    "vatt_wat_medium_agnostic_audioset": _audio(
        "wat_medium/audioset_modality_agnostic_pretrain", 39.3, 97.0, 2.884
    ),
}
