"""Downloads and unpacks Debian packages, as the source of free recordings and images.

`apt-get` is required for a download, as on Debian and Ubuntu. A package file that is
already there can be unpacked without Debian's tools.
"""

import io
import pathlib
import shutil
import subprocess
import tarfile

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60


def download_packages(names, folder):
    """Downloads packages with `apt-get download`.

    Args:
        names: sequence of str. Names of the packages.
        folder: path of an existing folder.

    Returns:
        List of the paths of the package files in the folder.

    Raises:
        SystemExit: If `apt-get` is missing or fails.
    """
    if shutil.which("apt-get") is None:
        raise SystemExit(
            f"apt-get is required to download {', '.join(names)}. On other systems "
            "than Debian and Ubuntu, download the package files yourself."
        )
    # apt-get downloads as another user if it is run by root.
    pathlib.Path(folder).chmod(0o755)
    done = subprocess.run(["apt-get", "download", *names], cwd=folder)
    packages = [path for name in names for path in folder.glob(f"{name}_*.deb")]
    if done.returncode or len(packages) != len(names):
        raise SystemExit(
            f"apt-get could not download {', '.join(names)}, see above. It needs a "
            "network connection and the package lists of `apt-get update`."
        )
    return packages


def unpack_package(package, folder):
    """Unpacks the files of a package, with `dpkg-deb` if it is installed.

    Args:
        package: path of the package file.
        folder: path of a folder, which is created if it is missing.
    """
    if shutil.which("dpkg-deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        return
    content = io.BytesIO(_data_member(pathlib.Path(package).read_bytes(), package))
    with tarfile.open(fileobj=content) as archive:
        archive.extractall(folder, filter="data")


def download_and_unpack(names, folder):
    """Downloads and unpacks packages; returns the folder of their files."""
    for package in download_packages(names, folder):
        unpack_package(package, folder / "files")
    return folder / "files"


def _data_member(content, package):
    """Returns the tar archive `data.tar.*` in the `ar` archive of a package."""
    position = len(_MAGIC)
    while content.startswith(_MAGIC) and position < len(content):
        header = content[position : position + _HEADER_BYTES]
        position += _HEADER_BYTES
        size = int(header[48:58])
        if header[:16].startswith(b"data.tar"):
            return content[position : position + size]
        # Members start at even positions.
        position += size + size % 2
    raise SystemExit(f"{package} is not a Debian package")
