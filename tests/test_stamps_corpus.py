"""The corpus of stamps of `benchmarks/`, made from a few generated files."""

import pathlib
import wave

import numpy as np
import pytest
from PIL import Image

from keras_vatt.data import probe, read_corpus

pytestmark = pytest.mark.once

_FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks" / "harmonization_study"
_RATE = 16_000
_SETTINGS = {
    "frame_size": 32,
    "sampling_rate": _RATE,
    "pans": 1,
    "held_out": {"test": 2, "validation": 1},
    "seed": 0,
}
_NAMES = ("animals/frog", "animals/hen", "animals/rooster", "food/corn", "town/bus")


@pytest.fixture
def stamps(monkeypatch):
    """The script; its folder is on the path, as if it were run."""
    monkeypatch.syspath_prepend(_FOLDER)
    return pytest.importorskip("stamps")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of stamps, of which five can be used."""
    root = tmp_path_factory.mktemp("stamps")
    for number, name in enumerate(_NAMES):
        _write_stamp(root, name, f"The {name}.")
        _write_tone(root / f"{name}_desc_es.wav", 300 + 100 * number)
        _write_tone(root / f"{name}_desc_fr.wav", 350 + 100 * number)
    # Audio that two stamps share: at most one of them has a test clip, of other audio.
    for name in ("animals/hen", "animals/rooster"):
        _write_tone(root / f"{name}_desc_ro.wav", 1000)
    # The audio of another recording of the stamp, a sound effect, and silence.
    _write_tone(root / "animals/frog_desc_ca.wav", 300)
    _write_tone(root / "animals/frog.wav", 2000)
    _write_tone(root / "animals/frog_desc.wav", 0)
    _write_stamp(root, "animals/bad", "A bad image.")
    (root / "animals/bad.png").write_bytes(b"no image")
    _write_tone(root / "animals/bad_desc_es.wav", 500)
    _write_stamp(root, "animals/mute", "A stamp without a recording.")
    (root / "animals/vector.svg").write_text("<svg/>")
    return root


def _write_stamp(root, name, caption):
    path = root / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[4:16, 5:25] = (200, 30, len(name), 255)
    Image.fromarray(pixels).save(path)
    text = f"# Drawn by a test.\n{caption}\nes.utf8=Una imagen.\n"
    path.with_suffix(".txt").write_text(text, encoding="utf-8")


def _write_tone(path, frequency):
    """Writes half a second of a tone, and silence."""
    time = np.arange(_RATE // 2) / _RATE
    tone = np.pad(np.sin(2 * np.pi * frequency * time), (0, _RATE)) / 2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(np.round(tone * 32_767).astype("<i2").tobytes())


def _make(stamps, root, folder):
    stamps.claim(folder, _SETTINGS)
    return stamps.make_corpus(root, folder, _SETTINGS, num_workers=2, progress=False)


@pytest.fixture
def corpus(stamps, root, tmp_path):
    """The folder of a corpus, and what was left out of it."""
    _, left_out = _make(stamps, root, tmp_path / "corpus")
    return tmp_path / "corpus", left_out


def _contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_held_out_recordings_are_in_no_other_split(corpus):
    segments, findings = read_corpus(corpus[0])
    assert not findings
    of_split = {
        split: [s for s in segments if s.split == split]
        for split in ("train", "validation", "test")
    }
    held_out = of_split["test"] + of_split["validation"]
    assert len(of_split["test"]) == 2
    assert len(of_split["validation"]) == 1
    ids = [segment.extra["recording_id"] for segment in held_out]
    trained = of_split["train"]
    assert not {segment.extra["recording_id"] for segment in trained} & set(ids)
    assert len(set(ids)) == len({segment.caption for segment in held_out}) == 3
    # The images are known from other recordings.
    known = {segment.extra["stamp"] for segment in trained}
    assert {segment.extra["stamp"] for segment in held_out} <= known


def test_captions_and_languages(corpus):
    segments, _ = read_corpus(corpus[0])
    frog = [s for s in segments if s.extra["stamp"] == "animals/frog"]
    assert {segment.caption for segment in frog} == {"The animals/frog."}
    assert {segment.extra["category"] for segment in frog} == {"animals"}
    languages = [segment.extra["language"] for segment in frog]
    assert sorted(languages) == ["ca", "effect", "fr"]
    assert all(s.extra["audio_aligned"] and s.extra["text_aligned"] for s in segments)


def test_what_cannot_be_read_is_counted(corpus):
    assert corpus[1] == {
        "image can't be read": 1,
        "recording equals another one of its stamp": 1,
        "recording is silent or can't be decoded": 1,
        "stamp has no recording": 1,
        "stamp has only an SVG image": 1,
    }


def test_clips_have_video_and_audio(corpus):
    segment = read_corpus(corpus[0])[0][0]
    info = probe(segment.path)
    assert info.has_video
    assert info.has_audio


def test_the_corpus_is_deterministic_and_resumes(stamps, root, corpus, tmp_path):
    first = _contents(corpus[0])
    _make(stamps, root, tmp_path / "again")
    assert _contents(tmp_path / "again") == first
    for name in ("train/000001.mp4", "test/000000.mp4", "manifest.jsonl"):
        (tmp_path / "again" / name).unlink()
    kept = (tmp_path / "again/train/000000.mp4").stat().st_mtime_ns
    _make(stamps, root, tmp_path / "again")
    assert _contents(tmp_path / "again") == first
    assert (tmp_path / "again/train/000000.mp4").stat().st_mtime_ns == kept


def test_other_settings_need_another_folder(stamps, tmp_path):
    stamps.claim(tmp_path / "corpus", _SETTINGS)
    with pytest.raises(SystemExit, match="other settings"):
        stamps.claim(tmp_path / "corpus", _SETTINGS | {"seed": 1})


def test_too_many_held_out_recordings(stamps, root, tmp_path):
    settings = _SETTINGS | {"held_out": {"test": 5}}
    with pytest.raises(ValueError, match="5 recordings can't be held out: 4 stamps"):
        stamps.make_corpus(root, tmp_path, settings, progress=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("town/bus", ("town/bus", "effect")),
        ("symbols/math/4", ("symbols/math/4", "en")),
        ("symbols/math/4_zh_tw", ("symbols/math/4", "zh_tw")),
        ("town/bus_desc", ("town/bus", "en")),
        ("town/bus_desc_pt_BR", ("town/bus", "pt_BR")),
        ("town/bus_stop_desc_es", ("town/bus_stop", "es")),
        ("town/tram_desc_es", (None, None)),
    ],
)
def test_names_of_recordings(stamps, name, expected):
    module = pytest.importorskip("stamps_package")
    known = {"town/bus", "town/bus_stop", "symbols/math/4"}
    assert module._parse(name, known) == expected


def test_a_download_needs_apt_get(stamps, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SystemExit, match="apt-get is required to download tuxpaint"):
        stamps._download(tmp_path / "package")


def test_another_version_is_a_warning(stamps, tmp_path, capsys):
    package = tmp_path / "other.deb"
    package.write_bytes(b"another version")
    stamps.check_version(package)
    assert "the corpus may differ" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="does not exist"):
        stamps.check_version(tmp_path / "missing.deb")


@pytest.mark.parametrize("seed", range(8))
def test_shared_recordings_are_never_held_out(stamps, root, seed):
    plans = pytest.importorskip("stamps_plans")
    found, _ = stamps.find_stamps(root)
    fingerprints = {r.path: r.path for stamp in found for r in stamp.recordings}
    for name in ("animals/hen", "animals/rooster"):
        fingerprints[f"{name}_desc_ro.wav"] = "shared"
    clips = plans.plan_clips(found, fingerprints, {"test": 4}, pans=2, seed=seed)
    of_split = {
        split: [c.fingerprint for c in clips if c.split == split]
        for split in ("train", "test")
    }
    assert len(of_split["test"]) == 4
    assert not set(of_split["train"]) & set(of_split["test"])
    assert "shared" in of_split["train"]
    of_clip = [c.generator().uniform() for c in clips]
    assert len(set(of_clip)) == len(clips)
