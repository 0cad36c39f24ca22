"""A small Google Cloud Storage on 127.0.0.1, for the real client to talk to.

It keeps buckets in memory and has the requests of the JSON API that gcsfs sends:
listing with pages, metadata, downloads of ranges, simple and resumable uploads.
"""

import hashlib
import json
import re
import urllib.parse

from tests.local_servers import Handler, LocalServer, running

_MAX_PAGE = 3


class LocalGCS(LocalServer):
    """The server; a fault is switched on by an attribute.

    Attributes:
        buckets: dict from the name of a bucket to a dict from object name to bytes.
        requests: list of tuples of the method and the path of every request.
        status: int. Every request is answered by this error.
    """

    def __init__(self):
        super().__init__(_Handler)
        self.buckets = {}
        self.uploads = {}
        self.requests = []
        self.status = None


def running_gcs():
    return running(LocalGCS())


class _Handler(Handler):
    def _answer(self):
        address = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(address.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path))
        if self.server.status is not None:
            self._refuse(self.server.status)
            return
        for method, pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, address.path)
            if match and method == self.command:
                names = map(urllib.parse.unquote, match.groups())
                handle(self, body, *names)
                return
        self._refuse(404)

    def _send(self, content, status=200, headers=None):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status):
        error = {"code": status, "message": "out of order"}
        self._send({"error": error}, status)

    def _objects(self, bucket):
        objects = self.server.buckets.get(bucket)
        if objects is None:
            self._refuse(404)
        return objects

    def bucket(self, _body, bucket):
        if self._objects(bucket) is not None:
            self._send({"kind": "storage#bucket", "name": bucket})

    def list(self, _body, bucket):
        objects = self._objects(bucket)
        if objects is None:
            return
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        start = self.query.get("pageToken", "")
        found = sorted(name for name in objects if name.startswith(prefix))
        items, folders = [], set()
        for name in found:
            head, slash, _ = name[len(prefix) :].partition(delimiter or "\0")
            if slash:
                folders.add(f"{prefix}{head}{delimiter}")
            elif name >= start:
                items.append(_metadata(bucket, name, objects[name]))
        page = min(_MAX_PAGE, int(self.query.get("maxResults", _MAX_PAGE)))
        answer = {"kind": "storage#objects", "items": items[:page]}
        answer["prefixes"] = sorted(folders)
        if items[page:]:
            answer["nextPageToken"] = items[page]["name"]
        self._send(answer)

    def metadata(self, _body, bucket, name):
        objects = self._objects(bucket)
        if objects is None:
            return
        if name not in objects:
            self._refuse(404)
        else:
            self._send(_metadata(bucket, name, objects[name]))

    def download(self, _body, bucket, name):
        objects = self._objects(bucket)
        if objects is None:
            return
        if name not in objects:
            self._refuse(404)
            return
        content = objects[name]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(content)
            return
        end = int(asked[2]) + 1 if asked[2] else len(content)
        self._send(content[int(asked[1]) : end], 206)

    def delete(self, _body, bucket, name):
        objects = self._objects(bucket)
        if objects is not None:
            self._send(b"", 204 if objects.pop(name, None) is not None else 404)

    def upload(self, body, bucket):
        objects = self._objects(bucket)
        if objects is None:
            return
        if self.query["uploadType"] == "resumable":
            upload = str(len(self.server.uploads))
            self.server.uploads[upload] = (bucket, self.query["name"], bytearray())
            place = f"{self.server.url}/uploads/{upload}"
            self._send({}, headers={"Location": place})
            return
        boundary = re.search('boundary="(.+)"', self.headers["Content-Type"])[1]
        _, about, data, _ = body.split(b"--" + boundary.encode())
        name = json.loads(about.split(b"\n\n", 1)[1])["name"]
        self._store(bucket, name, data.split(b"\n\n", 1)[1].removesuffix(b"\n"))

    def upload_part(self, body, upload):
        bucket, name, content = self.server.uploads[upload]
        content.extend(body)
        total = int(self.headers["Content-Range"].rpartition("/")[2])
        if len(content) < total:
            received = f"bytes=0-{len(content) - 1}"
            self._send(b"", 308, {"Range": received})
        else:
            self._store(bucket, name, bytes(content))

    def _store(self, bucket, name, content):
        self.server.buckets[bucket][name] = content
        self._send(_metadata(bucket, name, content))


def _metadata(bucket, name, content):
    digest = hashlib.md5(content).hexdigest()
    metadata = {"kind": "storage#object", "bucket": bucket, "name": name}
    return metadata | {"size": str(len(content)), "etag": digest}


_BUCKET = "/storage/v1/b/([^/]+)"
_ROUTES = [
    ("GET", _BUCKET, _Handler.bucket),
    ("GET", f"{_BUCKET}/o", _Handler.list),
    ("GET", f"{_BUCKET}/o/(.+)", _Handler.metadata),
    ("DELETE", f"{_BUCKET}/o/(.+)", _Handler.delete),
    ("GET", f"/download{_BUCKET}/o/(.+)", _Handler.download),
    ("POST", f"/upload{_BUCKET}/o", _Handler.upload),
    ("POST", r"/uploads/(\d+)", _Handler.upload_part),
]
