"""Files of the project that have to agree with one another."""

import pathlib
import re

_ROOT = pathlib.Path(__file__).parents[1]


def test_pre_commit_runs_the_ruff_that_the_tests_install():
    pinned = re.search(r'"(ruff==[\d.]+)"', (_ROOT / "pyproject.toml").read_text())
    hooks = (_ROOT / ".ci" / "pre-commit.yaml").read_text()
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == {pinned[1]}


def test_the_link_to_the_presets_leads_to_the_presets():
    link = _ROOT / "keras_vatt" / "presets"
    assert link.resolve() == _ROOT / "presets"


def test_ci_runs_the_commands_of_the_readme():
    readme = (_ROOT / "README.md").read_text()
    script = (_ROOT / ".ci" / "run").read_text()
    for command in (
        'torch==2.13.0 -e ".[test]"',
        "for backend in jax tensorflow torch; do",
        "KERAS_BACKEND=$backend pytest --numprocesses 2 tests",
    ):
        assert command in readme
        assert command in script
