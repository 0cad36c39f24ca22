"""Corpora in object stores and on the Hub are read as local ones are."""

import json
import time

import pytest

from keras_vatt import _remote_files
from keras_vatt._file_stamps import file_stamp
from keras_vatt._remote_files import RemoteFileError
from keras_vatt.data import (
    ClipSource,
    ClipSpec,
    MediaError,
    Problem,
    Segment,
    probe,
    read_corpus,
    read_subtitles,
    write_manifest,
)
from keras_vatt.data._cache import _fingerprint

pytestmark = pytest.mark.once

VTT = "WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n"
VIDEO = b"not read here"
FILES = {
    "a.mp4": VIDEO,
    "a.en.vtt": VTT.format("of a").encode(),
    "a.de.srt": b"",
    "b/c d.mkv": VIDEO,
    "b/c d.csv": b"start,end,text\n3,4,of c\n",
    "b/é#1.mp4": VIDEO,
    "b-x.webm": VIDEO,
    "b/caption.json": json.dumps(
        {"é#1": {"start": [5], "end": [6], "text": ["of é"]}}
    ).encode(),
    "b/sound.wav": b"",
    "b/empty.vtt": b"",
    ".hidden.mp4": VIDEO,
    ".git/d.mp4": VIDEO,
    "notes.txt": b"",
}


@pytest.fixture
def corpus(any_store):
    for name, content in FILES.items():
        any_store.put(f"corpus/{name}", content)
    any_store.put("secret.mp4", VIDEO)
    any_store.put("corpus-2/secret.mp4", VIDEO)
    any_store.folder = f"{any_store.url}/corpus"
    return any_store


def with_manifest(store, *rows, name="manifest.jsonl"):
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    store.put(f"corpus/{name}", text.encode())
    return f"{store.folder}/{name}"


def test_a_folder_is_read_as_a_local_one(corpus, tmp_path):
    local = tmp_path / "corpus"
    for name, content in FILES.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_bytes(content)
    for options in ({}, {"caption_language": "de"}, {"max_subtitle_bytes": 20}):
        segments, findings = read_corpus(corpus.folder + "/", **options)
        expected, expected_findings = read_corpus(local, **options)
        assert [s.path.removeprefix(corpus.folder) for s in segments] == [
            s.path.removeprefix(str(local)) for s in expected
        ]
        assert [s.caption for s in segments] == [s.caption for s in expected]
        assert len(findings) == len(expected_findings)
        for finding, local_finding in zip(findings, expected_findings, strict=True):
            where = local_finding.where.replace(str(local), corpus.folder)
            reason = local_finding.reason.replace(str(local), corpus.folder)
            assert finding == type(finding)(local_finding.problem, where, reason)


def test_a_manifest_names_files_below_its_folder(corpus):
    manifest = with_manifest(
        corpus,
        {"path": "a.mp4", "start": 1, "caption": "of a", "label": 7},
        {"path": "b/../b/./c d.mkv"},
        {"path": f"{corpus.folder}/b/é#1.mp4"},
        {"path": ".hidden.mp4"},
        {"path": "gone.mp4", "split": "test"},
    )
    for source in (manifest, corpus.folder):
        segments, (finding,) = read_corpus(source)
        assert segments == [
            Segment(f"{corpus.folder}/a.mp4", 1.0, None, "of a", extra={"label": 7}),
            Segment(f"{corpus.folder}/b/c d.mkv"),
            Segment(f"{corpus.folder}/b/é#1.mp4"),
            Segment(f"{corpus.folder}/.hidden.mp4"),
        ]
        assert finding.problem is Problem.MISSING
        assert finding.where == f"{manifest}, line 5"


def test_a_manifest_in_csv_comes_after_one_in_json_lines(corpus):
    corpus.put(
        "corpus/manifest.csv", "path,split\nb-x.webm,train\n".encode("utf-8-sig")
    )
    (segment,) = read_corpus(corpus.folder)[0]
    assert segment == Segment(f"{corpus.folder}/b-x.webm", split="train")
    with_manifest(corpus, {"path": "a.mp4"})
    assert [s.path for s in read_corpus(corpus.folder)[0]] == [f"{corpus.folder}/a.mp4"]


