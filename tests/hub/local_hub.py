"""A small Hugging Face Hub on 127.0.0.1, for the real client to talk to.

It keeps repositories in memory: branches, commits, LFS objects. It has no git, no
access rights but one token, and none of the Hub's limits.
"""

import base64
import contextlib
import hashlib
import json
import re
import urllib.parse

import huggingface_hub
from huggingface_hub import constants

from tests.local_servers import Handler, LocalServer, running

TOKEN = "hf_test"
USER = "tester"
_LFS_FROM = 10_000
_FILE = "/{repo_id}/resolve/{revision}/{filename}"


class Repository:
    """Branches, each a list of commits; a commit is a dict from path to bytes."""

    def __init__(self, private=False):
        self.private = private
        self.branches = {"main": [{}]}
        self.pull_requests = []

    def files(self, revision):
        """Files of a branch or of a commit, with the commit's id."""
        if revision in self.branches:
            commits = self.branches[revision]
            return commit_id(revision, len(commits) - 1), commits[-1]
        for branch, commits in self.branches.items():
            for number, files in enumerate(commits):
                if commit_id(branch, number) == revision:
                    return revision, files
        return None, None


def commit_id(branch, number):
    return hashlib.sha1(f"{branch}-{number}".encode()).hexdigest()


class LocalHub(LocalServer):
    """The server; faults are switched on by its attributes.

    Attributes:
        repositories: dict from id to `Repository`; the ids of datasets begin with
            `datasets/`.
        downloads: list of the paths that were downloaded.
        truncate: int. So many bytes of a large file are sent, then the line is cut.
        corrupt: bool. Whether the last byte of large files is changed.
        status: int. Every request is answered by this error.
    """

    def __init__(self):
        super().__init__(_Handler)
        self.repositories = {}
        self.objects = {}
        self.downloads = []
        self.truncate = None
        self.corrupt = False
        self.status = None


def running_hub():
    return running(LocalHub())


