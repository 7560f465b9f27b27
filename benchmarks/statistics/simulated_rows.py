"""Made-up tables of equal methods whose rows are tuned, or entered from elsewhere: how often their tests are wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from simulated_intervals import Share

from contrastseg.data.splits.cross_fitting import validating_patients
from contrastseg.evaluation.statistics.paired import holm, signed_rank_rows
from contrastseg.evaluation.statistics.tuning import DEFAULTS, choose_trial

_NOISE, _LUCK, _SEEDS = 0.03, 0.01, 3


class TunedError(NamedTuple):
    """How often a test of a family calls at least one of several equal methods different.

    Attributes:
        same_setting: Of the methods whose chosen setting is as good as the baseline's: the family-wise error.
        any_setting: Of all methods. Equal methods may choose other settings by luck, and these differ in truth.
        untuned_baseline: Of all methods, tuned as before, against the baseline at its defaults.
        on_test: Of all methods, each with the trial that is best on the test patients, against the baseline at its
            defaults.
    """

    same_setting: Share
    any_setting: Share
    untuned_baseline: Share
    on_test: Share


def tuned_error(
    spread: float,
    n: int,
    methods: int,
    repetitions: int,
    *,
    trials: int = 8,
    labelled: int = 7,
    seed: int = 0,
    alpha: float = 0.05,
) -> TunedError:
    """Simulate families of tuned methods that are equal: a trial's setting is worth the same to each of them.

    Each trial is validated on the labelled patients, in the folds of tuned suites, and chosen by their code. The chosen
    ones are tested on other patients, once. The model of each fold differs by luck, with a standard deviation of 0.01.

    Args:
        spread: Standard deviation of the true mean Dice of trials, around that of the defaults.
        n: Test patients.
        methods: Tests of the family; one more method is the baseline of all.
        repetitions: Simulated families.
        trials: Of each method, the defaults included.
        labelled: Labelled patients, which validate.
        seed: Of the simulation.
        alpha: Level of the corrected tests.
    """
    rng = np.random.default_rng([seed, n, methods, trials, labelled])
    wrong = np.zeros((repetitions, len(TunedError._fields)), dtype=bool)
    everyone = np.arange(methods + 1)
    for at in range(repetitions):
        worth = np.where(np.arange(trials) == DEFAULTS, 0, rng.normal(0, spread, trials))
        validation = _scores(rng, (methods + 1, trials), labelled) + worth[:, None]
        test = _scores(rng, (methods + 1, trials), n) + worth[:, None]
        for fold in validating_patients(list(map(str, range(labelled)))):
            validation[..., list(map(int, fold))] += rng.normal(0, _LUCK, (methods + 1, trials, 1))
        chosen = _choices(validation)
        tuned, untuned = test[everyone, chosen], test[0, DEFAULTS]
        rejected = _rejected(tuned[1:] - tuned[0], alpha)
        on_test = test[everyone, test.mean(axis=2).argmax(axis=1)][1:] - untuned
        wrong[at] = (
            rejected[worth[chosen[1:]] == worth[chosen[0]]].any(),
            rejected.any(),
            _rejected(tuned[1:] - untuned, alpha).any(),
            _rejected(on_test, alpha).any(),
        )
    return TunedError(*map(Share.of, wrong.T))


def external_error(
    external: int, n: int, methods: int, repetitions: int, *, entries: int = 1, seed: int = 0, alpha: float = 0.05
) -> Share:
    """How often a family with rows from elsewhere calls at least one of several equal methods different.

    A method of the suite has the mean of three seeds. A row from elsewhere has one trained model with twice the noise.

    Args:
        external: Tests of the family that are of rows from elsewhere.
        n: Test patients.
        methods: Tests of the family, those included.
        repetitions: Simulated families.
        entries: Models behind each row from elsewhere, of which the best one by its test score is entered. The
            protocol has one.
        seed: Of the simulation.
        alpha: Level of the corrected tests.
    """
    rng = np.random.default_rng([seed, n, methods, external, entries])
    wrong = []
    for _ in range(repetitions):
        patients = rng.beta(12, 2, n)
        own = patients + _noise(rng, (methods + 1 - external, _SEEDS), patients).mean(axis=1)
        tried = patients + 2 * _noise(rng, (external, entries), patients)
        entered = tried[np.arange(external), tried.mean(axis=2).argmax(axis=1)]
        wrong.append(_rejected(np.concatenate([own[1:], entered]) - own[0], alpha).any())
    return Share.of(wrong)


def _scores(rng: np.random.Generator, shape: tuple[int, ...], n: int) -> NDArray:
    """(*shape, n) Dice of equal models on patients of unlike difficulty."""
    patients = rng.beta(12, 2, n)
    scores: NDArray = patients + _noise(rng, shape, patients)
    return scores


def _noise(rng: np.random.Generator, shape: tuple[int, ...], patients: NDArray) -> NDArray:
    """(*shape, n) noise that grows with the difficulty of a patient."""
    noise: NDArray = _NOISE * 2 * (1 - patients) / 0.29 * rng.normal(size=(*shape, len(patients)))
    return noise


def _choices(values: NDArray) -> NDArray:
    """The chosen trial of each method, from (methods, trials, patients) Dice."""
    names = [str(patient) for patient in range(values.shape[2])]
    tables = ({trial: dict(zip(names, row, strict=True)) for trial, row in enumerate(one)} for one in values)
    return np.array([choose_trial(table).trial for table in tables])


def _rejected(differences: NDArray, alpha: float) -> NDArray:
    """(methods,) whether each test of the family rejects."""
    rejected: NDArray = holm([test.p for test in signed_rank_rows(differences)]) <= alpha
    return rejected