OUTSIDE = {
    "../secret.mp4": "{url}/secret.mp4",
    "b/../../secret.mp4": "{url}/secret.mp4",
    "../corpus-2/secret.mp4": "{url}/corpus-2/secret.mp4",
    "{url}/corpus/../secret.mp4": "{url}/corpus/../secret.mp4",
    "{url}-2/corpus/a.mp4": "{url}-2/corpus/a.mp4",
    "memory://corpus/a.mp4": "memory://corpus/a.mp4",
    "http://localhost/a.mp4": "http://localhost/a.mp4",
    "/dev/null/a.mp4": None,
}


def test_rows_that_lead_out_of_the_folder_are_refused(corpus):
    for name, place in OUTSIDE.items():
        manifest = with_manifest(corpus, {"path": name.format(url=corpus.url)})
        with pytest.raises(ValueError, match="line 1: .* leads outside the folder"):
            read_corpus(manifest)
        segments, findings = read_corpus(manifest, allow_outside=True)
        expected = [place.format(url=corpus.url)] if place else []
        assert [segment.path for segment in segments] == expected
        assert len(findings) == 1 - len(expected)


def test_a_local_manifest_opens_urls_only_where_that_is_allowed(gcs_store, tmp_path):
    gcs_store.put("a.mp4", VIDEO)
    manifest = tmp_path / "manifest.jsonl"
    (tmp_path / "b.mp4").write_bytes(VIDEO)
    segments = [Segment(f"{gcs_store.url}/a.mp4"), Segment(str(tmp_path / "b.mp4"))]
    write_manifest(manifest, segments)
    gcs_store.server.requests.clear()
    with pytest.raises(ValueError, match="'gs://.*' leads outside the folder"):
        read_corpus(manifest)
    assert read_corpus(manifest, allow_outside=True) == (segments, [])
    assert gcs_store.server.requests == []


@pytest.mark.parametrize("store", ["s3_store", "gcs_store"])
def test_a_manifest_is_written_to_a_store(store, request, tmp_path):
    store = request.getfixturevalue(store)
    store.put("clips/a.mp4", VIDEO)
    segments = [Segment(f"{store.url}/clips/a.mp4", 1.0, 2.0, "é", "train", {"x": 1})]
    for folder, path in (("clips", "a.mp4"), ("other", segments[0].path)):
        url = f"{store.url}/{folder}/manifest.jsonl"
        write_manifest(url, segments)
        assert json.loads(_remote_files.read_bytes(url))["path"] == path
        assert read_corpus(url, allow_outside=True) == (segments, [])
    with pytest.raises(ValueError, match=r"\.jsonl"):
        write_manifest(f"{store.url}/manifest.csv", segments)


def test_a_corpus_is_listed_once(gcs_store):
    names = [f"{number:03}.mp4" for number in range(40)]
    for name in names:
        gcs_store.put(name, VIDEO)
    rows = "".join(f'{{"path": "{name}"}}\n' for name in names)
    gcs_store.put("manifest.jsonl", rows.encode())
    segments, _ = read_corpus(gcs_store.url)
    pages = 41 / 3 + 1
    assert len(gcs_store.server.requests) < pages + 5
    before = len(gcs_store.server.requests)
    assert len({file_stamp(segment.path) for segment in segments}) == 1
    assert len(gcs_store.server.requests) == before


def test_names_that_are_no_paths_are_reported(s3_store):
    for name in ("corpus/a.mp4", "corpus//b.mp4", "corpus/x/../c.mp4", "corpus/d/"):
        s3_store.put(name, VIDEO)
    segments, findings = read_corpus(f"{s3_store.url}/corpus")
    assert [s.path for s in segments] == [f"{s3_store.url}/corpus/a.mp4"]
    assert [f.problem for f in findings] == [Problem.IGNORED] * 2
    assert "a name that is not a path" in findings[0].reason


def test_a_revision_of_a_dataset_is_read(hf_store):
    hf_store.put("videos/a.mp4", VIDEO)
    segments, _ = read_corpus(f"{hf_store.url}@main/videos")
    assert [s.path for s in segments] == [f"{hf_store.url}@main/videos/a.mp4"]


