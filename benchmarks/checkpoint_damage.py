"""Random damage to training checkpoints, as disks, networks and people cause it."""

import shutil

MAX_FLIPPED_BITS = 3


def damage(checkpoint, other, random):
    """Damages a checkpoint in a random way.

    Args:
        checkpoint: `pathlib.Path` of the checkpoint.
        other: `pathlib.Path` of an older checkpoint of the run. It is left unchanged,
            unless the damage swaps the two.
        random: `numpy.random.Generator`.

    Returns:
        String, a description of the damage.
    """
    way = WAYS[random.integers(len(WAYS))]
    return f"{way.__name__}: {way(checkpoint, other, random)}"


def flip_bits(checkpoint, _, random):
    path = _any_file(checkpoint, random)
    content = bytearray(path.read_bytes())
    for _ in range(random.integers(1, MAX_FLIPPED_BITS + 1)):
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)
    return path


def flip_bits_of_data(checkpoint, _, random):
    path = max(_files(checkpoint), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    for _ in range(MAX_FLIPPED_BITS):
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)
    return path


def truncate(checkpoint, _, random):
    path = _any_file(checkpoint, random)
    content = path.read_bytes()
    path.write_bytes(content[: random.integers(len(content))])
    return path


def delete(checkpoint, _, random):
    path = _any_file(checkpoint, random)
    path.unlink()
    return path


def delete_folder(checkpoint, _, random):
    folders = sorted(path for path in checkpoint.rglob("*") if path.is_dir())
    path = folders[random.integers(len(folders))]
    shutil.rmtree(path)
    return path


def fill_with_zeros(checkpoint, _, random):
    path = _any_file(checkpoint, random)
    content = bytearray(path.read_bytes())
    start = random.integers(len(content))
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    return path


def swap_files(checkpoint, _, random):
    files = _files(checkpoint)
    first, second = (files[i] for i in random.choice(len(files), 2, replace=False))
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    return f"{first} and {second}"


def add_file(checkpoint, _, random):
    path = _any_file(checkpoint, random)
    extra = path.with_name("0123456789abcdef")
    shutil.copyfile(path, extra)
    return extra


def take_files_of_other(checkpoint, other, random):
    """Imitates a copy in which some files come from an older checkpoint."""
    name = ("state", "run")[random.integers(2)]
    shutil.rmtree(checkpoint / name)
    shutil.copytree(other / name, checkpoint / name)
    return checkpoint / name


def swap_checkpoints(checkpoint, other, random):
    aside = checkpoint.with_name("aside")
    checkpoint.rename(aside)
    other.rename(checkpoint)
    aside.rename(other)
    return checkpoint


WAYS = [
    flip_bits,
    flip_bits_of_data,
    truncate,
    delete,
    delete_folder,
    fill_with_zeros,
    swap_files,
    add_file,
    take_files_of_other,
    swap_checkpoints,
]


def _files(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def _any_file(checkpoint, random):
    files = [path for path in _files(checkpoint) if path.stat().st_size]
    return files[random.integers(len(files))]
