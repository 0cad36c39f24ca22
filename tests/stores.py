"""Object stores and a Hub on 127.0.0.1, and the settings of their real clients.

`tests/conftest.py` makes the fixtures known to all tests. The servers run for the
session; each test has its own bucket, and clients without caches of earlier tests.
"""

import contextlib
import itertools
import os
import socket
import threading

# Google's client asks a gRPC server for the kind of each bucket; the stub has none.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import fsspec
import pytest
from fsspec.config import conf

from keras_vatt import _remote_files
from tests.hub.local_hub import Repository, client_of, running_hub
from tests.local_gcs import running_gcs

_NUMBERS = itertools.count()


class Store:
    """A folder in a store: a bucket of its own, or a dataset on the Hub.

    Attributes:
        url: str. URL of the folder, without a slash at its end.
        server: the server, to switch on faults; `None` for S3.
    """

    def __init__(self, url, put, delete, names, server=None):
        self.url = url
        self.put = put
        self.delete = delete
        self.names = names
        self.server = server

    def fill(self, folder):
        """Copies the files of a local folder; returns the URL of the copy."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())
        return self.url


@pytest.fixture(scope="session")
def s3_server():
    """Address of moto's S3 server, which starts in a second."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def gcs_server():
    """The server of `tests.local_gcs`."""
    with running_gcs() as server:
        yield server


@pytest.fixture
def s3_store(s3_server, monkeypatch):
    """An empty bucket: a `Store` with an `s3://` URL."""
    with s3_client(s3_server, monkeypatch):
        bucket = f"bucket-{next(_NUMBERS)}"
        # A client of the tests' own, without the caches of the one that is tested.
        client = fsspec.filesystem("s3", use_listings_cache=False, default_fill_cache=0)
        client.mkdir(bucket)
        yield Store(
            f"s3://{bucket}",
            lambda name, data: client.pipe_file(f"{bucket}/{name}", data),
            lambda name: client.rm_file(f"{bucket}/{name}"),
            lambda: [name.partition("/")[2] for name in client.find(bucket)],
        )


@pytest.fixture
def gcs_store(gcs_server, monkeypatch):
    """An empty bucket: a `Store` with a `gs://` URL."""
    with gcs_client(gcs_server.url, monkeypatch):
        bucket = f"bucket-{next(_NUMBERS)}"
        objects = gcs_server.buckets[bucket] = {}
        gcs_server.requests.clear()
        yield Store(
            f"gs://{bucket}",
            objects.__setitem__,
            objects.__delitem__,
            lambda: sorted(objects),
            gcs_server,
        )
        gcs_server.status = None


@pytest.fixture
def hf_store(tmp_path, monkeypatch):
    """An empty dataset: a `Store` with an `hf://` URL. It is read-only for clients."""
    with running_hub() as server, hf_client(server.url, tmp_path, monkeypatch):
        repository = server.repositories["datasets/tester/corpus"] = Repository()
        files = repository.branches["main"][-1]
        yield Store(
            "hf://datasets/tester/corpus",
            files.__setitem__,
            files.__delitem__,
            lambda: sorted(files),
            server,
        )


@pytest.fixture(params=["s3_store", "gcs_store", "hf_store"])
def any_store(request):
    """Each of the stores in turn."""
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def s3_client(address, monkeypatch):
    """Lets `s3://` lead to a server."""
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with _fresh_clients():
        yield


@contextlib.contextmanager
def gcs_client(address, monkeypatch):
    """Lets `gs://` lead to a server."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    monkeypatch.setitem(conf, "gs", {"token": "anon"})
    with _fresh_clients():
        yield


@contextlib.contextmanager
def hf_client(address, cache, monkeypatch):
    """Lets `hf://` lead to a server."""
    with client_of(address, cache, monkeypatch), _fresh_clients():
        yield


CLIENTS = {
    "s3": lambda url, _cache, patch: s3_client(url, patch),
    "gs": lambda url, _cache, patch: gcs_client(url, patch),
    "hf": hf_client,
}


@pytest.fixture(params=sorted(CLIENTS))
def stalled_store(request, tmp_path, monkeypatch):
    """URL of a folder in a store that accepts connections and never answers."""
    folder = {"hf": "datasets/tester/corpus"}.get(request.param, "bucket")
    with (
        stalling_server() as address,
        CLIENTS[request.param](address, tmp_path, monkeypatch),
    ):
        yield f"{request.param}://{folder}"


@contextlib.contextmanager
def stalling_server():
    """Yields the address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Closing alone does not wake the thread.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


@contextlib.contextmanager
def _fresh_clients():
    """Forgets the clients of other servers, before and after."""
    _forget_clients()
    yield
    _forget_clients()


def _forget_clients():
    _remote_files._filesystem_of.cache_clear()
    for protocol in ("s3", "gs", "hf"):
        fsspec.get_filesystem_class(protocol).clear_instance_cache()
