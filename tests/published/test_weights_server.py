"""Tests of the file server itself, with the clients of the standard library."""

import gzip
import http.client
import urllib.error
import urllib.request

import pytest

from tests.published.weights_server import (
    CHUNK,
    LOGIN_PAGE,
    Fault,
    running_server,
)

pytestmark = pytest.mark.once

PATH = "a/ckpt-1.index"
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def server():
    with running_server({PATH: CONTENT}) as server:
        yield server


def get(server, method="GET", timeout=5, path=PATH, **headers):
    """Returns the response and the whole body."""
    names = {name: name.replace("_", "-") for name in headers}
    address = f"{server.url}/{path}"
    request = urllib.request.Request(address, method=method)
    for name, value in headers.items():
        request.add_header(names[name], value)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return response, response.read()


def refusal(server, **headers):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(server, **headers)
    error.value.close()
    return error.value


def test_a_whole_file_comes_with_its_length_and_validators(server):
    response, body = get(server)
    assert body == CONTENT
    assert response.headers["Content-Length"] == str(len(CONTENT))
    assert response.headers["ETag"].startswith('"')
    assert response.headers["Last-Modified"].endswith("GMT")
    assert [(r.method, r.path, r.status, r.sent) for r in server.requests] == [
        ("GET", PATH, 200, len(CONTENT))
    ]


def test_files_of_a_folder_are_served(tmp_path):
    path = tmp_path / PATH
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    with running_server(tmp_path) as server:
        assert get(server)[1] == CONTENT
        assert get(server, Range="bytes=100000-")[1] == CONTENT[100_000:]


def test_head_has_the_headers_without_the_body(server):
    response, body = get(server, method="HEAD")
    assert body == b""
    assert response.headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=100-", 100, len(CONTENT)),
        ("bytes=100-199", 100, 200),
        ("bytes=-100", len(CONTENT) - 100, len(CONTENT)),
        ("bytes=100-99999999", 100, len(CONTENT)),
    ],
)
def test_ranges_are_partial_content(server, text, start, end):
    response, body = get(server, Range=text)
    assert response.status == 206
    assert body == CONTENT[start:end]
    expected = f"bytes {start}-{end - 1}/{len(CONTENT)}"
    assert response.headers["Content-Range"] == expected


def test_a_range_past_the_end_is_refused_with_the_size(server):
    error = refusal(server, Range=f"bytes={len(CONTENT)}-")
    assert error.code == 416
    assert error.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_a_changed_file_is_sent_whole_despite_a_range(server):
    etag = get(server)[0].headers["ETag"]
    assert get(server, Range="bytes=9-", If_Range=etag)[0].status == 206
    server.replace(PATH, b"other content")
    response, body = get(server, Range="bytes=9-", If_Range=etag)
    assert (response.status, body) == (200, b"other content")
    assert response.headers["ETag"] != etag


def test_missing_files_are_not_found(server):
    assert refusal(server, path="a/other").code == 404


def test_a_fault_ends_after_its_times(server):
    server.fail("*.index", Fault(status=503, retry_after="2"), times=2)
    assert refusal(server).headers["Retry-After"] == "2"
    assert refusal(server).code == 503
    assert get(server)[1] == CONTENT


def test_faults_apply_to_matching_paths_only(server):
    server.fail("*.data-*", Fault(status=500))
    assert get(server)[1] == CONTENT


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_a_cut_answer_ends_early(server, size):
    server.fail("*", Fault(cut_after=size))
    with pytest.raises(http.client.IncompleteRead) as error:
        get(server)
    assert error.value.partial == CONTENT[:size]
    assert server.sent == size


def test_a_file_changes_during_a_download(server):
    server.fail("*", Fault(cut_after=10, replacement=b"new"), times=1)
    with pytest.raises(http.client.IncompleteRead):
        get(server)
    assert get(server)[1] == b"new"


def test_a_stalled_answer_keeps_the_connection_open(server):
    server.fail("*", Fault(stall_after=10))
    with pytest.raises(TimeoutError):
        get(server, timeout=0.2)
    assert server.sent == 10


def test_a_silent_server_sends_no_headers(server):
    server.fail("*", Fault(silent=True))
    with pytest.raises(TimeoutError):
        get(server, timeout=0.2)


@pytest.mark.parametrize("start", [0, 70_000])
def test_one_byte_of_the_file_is_altered(server, start):
    server.fail("*", Fault(altered_at=100_000))
    body = get(server, Range=f"bytes={start}-")[1]
    expected = CONTENT[start:]
    differing = [i for i in range(len(expected)) if body[i] != expected[i]]
    assert differing == [100_000 - start]


def test_a_range_can_be_ignored(server):
    server.fail("*", Fault(ignores_range=True))
    response, body = get(server, Range="bytes=9-")
    assert (response.status, body) == (200, CONTENT)


def test_a_length_can_be_missing(server):
    server.fail("*", Fault(without_length=True))
    response, body = get(server)
    assert response.headers["Content-Length"] is None
    assert body == CONTENT


@pytest.mark.parametrize("fault", [{}, {"claimed_size": 2**50}])
def test_an_endless_file_has_more_bytes_than_the_stored_one(server, fault):
    server.fail("*", Fault(endless=True, **fault))
    with urllib.request.urlopen(f"{server.url}/{PATH}", timeout=5) as response:
        assert response.read(3 * len(CONTENT)) == 3 * CONTENT


def test_a_wrong_length_is_the_length_that_is_sent(server):
    server.fail("*", Fault(claimed_size=1000))
    response, body = get(server)
    assert (response.headers["Content-Length"], len(body)) == ("1000", 1000)


def test_a_file_shorter_than_announced_ends_early(server):
    server.fail("*", Fault(claimed_size=len(CONTENT) + 1))
    with pytest.raises(http.client.IncompleteRead):
        get(server)


def test_a_compressed_body_says_so(server):
    server.fail("*", Fault(gzip=True))
    response, body = get(server)
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == CONTENT


def test_a_page_replaces_the_file(server):
    server.fail("*", Fault(page=LOGIN_PAGE))
    response, body = get(server)
    assert (response.headers["Content-Type"], body) == ("text/html", LOGIN_PAGE)


def test_a_redirect_leads_to_another_host(server):
    with running_server({"login": LOGIN_PAGE}) as other:
        server.fail("*", Fault(location=f"{other.url}/login"))
        assert get(server)[1] == LOGIN_PAGE


def test_one_connection_takes_several_requests(server):
    connection = http.client.HTTPConnection(*server.server_address, timeout=5)
    for _ in range(2):
        connection.request("GET", f"/{PATH}")
        assert connection.getresponse().read() == CONTENT
    connection.close()


def test_healing_ends_faults_and_forgets_requests(server):
    server.fail("*", Fault(status=500))
    refusal(server)
    server.heal()
    assert get(server)[1] == CONTENT
    assert len(server.requests) == 1