def test_other_files_are_refused(corpus):
    for name in ("notes.txt", "a.mp4"):
        with pytest.raises(ValueError, match=r"must end in .jsonl or .csv"):
            read_corpus(f"{corpus.folder}/{name}")


def test_a_missing_folder_or_manifest_is_an_error(corpus):
    for name in ("nothing", "nothing/manifest.csv", "corpus/other.jsonl"):
        with pytest.raises(FileNotFoundError, match=r"There (is|are) no file"):
            read_corpus(f"{corpus.url}/{name}")
    with pytest.raises(FileNotFoundError):
        read_corpus(f"{corpus.url}-2/corpus")


def test_captions_that_vanish_or_can_not_be_read_are_findings(corpus, monkeypatch):
    def fail(url):
        if url.endswith("a.en.vtt"):
            raise RemoteFileError(url, "can't be used (403)")
        if url.endswith("c d.csv"):
            raise FileNotFoundError(f"There is no file {url}")
        return open_remote(url)

    open_remote = _remote_files.open_remote
    monkeypatch.setattr("keras_vatt.data._remote_path.open_remote", fail)
    segments, findings = read_corpus(corpus.folder)
    assert [s.caption for s in segments] == ["", "", "of é", ""]
    problems = {finding.where: finding.problem for finding in findings}
    assert problems[f"{corpus.folder}/a.en.vtt"] is Problem.UNREACHABLE
    assert problems[f"{corpus.folder}/b/c d.csv"] is Problem.MISSING


def test_subtitles_are_read_from_a_url(corpus):
    assert read_subtitles(f"{corpus.folder}/a.en.vtt")[0][0].caption == "of a"


def test_a_server_that_does_not_answer_ends_the_reading(stalled_store, monkeypatch):
    monkeypatch.setattr(_remote_files, "REQUEST_SECONDS", 0.5)
    started = time.monotonic()
    for name in ("corpus", "manifest.jsonl"):
        with pytest.raises(RemoteFileError, match="did not answer within"):
            read_corpus(f"{stalled_store}/{name}")
    with pytest.raises(MediaError, match="did not answer within") as caught:
        probe(f"{stalled_store}/a.mp4")
    assert caught.value.problem is Problem.UNREACHABLE
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("store", ["gcs_store", "hf_store"])
def test_a_store_that_refuses_to_answer_ends_the_reading(store, request):
    store = request.getfixturevalue(store)
    store.server.status = 403
    with pytest.raises(RemoteFileError, match="403|Forbidden"):
        read_corpus(store.url)
    with pytest.raises(MediaError) as caught:
        probe(f"{store.url}/a.mp4")
    assert caught.value.problem is Problem.UNREACHABLE


def test_clips_are_decoded_and_a_video_that_vanishes_is_a_finding(
    any_store, steady_video
):
    for name in ("a.mp4", "b.mp4"):
        any_store.put(name, steady_video.read_bytes())
    segments, _ = read_corpus(any_store.url)
    local = [Segment(str(steady_video))]
    any_store.delete("b.mp4")
    spec = ClipSpec(num_frames=4, frame_size=32)
    clip = ClipSource(segments[:1], spec, tokenize=None).decode(0)
    expected = ClipSource(local, spec, tokenize=None).decode(0)
    assert (clip.frames == expected.frames).all()
    report = ClipSource(segments, spec, tokenize=None).report
    missing = [f.where for f in report.findings if f.problem is Problem.MISSING]
    assert missing == [f"{any_store.url}/b.mp4"]


def test_a_cache_is_built_again_if_a_remote_video_changes(any_store, steady_video):
    spec = ClipSpec(num_frames=4, frame_size=32)
    prints = []
    for end in (b"", b"", b"\0"):
        any_store.put("a.mp4", steady_video.read_bytes() + end)
        segments, _ = read_corpus(any_store.url)
        prints.append(_fingerprint(ClipSource(segments, spec, tokenize=None)))
    assert prints[0] != prints[2]
    assert file_stamp(f"{any_store.url}/gone.mp4") is None
