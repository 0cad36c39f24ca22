"""The stored results of an experiment, by noise, arm, learning rate and seed."""

import collections

import numpy as np
from differences import PRIMARY, outcome
from records import key_of
from settings import runs_of


class Experiment:
    """The results of an experiment that are there, by noise and arm.

    Args:
        name: string, that of its config.
        records: the result of `read_records`.

    Attributes:
        results: dict from noise to a dict from arm (a string) to a dict from learning
            rate to a dict from seed to the results of a run.
    """

    def __init__(self, name, records):
        self.name = name
        self.results = {}
        runs = runs_of(name)
        self.num_runs = len({key_of(run) for run in runs})
        self.num_done = 0
        for run in dict.fromkeys(runs):
            results = records.get(key_of(run))
            if results is None:
                continue
            self.num_done += 1
            arms = self.results.setdefault(run.noise, {})
            rates = arms.setdefault(str(run.arm), collections.defaultdict(dict))
            rates[run.learning_rate][run.seed] = results

    def best(self, noise):
        """Returns, by arm, its best learning rate and the results by seed.

        The best one has the highest mean of `PRIMARY`. It is a choice only where a
        config has several rates.
        """
        chosen = {}
        for arm, rates in self.results[noise].items():
            rate = max(rates, key=lambda rate, rates=rates: mean(rates[rate], PRIMARY))
            chosen[arm] = rate, rates[rate]
        return chosen

    def audits(self, noise):
        """Returns a list of dicts from step to `measures.detection`, one per seed."""
        return [
            {int(step): found for step, found in results["audit"].items()}
            for rates in self.results[noise].values()
            for seeds in rates.values()
            for results in seeds.values()
            if "audit" in results
        ]


def mean(results, name):
    """Returns the mean of an outcome over seeds."""
    return float(np.mean([outcome(found, name) for found in results.values()]))