@contextlib.contextmanager
def client_of(address, cache, monkeypatch):
    """Lets the client talk to a server, and to nothing else.

    Args:
        address: str. URL of the server.
        cache: `pathlib.Path` of the folder for the client's cache.
        monkeypatch: pytest's fixture.
    """
    for name, value in {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": address + _FILE,
        "HF_HUB_CACHE": str(cache / "hub-cache"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_OFFLINE": False,
        "DEFAULT_ETAG_TIMEOUT": 2,
        "HF_HUB_DOWNLOAD_TIMEOUT": 2,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


def git_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class _Handler(Handler):
    def _answer(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        body = self._body()
        if self.server.status is not None:
            self._send(self.server.status, {"error": "out of order"})
            return
        for pattern, handle in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                handle(self, body, **match.groupdict())
                return
        self._send(404, {"error": f"no such address: {path}"})

    def _body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status, content, headers=None):
        content = (
            content if isinstance(content, bytes) else json.dumps(content).encode()
        )
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status, code, message):
        self._send(status, {"error": message}, {"X-Error-Code": code})

    def _authorized(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name):
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self._authorized()):
            self._refuse(401, "RepoNotFound", "Repository Not Found")
            return None
        return repository

    def _files(self, name, revision):
        repository = self._repository(name)
        if repository is None:
            return None, None
        commit, files = repository.files(revision or "main")
        if commit is None:
            self._refuse(404, "RevisionNotFound", "Revision Not Found")
        return commit, files

    def who_am_i(self, _body):
        if not self._authorized():
            self._send(401, {"error": "Invalid token"})
            return
        user = {
            "type": "user",
            "name": USER,
            "orgs": [],
            "auth": {"type": "access_token"},
        }
        self._send(200, user)

    def validate_yaml(self, _body):
        self._send(200, {"errors": [], "warnings": []})

    def create_repository(self, body):
        if not self._authorized():
            self._send(401, {"error": "Invalid username or password."})
            return
        asked = json.loads(body)
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        url = f"{self.server.url}/{name}"
        if name in self.server.repositories:
            self._send(409, {"error": "You already created this repo", "url": url})
            return
        private = asked.get("private") or asked.get("visibility") == "private"
        self.server.repositories[name] = Repository(bool(private))
        self._send(200, {"url": url, "name": name, "id": name})

    def create_branch(self, _body, name, branch):
        repository = self._repository(name)
        if repository is None:
            return
        if branch in repository.branches:
            self._send(409, {"error": "Reference already exists"})
            return
        repository.branches[branch] = [dict(repository.branches["main"][-1])]
        self._send(200, {})

    def preupload(self, body, name, revision):
        _, files = self._files(name, revision)
        if files is None:
            return
        asked = json.loads(body)["files"]
        self._send(
            200,
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["size"] > _LFS_FROM else "regular",
                        "shouldIgnore": False,
                        "oid": git_id(files[file["path"]])
                        if file["path"] in files
                        else None,
                    }
                    for file in asked
                ]
            },
        )

    def lfs_batch(self, body, name):
        objects = []
        for entry in json.loads(body)["objects"]:
            href = f"{self.server.url}/lfs/{entry['oid']}"
            actions = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
            known = entry["oid"] in self.server.objects
            objects.append(entry | ({} if known else {"actions": actions}))
        self._send(200, {"transfer": "basic", "objects": objects})

    def lfs_upload(self, body, oid):
        self.server.objects[oid] = body
        self._send(200, {})

    def lfs_verify(self, _body, oid):
        self._send(200 if oid in self.server.objects else 404, {})

    def commit(self, body, name, revision):
        repository = self._repository(name)
        if repository is None:
            return
        _, before = repository.files(revision)
        files = dict(before)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        answer = {"success": True}
        if "create_pr=1" in self.path:
            repository.pull_requests.append(files)
            number = len(repository.pull_requests)
            branch = f"refs/pr/{number}"
            repository.branches[branch] = [files]
            answer["pullRequestUrl"] = f"{self.server.url}/{name}/discussions/{number}"
        else:
            branch = revision
            repository.branches[branch].append(files)
        oid = commit_id(branch, len(repository.branches[branch]) - 1)
        url = f"{self.server.url}/{name}/commit/{oid}"
        self._send(200, answer | {"commitOid": oid, "commitUrl": url})

    def info(self, _body, name, revision=None):
        commit, files = self._files(name, revision)
        if commit is not None:
            siblings = [{"rfilename": path} for path in sorted(files)]
            content = {"id": name, "sha": commit, "siblings": siblings, "tags": []}
            content |= {"private": self.server.repositories[name].private}
            self._send(200, content)

    def tree(self, _body, name, revision, folder=None):
        commit, files = self._files(name, revision)
        if commit is None:
            return
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        start = f"{folder}/" if folder else ""
        below = [path for path in sorted(files) if path.startswith(start)]
        if folder and not below:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        parents = {p for path in below for p in _parents(path, start)}
        if query.get("recursive", "").lower() != "true":
            parents = {path for path in parents if "/" not in path[len(start) :]}
            below = [path for path in below if "/" not in path[len(start) :]]
        entries = [
            {"type": "directory", "path": p, "oid": "0"} for p in sorted(parents)
        ]
        entries += [self._entry(path, files[path]) for path in below]
        self._send(200, entries)

    def paths_info(self, body, name, revision):
        commit, files = self._files(name, revision)
        if commit is not None:
            asked = json.loads(body)["paths"]
            self._send(200, [self._entry(p, files[p]) for p in asked if p in files])

    def refs(self, _body, name):
        repository = self._repository(name)
        if repository is not None:
            branches = [
                {
                    "name": branch,
                    "ref": f"refs/heads/{branch}",
                    "targetCommit": commit_id(branch, len(commits) - 1),
                }
                for branch, commits in repository.branches.items()
            ]
            self._send(200, {"branches": branches, "tags": [], "converts": []})

    def resolve(self, _body, name, revision, path):
        commit, files = self._files(name, revision)
        if commit is None:
            return
        if path not in files:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        content = files[path]
        is_lfs = len(content) > _LFS_FROM
        headers = {
            "ETag": f'"{sha256(content) if is_lfs else git_id(content)}"',
            "X-Repo-Commit": commit,
            "Content-Length": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        if is_lfs:
            headers["X-Linked-Etag"] = headers["ETag"]
            headers["X-Linked-Size"] = headers["Content-Length"]
        status = 200
        if self.command == "GET":
            self.server.downloads.append(path)
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked is not None:
                end = int(asked[2]) + 1 if asked[2] else len(content)
                content, status = content[int(asked[1]) : end], 206
                headers["Content-Length"] = str(len(content))
            if is_lfs and self.server.corrupt:
                content = content[:-1] + bytes([content[-1] ^ 255])
            if is_lfs and self.server.truncate is not None:
                content = content[: self.server.truncate]
                self.close_connection = True
        self._send(status, content, headers)

    @staticmethod
    def _entry(path, content):
        entry = {"type": "file", "path": path, "size": len(content)}
        entry["oid"] = git_id(content)
        if len(content) > _LFS_FROM:
            entry["lfs"] = {
                "oid": sha256(content),
                "size": len(content),
                "pointerSize": 130,
            }
        return entry


def _parents(path, start):
    """Yields the folders of a file that are below another folder."""
    for position, letter in enumerate(path):
        if letter == "/" and position > len(start):
            yield path[:position]


_NAME = r"(?P<name>(?:datasets/)?[^/]+/[^/]+)"
_API = f"/api/(?:models/)?{_NAME}"
_REVISION = "(?P<revision>refs/pr/[0-9]+|[^/]+)"
_ROUTES = [
    ("/api/whoami-v2", _Handler.who_am_i),
    ("/api/validate-yaml", _Handler.validate_yaml),
    ("/api/repos/create", _Handler.create_repository),
    (f"{_API}/branch/(?P<branch>.+)", _Handler.create_branch),
    (f"{_API}/preupload/(?P<revision>.+)", _Handler.preupload),
    (f"{_API}/commit/(?P<revision>.+)", _Handler.commit),
    (f"{_API}/tree/{_REVISION}(?:/(?P<folder>.+))?", _Handler.tree),
    (f"{_API}/paths-info/(?P<revision>.+)", _Handler.paths_info),
    (f"{_API}/refs", _Handler.refs),
    (f"{_API}/revision/(?P<revision>.+)", _Handler.info),
    (_API, _Handler.info),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("/lfs/(?P<oid>[0-9a-f]+)", _Handler.lfs_upload),
    ("/lfs/(?P<oid>[0-9a-f]+)/verify", _Handler.lfs_verify),
    (f"/{_NAME}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
]
