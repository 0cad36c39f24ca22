"""Long commands ask the C library for huge pages, and run only once."""

import platform

import pytest

from tests.processes import run

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc"),
]

_PROGRAM = """
import os, sys

arguments = sys.argv[1:]
sys.argv[0] = "bin/keras-vatt"  # The command line imports no backend at the start.
from keras_vatt.cli.huge_pages import restart_with_huge_pages

print("start", flush=True)
restart_with_huge_pages()
print(os.environ.get("GLIBC_TUNABLES"), *arguments)
"""
_HUGE_PAGES = "glibc.malloc.hugetlb=1"


@pytest.fixture(autouse=True)
def no_tunables(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)


def test_a_long_command_restarts_once_with_the_same_arguments():
    process = run(_PROGRAM, "pretrain", "--output", "a b")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert lines == ["start", "start", f"{_HUGE_PAGES} pretrain --output a b"]


def test_a_short_command_does_not_restart():
    process = run(_PROGRAM, "presets")
    assert process.stdout.splitlines() == ["start", "None presets"]


def test_a_setting_of_the_user_is_kept(monkeypatch):
    own = "glibc.malloc.arena_max=1"
    monkeypatch.setenv("GLIBC_TUNABLES", own)
    process = run(_PROGRAM, "pretrain")
    assert process.stdout.splitlines() == ["start", f"{own} pretrain"]
