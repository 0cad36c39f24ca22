"""The contact sheet shows clips, runs no script, and asks for nothing."""

import base64
import dataclasses
import html
import html.parser
import io
import re
import shutil
import wave

import av
import numpy as np
import pytest

import keras_vatt
from keras_vatt.auditing import AuditSettings, audit
from keras_vatt.auditing._contact_sheet import write_contact_sheet
from keras_vatt.data import ClipSpec
from tests.auditing.conftest import HOSTILE, HOSTILE_NAME, WITHOUT_AUDIO
from tests.chromium import needs_chromium, open_chromium, requested_urls
from tests.evaluation._tiny_datasets import COLORS

pytestmark = pytest.mark.once

ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section"),
    *("h1", "h2", "p", "ol", "li", "div", "span", "table", "tr", "th", "td", "img"),
    *("svg", "rect", "audio"),
}


@pytest.fixture(scope="module")
def result(preset, corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheet") / "out"
    settings = settings_with(preset, corpus, folder, sheet_clips=99)
    return audit(settings), settings, folder


@pytest.fixture(scope="module")
def sheet(result):
    return result[2] / "contact_sheet.html"


def settings_with(preset, corpus, folder, **changes):
    changes = {"progress": False} | changes
    return AuditSettings(str(preset), str(corpus), str(folder), **changes)


class Elements(html.parser.HTMLParser):
    """Collects the names and the attributes of all elements."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def values_of(self, name):
        return [attrs[name] for _, attrs in self.found if name in attrs]


def test_captions_and_names_of_files_are_escaped(sheet):
    text = sheet.read_text("utf-8")
    assert html.escape(HOSTILE) in text
    assert html.escape(HOSTILE_NAME) in text
    elements = Elements(text)
    assert {tag for tag, _ in elements.found} == ELEMENTS
    names = {name for _, attrs in elements.found for name in attrs}
    assert not any(name.startswith("on") for name in names)
    assert not names & {"href", "style", "srcset", "action", "background"}


def test_the_page_loads_nothing_and_its_policy_refuses_scripts(sheet):
    elements = Elements(sheet.read_text("utf-8"))
    kinds = {src.partition(",")[0] for src in elements.values_of("src")}
    assert kinds == {"data:image/jpeg;base64", "data:audio/wav;base64"}
    (policy,) = [
        attrs["content"]
        for tag, attrs in elements.found
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    allowed = "default-src 'none'; img-src data:; media-src data:; style-src 'sha256-"
    assert policy.startswith(allowed)
    assert "unsafe" not in policy
    assert "script" not in policy


def test_frames_are_those_of_the_clip_and_audio_is_drawn(result, sheet):
    cards = sheet.read_text("utf-8").split('<li class="clip">')[1:]
    assert len(cards) == len(result[0].ranked) == 8
    by_rank = sorted(cards, key=lambda card: int(re.findall(r">#(\d+)<", card)[0]))
    for clip, card in zip(result[0].ranked, by_rank, strict=True):
        images = re.findall(r"jpeg;base64,([^\"]+)", card)
        assert len(images) == 4
        for image in images:
            (frame,) = av.CodecContext.create("mjpeg", "r").decode(
                av.Packet(base64.b64decode(image))
            )
            red, green, blue = frame.to_ndarray(format="rgb24").mean(axis=(0, 1))
            seen = {"red": red, "green": green, "blue": blue}
            color = max(seen, key=seen.get)
            number = clip.segment.path.rpartition("/")[2][0]
            assert color == ("red" if number == "<" else list(COLORS)[int(number) // 2])
        has_audio = not clip.segment.path.endswith(f"/{WITHOUT_AUDIO}")
        assert card.count("<rect") == (61 if has_audio else 0)
        assert ("no audio: " in card) == (not has_audio)
        assert f"#{clip.rank}<" in card
        assert f"<td>{clip.loss:.3f}</td>" in card


def test_audio_is_that_of_the_clip(result, sheet):
    (spec,) = {keras_vatt.VATT.from_preset(result[1].preset).preprocessor.clip_spec}
    cards = sheet.read_text("utf-8").split('<li class="clip">')[1:]
    for card in cards:
        (rank,) = re.findall(r">#(\d+)<", card)
        path = result[0].ranked[int(rank) - 1].segment.path
        found = re.findall(r"wav;base64,([^\"]+)", card)
        assert len(found) == (not path.endswith(f"/{WITHOUT_AUDIO}"))
        for audio in found:
            with wave.open(io.BytesIO(base64.b64decode(audio))) as file:
                assert file.getframerate() == spec.sampling_rate
                assert file.getnframes() == spec.audio_samples
                assert np.frombuffer(file.readframes(10**6), "<i2").std() > 100


def test_worst_and_best_clips_are_shown_once(result, tmp_path):
    found, settings, _ = result
    spec = ClipSpec(4, 5.0, 8, 800, 96)

    def ranks(**changes):
        values = vars(settings) | changes
        write_contact_sheet(tmp_path, found, spec, AuditSettings(**values))
        worst, best = (
            (tmp_path / "contact_sheet.html")
            .read_text()
            .split('<section class="best">')
        )
        shown = [re.findall(r">#(\d+)<", part) for part in (worst, best)]
        return [list(map(int, part)) for part in shown]

    assert ranks(sheet_clips=2) == [[1, 2], [8, 7]]
    assert ranks(sheet_clips=5) == [[1, 2, 3, 4], [8, 7, 6, 5]]
    found = dataclasses.replace(found, clips=found.clips[:7])
    assert ranks(sheet_clips=99) == [[1, 2, 3, 4], [7, 6, 5]]


def test_a_clip_that_is_gone_is_named(preset, corpus, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    settings = settings_with(preset, copy, tmp_path / "out", sheet_clips=0)
    found = audit(settings)
    for path in copy.glob("*.mp4"):
        path.unlink()
    shown = settings_with(preset, copy, tmp_path / "out")
    write_contact_sheet(tmp_path / "out", found, ClipSpec(4, 5.0, 8, 800, 96), shown)
    text = (tmp_path / "out" / "contact_sheet.html").read_text("utf-8")
    assert text.count("no video: ") == len(found.ranked)


@needs_chromium
def test_a_browser_shows_the_clips_and_asks_no_server(result, tmp_path):
    # Browsers play no audio below 3 kHz.
    spec = ClipSpec(4, 5.0, 8, 4000)
    write_contact_sheet(tmp_path, result[0], spec, result[1])
    sheet = tmp_path / "contact_sheet.html"
    driver = open_chromium()
    try:
        driver.get(sheet.as_uri())
        sizes = driver.execute_script(
            "return [...document.images].map(i => i.complete && i.naturalWidth)"
        )
        assert sizes == [8] * (4 * len(result[0].ranked))
        captions = driver.find_elements("css selector", ".caption")
        assert HOSTILE in [caption.text for caption in captions]
        assert driver.title == "Audit of a corpus"
        cards = driver.find_elements("css selector", ".clip")
        # The style applies: cards are side by side.
        assert cards[0].location["y"] == cards[1].location["y"]
        assert driver.get_log("browser") == []
        duration = driver.execute_async_script(
            "const done = arguments[0], audio = document.querySelector('audio');"
            "audio.onloadedmetadata = () => done(audio.duration);"
            "audio.onerror = () => done('error');"
            "audio.preload = 'auto'; audio.load();"
        )
        assert duration == pytest.approx(0.8)
        urls = requested_urls(driver)
        assert [url for url in urls if not url.startswith("data:")] == [sheet.as_uri()]
    finally:
        driver.quit()
