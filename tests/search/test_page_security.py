"""The page is for its user alone: no other user, no other site, no other file."""

import asyncio
import concurrent.futures
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest

from keras_vatt.search import MediaIndex

testclient = pytest.importorskip("starlette.testclient")
uvicorn = pytest.importorskip("uvicorn")

from keras_vatt.search import _page as page  # noqa: E402
from keras_vatt.search import _page_queries as page_queries  # noqa: E402
from keras_vatt.search._cards import result_cards  # noqa: E402

pytestmark = pytest.mark.once

BASE = f"http://{page.HOST}:7860"
SECRET = b"a secret of the user of the server"


@pytest.fixture
def app(index, model):
    return page.make_app(index, model)


@pytest.fixture
def client(app):
    with testclient.TestClient(app, f"{BASE}/{app.state.token}") as client:
        yield client


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.mp4"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The temporary folder of the process, which others can look into."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def ask(app, path, receive):
    """Status and body of the answer to a POST, whose body comes from `receive`."""
    events = []

    async def send(event):
        events.append(event)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/{app.state.token}{path}",
        "query_string": b"",
        "headers": [(b"host", b"localhost:1"), (b"content-length", b"3")],
    }
    asyncio.run(app(scope, receive, send))
    body = b"".join(event.get("body", b"") for event in events)
    return events[0]["status"], body.decode()


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "//",
        "/media/0",
        "/thumbnail/0",
        "/search/text",
        "/page.js",
        "/wrong/",
        "/wrong/media/0",
        "/{shorter}/",
        "/{token}x/",
        "/{other}/",
        "//{token}/",
        "/x/{token}/",
        "/?token={token}",
        "/gradio_api/queue/join",
        "/gradio_api/upload",
        "/gradio_api/file={secret}",
        "/proxy={secret}",
        "/%ff/",
    ],
)
def test_no_address_without_the_token_is_answered(app, index, model, secret, address):
    token, other = app.state.token, page.make_app(index, model).state.token
    address = address.format(
        token=token, shorter=token[:-1], other=other, secret=secret
    )
    body = {"data": [{"path": str(secret), "meta": {"_type": "gradio.FileData"}}]}
    client = testclient.TestClient(app, BASE)
    for answer in (client.get(BASE + address), client.post(BASE + address, json=body)):
        assert answer.status_code == 403
        assert token not in answer.text
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:7861"},
        {"Origin": "https://127.0.0.1:7860"},
        {"Origin": "http://localhost:7860"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_requests_of_other_origins_are_refused(client, headers):
    assert (
        client.post("/search/text", content="star", headers=headers).status_code == 403
    )
    assert client.get("/media/0", headers=headers).status_code == 403


def test_the_page_itself_and_links_to_it_are_answered(client):
    own = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/search/text", content="star", headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
    assert client.get("/", headers=frame).status_code == 403


@pytest.mark.parametrize("address", ["/", "/media/0", "/thumbnail/0", "/media/99"])
def test_every_answer_forbids_other_sites_to_use_it(client, address):
    headers = client.get(address).headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "set-cookie" not in headers


def test_ranges_of_media_are_sent(client, index, media):
    content = (media / index.window(0).file.path).read_bytes()
    for asked, expected in {
        "bytes=4-7": content[4:8],
        "bytes=-5": content[-5:],
        f"bytes={len(content) - 3}-": content[-3:],
    }.items():
        answer = client.get("/media/0", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, expected)
    beyond = client.get("/media/0", headers={"Range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416
    head = client.head("/media/0")
    assert head.headers["content-length"] == str(len(content))
    assert head.content == b""


def test_a_body_that_names_a_file_does_not_open_it(client, secret, media):
    film = media / "talk.mp4"
    for body in (
        json.dumps({"path": str(film), "meta": {"_type": "gradio.FileData"}}),
        str(film),
        f"file:{film}",
        f"ffconcat version 1.0\nfile {film}\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n",
    ):
        answer = client.post(f"/search/video?name={film}", content=body)
        assert answer.status_code == 422
        assert "can&#x27;t be decoded" in answer.text


def test_an_endless_upload_is_refused_while_it_streams(app, temporary, monkeypatch):
    monkeypatch.setattr(page_queries, "LARGEST_UPLOAD", 2_000_000)
    read = []

    async def receive():
        read.append(None)
        return {"type": "http.request", "body": bytes(300_000), "more_body": True}

    status, body = ask(app, "/search/audio", receive)
    assert (status, len(read)) == (413, 7)
    assert "larger than 2 MB" in body
    assert os.listdir(temporary) == []


def test_a_large_upload_is_refused_before_it_is_read(client, monkeypatch):
    monkeypatch.setattr(page_queries, "LARGEST_UPLOAD", 1_000)
    assert client.post("/search/video", content=bytes(1_001)).status_code == 413


def test_an_upload_that_stops_or_breaks_off_is_given_up(app, temporary, monkeypatch):
    monkeypatch.setattr(page_queries, "_PATIENCE", 0.01)

    async def wait():
        await asyncio.Event().wait()

    async def leave():
        return {"type": "http.disconnect"}

    assert ask(app, "/search/audio", wait)[0] == 408
    assert ask(app, "/search/audio", leave)[0] == 400
    assert os.listdir(temporary) == []


@pytest.mark.parametrize("when", ["made", "written"])
def test_a_full_disk_is_named(client, temporary, monkeypatch, when):
    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device")

    broken = type("Broken", (io.BytesIO,), {"write": refuse})
    make = refuse if when == "made" else lambda **options: broken()
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    answer = client.post("/search/audio", content=b"sound")
    assert answer.status_code == 507
    assert "No space left" in answer.text
    assert os.listdir(temporary) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Write what you look for"),
        ("   ", "Write what you look for"),
        ("star " * 101, "at most 500 characters"),
        ("é" * 501, "at most 500 characters"),
        ("x" * 1_000_000, "at most 500 characters"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_texts_that_are_no_query_are_refused(client, text, reason):
    answer = client.post("/search/text", content=text)
    assert answer.status_code == 400
    assert reason in answer.text


@pytest.mark.parametrize(
    "address",
    [
        "text?count=0",
        "text?count=49",
        "text?count=-1",
        "text?count=1e9",
        "text?count=²",
        "text?modality=text",
    ],
)
def test_options_out_of_range_are_refused(client, address):
    answer = client.post(f"/search/{address}", content="star")
    assert answer.status_code == 400
    assert "vatt-message error" in answer.text


def test_an_upload_is_private_and_gone_after_the_query(
    client, media, temporary, monkeypatch
):
    seen = []

    def look(self, model, audio, **options):
        folders = list(temporary.iterdir())
        content = os.fstat(audio.fileno())
        seen.append((folders[0].stat().st_mode & 0o777, content.st_mode & 0o077))
        seen.append(os.listdir(folders[0]) == [] and content.st_nlink == 0)
        seen.append(audio.read())
        return []

    monkeypatch.setattr(MediaIndex, "search", look)
    film = (media / "talk.mp4").read_bytes()
    assert client.post("/search/audio", content=film).status_code == 200
    assert seen == [(0o700, 0), True, film]
    assert os.listdir(temporary) == []


@pytest.fixture
def reachable(temporary):
    """The temporary folder, where other users can get to: `tmp_path` is private."""
    modes = {folder: folder.stat().st_mode for folder in temporary.parents}
    for folder, mode in modes.items():
        folder.chmod(mode | 0o005)
    yield temporary
    for folder, mode in modes.items():
        folder.chmod(mode)


LOOK_AROUND = """
import os, pathlib, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in pathlib.Path(sys.argv[1]).rglob("*"):
    try:
        print(path.read_bytes() if path.is_file() else os.listdir(path))
    except PermissionError:
        print("refused")
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can become another user",
)
def test_another_user_can_not_read_an_upload(client, reachable, monkeypatch):
    seen = []

    def search(self, model, audio, **options):
        look = [sys.executable, "-c", LOOK_AROUND, reachable]
        done = subprocess.run(look, capture_output=True, text=True, check=True)
        seen.append(done.stdout)
        return []

    monkeypatch.setattr(MediaIndex, "search", search)
    assert client.post("/search/audio", content=SECRET).status_code == 200
    assert seen == ["refused\n"]


def test_queries_beyond_a_few_are_refused_until_others_end(client, monkeypatch):
    started, end = threading.Semaphore(0), threading.Event()

    def search(self, model, **query):
        started.release()
        end.wait(60)
        return []

    monkeypatch.setattr(MediaIndex, "search", search)

    def post(_):
        return client.post("/search/text", content="star").status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(post, number) for number in range(6)]
        finished = concurrent.futures.as_completed(futures, 60)
        assert [next(finished).result() for _ in range(2)] == [503, 503]
        # Of the four others one has the model, and the rest wait for it.
        assert started.acquire(timeout=60)
        assert not started.acquire(blocking=False)
        end.set()
        codes = [future.result() for future in futures]
    assert sorted(codes) == [200] * 4 + [503] * 2
    assert post(0) == 200


def replace_by_link(path, secret):
    path.unlink()
    path.symlink_to(secret)


def replace_by_fifo(path, secret):
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path, secret):
    path.unlink()
    path.mkdir()


def replace_by_device(path, secret):
    path.unlink()
    path.symlink_to("/dev/zero")


def replace_parent_by_link(path, secret):
    outside = secret.parent / "outside"
    outside.mkdir()
    shutil.copy(secret, outside / path.name)
    shutil.rmtree(path.parent)
    path.parent.symlink_to(outside)


def replace_root_by_link(path, secret):
    outside = secret.parent / "outside"
    (outside / "trip").mkdir(parents=True)
    shutil.copy(secret, outside / "trip" / path.name)
    shutil.rmtree(path.parent.parent)
    path.parent.parent.symlink_to(outside)


REPLACEMENTS = [
    replace_by_link,
    replace_by_fifo,
    replace_by_folder,
    replace_by_device,
    replace_parent_by_link,
    replace_root_by_link,
]


@pytest.fixture
def moved(index_folder, media, tmp_path):
    """An index of a copy of the media, and the number of a window of `mute.mp4`."""
    folder = tmp_path / "copy"
    shutil.copytree(media, folder)
    index = MediaIndex.load(index_folder, folder)
    paths = [index.window(number).file.path for number in range(len(index))]
    return index, paths.index("trip/mute.mp4"), folder / "trip" / "mute.mp4"


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_what_replaces_a_file_later_is_not_sent(moved, model, secret, replace):
    index, number, path = moved
    app = page.make_app(index, model)
    client = testclient.TestClient(app, f"{BASE}/{app.state.token}")
    assert client.get(f"/media/{number}").content == path.read_bytes()
    replace(path, secret)
    for address in (f"/media/{number}", f"/thumbnail/{number}"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert SECRET not in answer.content
    results = index.search(model, text="a star", top_k=99)
    assert "mute.mp4" in result_cards(index, results)


def test_a_link_that_comes_after_the_check_is_not_followed(moved, secret, monkeypatch):
    index, _, path = moved
    resolved = index.find_file("trip/mute.mp4")
    replace_by_link(path, secret)
    monkeypatch.setattr(MediaIndex, "find_file", lambda self, path: resolved)
    with pytest.raises(page.MediaIndexError, match="can't be opened"):
        index.open_file("trip/mute.mp4")


def test_links_within_the_folder_are_followed(moved):
    index, _, path = moved
    content = path.read_bytes()
    path.rename(path.with_name("renamed.mp4"))
    path.symlink_to("renamed.mp4")
    with index.open_file("trip/mute.mp4") as file:
        assert file.read() == content


def test_the_address_with_its_token_is_printed(index, model, capsys, monkeypatch):
    served = []
    monkeypatch.setattr(
        uvicorn.Server,
        "run",
        lambda server, sockets: served.append(
            (server.config.app, sockets[0].getsockname())
        ),
    )
    page.serve(index, model, port=0)
    ((app, (host, port)),) = served
    assert host == "127.0.0.1"
    assert len(app.state.token) >= 32
    printed = capsys.readouterr().out
    assert f"http://127.0.0.1:{port}/{app.state.token}/" in printed


def test_no_file_of_the_package_is_missing_from_its_data():
    static = pathlib.Path(page.__file__).with_name("static")
    assert {path.name for path in static.iterdir()} == {
        *("icon.svg", "page.css", "page.html", "page.js")
    }
