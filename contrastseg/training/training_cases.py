"""Which cases of which data sets a stage draws its samples from."""

from __future__ import annotations

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.pool_files import Pool, check_fits, pool_cases
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import PoolError, TrainingError
from contrastseg.methods import registry
from contrastseg.training.settings import RunConfig

CasesBySource = dict[str, list[tuple[PreparedDataset, list[str]]]]
"""Per source (`labelled`, `unlabelled`) that has any: data sets with their cases."""


def own_cases(config: RunConfig, dataset: PreparedDataset, split: Split) -> CasesBySource:
    """Collect the cases of the run's own data set.

    A pre-training stage that uses no labels sees every training patient. Unlabelled are the cases of training patients
    beyond the label budget, and every case without a label: those of training patients, whatever their budget, and
    those of patients without any label. An image that a patient who validates or tests has too, under another name,
    is left out.

    Args:
        config: The run.
        dataset: Its prepared data set.
        split: Of that data set.
    """
    budget: list[str] = []
    if registry.get(config.method).stage(config.stage).data != "unlabelled":
        budget = split.labelled(config.labels, config.draw, config.fold)
    labelled = dataset.cases_of(budget, labelled=True)
    seen = dataset.cases_of([*split.train(config.fold), *split.unlabelled])
    hidden = set(labelled) | _copies(dataset, split, config.fold)
    shares = {"labelled": labelled, "unlabelled": [case for case in seen if case not in hidden]}
    return {source: [(dataset, cases)] for source, cases in shares.items() if cases}


def cases_of_run(config: RunConfig, dataset: PreparedDataset, split: Split) -> tuple[Pool | None, CasesBySource]:
    """Open the run's pool, where it has one, and collect its cases; arguments and errors are those of `open_pool`."""
    return open_pool(config, dataset, split) if config.pool else (None, own_cases(config, dataset, split))


def _copies(dataset: PreparedDataset, split: Split, fold: int) -> set[str]:
    """The cases without a label whose image is one that is validated or tested on."""
    bare = dataset.cases_of([*split.train(fold), *split.unlabelled], labelled=False)
    held_out = dataset.cases_of([*split.val(fold), *split.test(fold)]) if bare else []
    images = {dataset.image_hash(case) for case in held_out}
    return {case for case in bare if dataset.image_hash(case) in images}


def open_pool(config: RunConfig, dataset: PreparedDataset, split: Split) -> tuple[Pool, CasesBySource]:
    """Open the run's pool and collect its cases, after every check.

    A stage that learns from labelled images, too, has its own labelled cases, and of the pool all others.

    Args:
        config: A run with a pool.
        dataset: Its own data set.
        split: The split of that.

    Raises:
        TrainingError: The stage uses labelled images alone.
        PoolError: A test case is inside, the pool was made for another run or of other data, or its images do not fit.
    """
    data = registry.get(config.method).stage(config.stage).data
    if data == "labelled":
        raise TrainingError(
            f"stage {config.stage} of {config.method} uses labels alone; a pool has none", remedy="leave --pool out"
        )
    pool = Pool.from_file(config.pool)
    if (pool.entry, pool.fold) != (config.entry, config.fold):
        raise PoolError(
            f"made for {pool.entry}, fold {pool.fold}; the run is one of {config.entry}, fold {config.fold}",
            file=pool.file,
            remedy="give the pool of this entry and fold",
        )
    if absent := [entry for entry in pool.sources if entry not in config.pool_data]:
        raise PoolError(f"no prepared data is given for {', '.join(absent)}", file=pool.file, remedy="prepare it first")
    datasets = {entry: PreparedDataset(config.pool_data[entry]) for entry in pool.sources}
    for other in datasets.values():
        check_fits(dataset, other, config.spatial_dims)
    pool.check(datasets)
    pool.refuse(pool_cases(config.entry, dataset, dataset.cases_of(split.test(config.fold))))
    labelled: list[str] = []
    if data == "both":
        labelled = dataset.cases_of(split.labelled(config.labels, config.draw, config.fold), labelled=True)
    own = {(config.entry, case) for case in labelled}
    drawn = [
        (datasets[entry], [case for case in pool.cases_of(entry) if (entry, case) not in own]) for entry in pool.sources
    ]
    shares = {"labelled": [(dataset, labelled)], "unlabelled": drawn}
    taken = {source: [(there, cases) for there, cases in parts if cases] for source, parts in shares.items()}
    return pool, {source: parts for source, parts in taken.items() if parts}
