"""The page shows and serves what the index has, to this machine, and nothing else."""

import html
import pathlib
import re
import socket
import threading
import time

import numpy as np
import pytest

from keras_vatt.search import MediaIndex, embed_folder
from tests.chromium import needs_chromium, open_chromium, requested_urls
from tests.search.small import small_model, write_folder, write_video

testclient = pytest.importorskip("starlette.testclient")
uvicorn = pytest.importorskip("uvicorn")

from keras_vatt.search._cards import clock, result_cards  # noqa: E402
from keras_vatt.search._page import HOST, make_app  # noqa: E402

pytestmark = pytest.mark.once

HOSTILE = "<img src=x onerror=alert(1)> & 'co'.mp4"


@pytest.fixture(scope="module")
def page_media(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("page") / "media")
    write_video(folder / HOSTILE, 40)
    (folder.parent / "secret.mp4").write_bytes(b"secret")
    (folder / "trip" / "later.mp4").write_bytes(b"not indexed")
    return folder


@pytest.fixture(scope="module")
def page_model():
    return small_model()


@pytest.fixture(scope="module")
def page_index(page_model, page_media):
    output = page_media.parent / "index"
    embed_folder(page_model, page_media, output, batch_size=4, progress=False)
    return MediaIndex.load(output)


@pytest.fixture(scope="module")
def app(page_index, page_model):
    return make_app(page_index, page_model)


@pytest.fixture(scope="module")
def client(app):
    address = f"http://{HOST}/{app.state.token}"
    with testclient.TestClient(app, base_url=address) as client:
        yield client


def test_media_are_served_by_the_number_of_their_window(client, page_index, page_media):
    for number in (0, len(page_index) - 1):
        path = page_media / page_index.window(number).file.path
        answer = client.get(f"/media/{number}")
        assert answer.status_code == 200
        assert answer.content == path.read_bytes()
    answer = client.get("/media/0", headers={"Range": "bytes=4-7"})
    assert answer.status_code == 206
    assert answer.content == (page_media / page_index.paths[0]).read_bytes()[4:8]


@pytest.mark.parametrize(
    "address",
    [
        "/media/9999",
        "/media/-1",
        "/media/secret.mp4",
        "/media/..%2f..%2fsecret.mp4",
        "/media/%2e%2e/%2e%2e/secret.mp4",
        "/media/0/../../../secret.mp4",
        "/thumbnail/9999",
        "/thumbnail/..%2fsecret.mp4",
        "/{folder}/talk.mp4",
        "/static/page.css",
        "/page.py",
        "/../page.css",
        "/gradio_api/file={folder}/talk.mp4",
        "/file=/etc/passwd",
    ],
)
def test_nothing_else_is_served(client, page_media, address):
    answer = client.get(address.format(folder=page_media))
    assert answer.status_code in (403, 404)


