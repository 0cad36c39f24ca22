"""Makes an index in child processes that are killed: `killed_runs.py FOLDER KILLS`.

Each child resumes the index that the one before it has left, brings it up to date with
one folder after the other, and is killed by SIGKILL at a random time. A line is printed
for each: the number of the signal that ended it.
"""

import itertools
import os
import signal
import sys
import time

import numpy as np

from tests.search.stores import make_index, some_windows


def embed_without_end(folder, first):
    """Embeds windows of which some are new and others are gone."""
    try:
        for step in itertools.count(first, 5):
            make_index(folder, some_windows(40, step % 80), batch=4)
    finally:
        os._exit(1)


def main(folder, kills):
    random = np.random.default_rng(0)
    for kill in range(kills):
        child = os.fork()
        if child == 0:
            embed_without_end(folder, 20 * kill)
        time.sleep(random.uniform(0.1, 0.4))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else "exit", flush=True)
        input()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
