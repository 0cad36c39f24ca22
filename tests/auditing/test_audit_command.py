"""`keras-vatt audit` ranks, counts, reports and drops clips."""

import csv
import json

import numpy as np
import pytest

import keras_vatt
from keras_vatt.auditing import AuditError, AuditSettings, audit
from keras_vatt.data import CorpusReport, read_corpus
from tests.auditing.conftest import (
    HOSTILE,
    HOSTILE_NAME,
    WITHOUT_AUDIO,
    WITHOUT_BOTH,
    WITHOUT_CAPTION,
)
from tests.models.tiny import tiny_vatt


def table_in(folder):
    with (folder / "audit.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def report_in(folder):
    return json.loads((folder / "audit.json").read_text())


def audited(preset, corpus, folder, **changes):
    changes = {"progress": False, "sheet_clips": 0, "negatives": 3} | changes
    return audit(AuditSettings(str(preset), str(corpus), str(folder), **changes))


def test_clips_are_ranked_and_those_without_a_modality_by_their_pair(
    audit_command, tmp_path, preset, corpus
):
    arguments = ["--preset", preset, "--data", corpus, "--output", tmp_path / "out"]
    code, out, _ = audit_command(*arguments, "--negatives", 3, "--sheet-clips", 2)
    assert code == 0
    assert "video audio and text: 6" in out
    assert "8 of 9 clips ranked by loss" in out
    assert "2 could not be used (1 missing, 1 corrupt), see data_report.json" in out
    table = table_in(tmp_path / "out")
    ranked = [row for row in table if row["rank"]]
    assert [int(row["rank"]) for row in ranked] == list(range(1, 9))
    losses = [float(row["loss"]) for row in ranked]
    assert losses == sorted(losses, reverse=True)
    rows = {row["path"].rpartition("/")[2]: row for row in table}
    assert {table[-1]["path"].rpartition("/")[2]} == {WITHOUT_BOTH}
    mute, wordless, neither = (
        rows[name] for name in (WITHOUT_AUDIO, WITHOUT_CAPTION, WITHOUT_BOTH)
    )
    assert mute["loss"] == mute["video_text_loss"] != ""
    assert mute["video_audio_loss"] == mute["gradient_cosine"] == ""
    assert wordless["similarity"] == wordless["video_audio_similarity"] != ""
    assert wordless["video_text_similarity"] == wordless["gradient_cosine"] == ""
    assert neither["rank"] == neither["loss"] == neither["similarity"] == ""
    assert rows[HOSTILE_NAME]["caption"] == HOSTILE
    part = [row for row in table if row["start"] == "0.2"]
    assert [row["end"] for row in part] == ["1.2"]
    assert (tmp_path / "out" / "contact_sheet.html").is_file()
    assert not (tmp_path / "out" / "kept.jsonl").exists()


@pytest.mark.once
def test_the_json_file_has_counts_problems_settings_and_all_rows(
    tmp_path, preset, corpus
):
    result = audited(preset, corpus, tmp_path / "out", rounds=2, seed=4)
    report = report_in(tmp_path / "out")
    assert report["counts"] == {
        "video_audio_and_text": 6,
        "video_audio": 1,
        "video_text": 1,
        "not_measured": 1,
        "dropped": 0,
    }
    assert report["counts"] == result.counts
    problems = {"missing": 1, "corrupt": 1, "no_audio": 2, "no_caption": 2}
    assert report["problems"] == problems
    data_report = CorpusReport.load(tmp_path / "out" / "data_report.json")
    assert data_report == result.data_report
    assert data_report.used == 9
    assert (report["settings"]["rounds"], report["settings"]["seed"]) == (2, 4)
    assert report["negatives"] == {"audio": 3, "text": 3}
    losses = [c.loss for c in result.clips if c.loss is not None]
    assert report["summary"]["loss"]["mean"] == pytest.approx(np.mean(losses))
    for row, cells, clip in zip(
        report["clips"], table_in(tmp_path / "out"), result.clips, strict=True
    ):
        assert row["path"] == cells["path"] == clip.segment.path
        assert row["loss"] == clip.loss
        assert cells["similarity"] == (
            "" if clip.loss is None else str(clip.similarity)
        )


@pytest.mark.once
@pytest.mark.parametrize("by", ["gradient", "similarity", "loss"])
def test_the_chosen_measure_ranks(tmp_path, preset, corpus, by):
    result = audited(preset, corpus, tmp_path / "out", by=by)
    ranked = result.ranked
    measure = "gradient_cosine" if by == "gradient" else by
    values = [getattr(clip, measure) for clip in ranked]
    assert values == sorted(values, reverse=by == "loss")
    assert len(ranked) == (6 if by == "gradient" else 8)
    assert all(clip.rank is None for clip in result.clips[len(ranked) :])


@pytest.mark.once
def test_similarities_are_those_of_the_encoded_files(tmp_path, preset, corpus):
    result = audited(preset, corpus, tmp_path / "out")
    model = keras_vatt.VATT.from_preset(preset)
    (clip,) = [c for c in result.clips if c.segment.path.endswith("/3.mp4")]
    path = clip.segment.path
    outputs = model.encode(video=path, audio=path, text=clip.segment.caption)
    for modality, found in (
        ("audio", clip.video_audio_similarity),
        ("text", clip.video_text_similarity),
    ):
        video = outputs["video"][f"to_{modality}"][0]
        other = outputs[modality]["to_video"][0]
        cosine = video @ other / np.linalg.norm(video) / np.linalg.norm(other)
        assert found == pytest.approx(cosine, abs=1e-5)


@pytest.mark.once
def test_the_manifest_lacks_the_worst_clips_and_is_read(
    audit_command, tmp_path, preset, corpus
):
    out = tmp_path / "out"
    arguments = ["--preset", preset, "--data", corpus, "--output", out]
    arguments += ["--split", "train", "--drop", 0.3, "--sheet-clips", 0]
    code, printed, _ = audit_command(*arguments)
    assert code == 0
    assert f"--data {out / 'kept.jsonl'} --allow-outside" in printed
    table = table_in(out)
    assert sum(row["rank"] != "" for row in table) == 7
    dropped = [row["path"] for row in table[:2]]  # 30 % of 7.
    assert report_in(out)["counts"]["dropped"] == 2
    before, _ = read_corpus(corpus)
    kept, findings = read_corpus(out / "kept.jsonl", allow_outside=True)
    assert not findings
    # Those of other splits, such as a part of 0.mp4, are kept as they are.
    expected = [
        segment
        for segment in before
        if segment.split != "train" or segment.path not in dropped
    ]
    assert kept == expected
    assert any(segment.extra.get("source") == "tape 4" for segment in before)
    assert len(kept) == len(before) - 2


@pytest.mark.once
def test_a_file_that_cannot_be_decoded_is_not_kept(tmp_path, preset, corpus):
    audited(preset, corpus, tmp_path / "out", drop=0.01)
    kept, _ = read_corpus(tmp_path / "out" / "kept.jsonl", allow_outside=True)
    names = [segment.path.rpartition("/")[2] for segment in kept]
    assert "noise.mp4" not in names
    assert len(names) == 9


@pytest.mark.once
def test_results_of_an_earlier_audit_do_not_stay(
    audit_command, tmp_path, preset, corpus
):
    audited(preset, corpus, tmp_path / "out", drop=0.3, sheet_clips=2)
    names = {"kept.jsonl", "contact_sheet.html"}
    assert names <= {path.name for path in (tmp_path / "out").iterdir()}
    audited(preset, corpus, tmp_path / "out", by="similarity")
    assert not names & {path.name for path in (tmp_path / "out").iterdir()}
    arguments = ["--preset", preset, "--data", corpus, "--output", tmp_path / "out"]
    code, out, _ = audit_command(*arguments, "--drop", 0.01, "--sheet-clips", 0)
    assert code == 0
    assert "no clip was dropped: 0.01 of them is less than one" in out


@pytest.mark.once
def test_at_least_one_clip_is_kept(tmp_path, preset, corpus):
    result = audited(preset, corpus, tmp_path / "out", drop=0.999)
    assert result.counts["dropped"] == 7
    kept, _ = read_corpus(tmp_path / "out" / "kept.jsonl", allow_outside=True)
    best = result.ranked[-1].segment
    assert {s.path for s in kept} == {best.path, result.clips[-1].segment.path}


@pytest.mark.once
def test_an_interrupted_audit_encodes_no_clip_twice(
    audit_command, tmp_path, preset, corpus, monkeypatch
):
    from keras_vatt.inference import _clip_decoder as decoding
    from keras_vatt.inference import _encoder as encoders

    arguments = ["--preset", preset, "--data", corpus, "--batch-size", 2]
    arguments += ["--sheet-clips", 0, "--output"]
    assert audit_command(*arguments, tmp_path / "whole")[0] == 0
    encode, batches = encoders.VATTEncoder.__call__, []

    def encode_two_batches(self, modality, batch):
        batches.append(modality)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return encode(self, modality, batch)

    monkeypatch.setattr(encoders.VATTEncoder, "__call__", encode_two_batches)
    code, _, err = audit_command(*arguments, tmp_path / "out")
    assert code == 130
    assert "resume with the same command" in err
    monkeypatch.setattr(encoders.VATTEncoder, "__call__", encode)
    decode, decoded = decoding.ClipDecoder.__call__, []

    def count(self, segment):
        decoded.append(self.modality)
        return decode(self, segment)

    monkeypatch.setattr(decoding.ClipDecoder, "__call__", count)
    assert audit_command(*arguments, tmp_path / "out")[0] == 0
    # Ten videos, of which four are done; nine have audio, or may have.
    assert (decoded.count("video"), decoded.count("audio")) == (6, 9)
    assert table_in(tmp_path / "out") == table_in(tmp_path / "whole")
    decoded.clear()
    again = [*arguments, tmp_path / "out", "--by", "gradient", "--rounds", 1]
    assert audit_command(*again)[0] == 0
    # Only those that could not be decoded before.
    assert (decoded.count("video"), decoded.count("audio")) == (1, 2)


@pytest.mark.once
def test_mistakes_are_named_in_one_line(
    audit_command, tmp_path, preset, corpus, silent_corpus
):
    tiny_vatt().save_to_preset(tmp_path / "bare")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    (tmp_path / "empty").mkdir()
    given = ["--preset", preset, "--data", corpus]
    silent = ["--preset", preset, "--data", silent_corpus]
    mistakes = {
        "--drop must be below 1": [*given, "--drop", 1],
        "--drop must be above 0": [*given, "--drop", 0],
        "--rounds must be at least 1": [*given, "--rounds", 0],
        "is not empty": [*given, "--output", tmp_path / "full"],
        "Its splits are: 'train'": [*given, "--split", "valid"],
        "There is no preset": ["--preset", "vatt_huge", "--data", corpus],
        "no preprocessor": ["--preset", tmp_path / "bare", "--data", corpus],
        "no file or folder": ["--preset", preset, "--data", tmp_path / "nowhere"],
        "there is no clip in": ["--preset", preset, "--data", tmp_path / "empty"],
        "at least two clips with audio": silent,
    }
    for message, arguments in mistakes.items():
        if "--output" not in arguments:
            arguments = [*arguments, "--output", tmp_path / "out" / message[:9]]
        code, _, err = audit_command(*arguments)
        assert code == 2, message
        assert message in err.strip().splitlines()[-1]


@pytest.mark.once
def test_gradients_need_audio_and_captions(tmp_path, preset, silent_corpus):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.mp4").write_bytes(
            (silent_corpus / "tone.mp4").read_bytes()
        )
    result = audited(preset, folder, tmp_path / "out")
    assert result.counts["video_audio"] == 2
    with pytest.raises(AuditError, match="no clip has a gradient cosine"):
        audited(preset, folder, tmp_path / "out", by="gradient")


@pytest.mark.once
def test_a_folder_has_the_features_of_one_model(tmp_path, preset, corpus):
    audited(preset, corpus, tmp_path / "out")
    model = keras_vatt.VATT.from_preset(preset)
    model.bridge_head.audio_to_video.bias.assign(np.ones(12))
    model.save_to_preset(tmp_path / "other")
    with pytest.raises(AuditError, match=r"an audit with other settings \(weights\)"):
        audited(tmp_path / "other", corpus, tmp_path / "out")


@pytest.mark.once
def test_embeddings_that_overflow_are_named(tmp_path, preset, corpus):
    model = keras_vatt.VATT.from_preset(preset)
    model.bridge_head.audio_to_video.kernel.assign(np.full((16, 12), 3e38))
    model.save_to_preset(tmp_path / "broken")
    with pytest.raises(AuditError, match="to_video of audio is not finite"):
        audited(tmp_path / "broken", corpus, tmp_path / "out")