def test_another_name_of_the_machine_is_refused(client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/media/0", headers={"Host": "10.0.0.1"}).status_code == 400


def test_no_page_may_ask_another_machine(client):
    answer = client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "http" not in answer.text
    assert "style=" not in answer.text


def test_thumbnails_are_the_middle_of_their_window(client, page_index):
    from PIL import Image

    numbers = {page_index.window(n).file.path: n for n in range(len(page_index))}
    answer = client.get(f"/thumbnail/{numbers['talk.mp4']}")
    assert answer.headers["content-type"] == "image/jpeg"
    with pathlib.Path(page_index.folder.parent / "thumbnail.jpg").open("w+b") as file:
        file.write(answer.content)
        pixels = np.asarray(Image.open(file))
    from tests.data._media import number_in

    # The last window of two seconds, at 10 frames per second: 1.8 seconds.
    assert number_in(pixels) == 18
    answer = client.get(f"/thumbnail/{numbers['trip/hum.wav']}")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.content.count(b"<rect") == 61


def test_names_of_files_are_escaped(page_index, page_model):
    results = page_index.search(page_model, text="a star", top_k=99)
    shown = result_cards(page_index, results)
    assert html.escape(HOSTILE) in shown
    assert " on" not in re.sub('"[^"]*"|>[^<]*<', "", shown)
    assert "<img src=x" not in shown


def test_times_are_shown_as_a_player_does():
    assert [clock(s) for s in (0.0, 7.54, 59.96, 3723.04)] == [
        "0:00.0",
        "0:07.5",
        "1:00.0",
        "1:02:03.0",
    ]


@pytest.fixture(scope="module")
def address(app):
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://{HOST}:{listener.getsockname()[1]}/{app.state.token}/"
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def browser():
    # A microphone that beeps, and that the page may use.
    driver = open_chromium(
        "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"
    )
    yield driver
    driver.quit()


def wait_for(browser, condition, message=""):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(condition, message)


def find(browser, selector, count=1):
    def present(driver):
        found = driver.find_elements("css selector", selector)
        return found if len(found) >= count else None

    return wait_for(browser, present, f"there is no {selector}")


def results_text(browser):
    return browser.find_element("id", "results").text


def asked_hosts(browser):
    """Returns the addresses of the requests since the last call."""
    urls = requested_urls(browser)
    return {url.split("/")[2] for url in urls if not url.startswith(("data:", "blob:"))}


@needs_chromium
def test_words_find_windows_that_play_from_their_start(browser, address, page_index):
    browser.get(address)
    find(browser, "#text-query textarea, #text-query input")[0].send_keys("a star\n")
    cards = find(browser, ".vatt-card", 10)
    assert len(cards) == min(12, page_index.count("video"))
    assert find(browser, '.vatt-card[data-path="trip/mute.mp4"] .name')[0].text
    assert not browser.find_elements("css selector", ".vatt-card img[onerror]")
    video = next(
        video
        for video in find(browser, ".vatt-card video")
        if "#t=1.600,2.000" in video.get_attribute("src")
    )
    browser.execute_script("arguments[0].preload = 'auto'", video)
    started = "return arguments[0].readyState > 1 && arguments[0].currentTime"
    deadline = time.monotonic() + 30
    while not browser.execute_script(started, video) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert browser.execute_script(started, video) == pytest.approx(1.6, abs=0.05)
    assert asked_hosts(browser) == {address.split("/")[2]}
    # Such as what the policy refused.
    assert browser.get_log("browser") == []


@needs_chromium
def test_a_file_finds_and_a_missing_or_broken_one_is_named(
    browser, address, page_media
):
    browser.get(address)
    find(browser, "button[role=tab]", 3)[1].click()
    upload = find(browser, "#audio-query input[type=file]")[0]
    upload.send_keys(str(page_media / "trip" / "hum.wav"))
    find(browser, "#audio-query .controls")
    find(browser, "#audio-search")[0].click()
    assert len(find(browser, ".vatt-card video", 10)) >= 10
    assert "hum.wav" in find(browser, ".vatt-message.title")[0].text

    browser.get(address)
    find(browser, "button[role=tab]", 3)[2].click()
    find(browser, "#video-search")[0].click()
    assert "Choose a file" in find(browser, ".vatt-message.error")[0].text
    upload = find(browser, "#video-query input[type=file]")[0]
    upload.send_keys(str(page_media / "noise.mp4"))
    find(browser, "#video-search")[0].click()
    find(browser, ".vatt-message.progress, .vatt-message.error")
    wait_for(browser, lambda _: "noise.mp4 can't" in results_text(browser))
    assert asked_hosts(browser) == {address.split("/")[2]}


@needs_chromium
def test_a_recording_of_the_microphone_finds(browser, address):
    browser.get(address)
    find(browser, "button[role=tab]", 3)[1].click()
    record = find(browser, ".record")[0]
    record.click()
    find(browser, ".record.on")
    time.sleep(1)
    record.click()
    find(browser, "#audio-query .controls")
    find(browser, "#audio-search")[0].click()
    assert len(find(browser, ".vatt-card video", 10)) >= 10
    assert "recording." in find(browser, ".vatt-message.title")[0].text


@needs_chromium
def test_another_site_can_neither_read_nor_show_the_page(browser, address, tmp_path):
    other = tmp_path / "other.html"
    other.write_text(f'<img src="{address}thumbnail/0"><iframe src="{address}">')
    browser.get(other.as_uri())
    script = "return document.images[0].complete && document.images[0].naturalWidth"
    wait_for(browser, lambda driver: driver.execute_script(script) == 0)
    ask = (
        "fetch(arguments[0]).then(r => r.text()).catch(e => '' + e).then(arguments[1])"
    )
    assert "TypeError" in browser.execute_async_script(ask, address)
    browser.switch_to.frame(0)
    assert not browser.find_elements("css selector", "#heading")
