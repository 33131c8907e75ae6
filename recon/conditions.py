"""What a trained generator is shown besides voxels: what decoders say of rows that they left out.

Of rows that it was fitted on a decoder says more than it knows of any others, and a generator that
learnt from that would trust it too much: so every training row is decoded by a decoder that was
fitted without its image. The true values are never shown, of test images nor of others.
"""

import dataclasses

import numpy as np

from recon.core import errors, rng

FOLDS = 5


def check(cfg, tasks: dict) -> None:
    """Raises ConfigError for a generator that reads what nothing decodes.

    Args:
      cfg: resolved config.
      tasks: {generator: the module with its fit}, of those that are trained.
    """
    for name, task in tasks.items():
        for read in reads(task, cfg.generator[name]):
            if read not in cfg.targets:
                raise errors.ConfigError(
                    f'generator.{name} reads {read!r}, and no target has that name',
                    'targets',
                    f'there are: {", ".join(cfg.targets) or "none"}; for labels '
                    "targets=dict(labels=dict(net='labels', layer='categories'))",
                )


def reads(task, options) -> tuple[str, ...]:
    """Targets that a generator is given; () where it reads voxels alone."""
    return task.reads(options) if hasattr(task, 'reads') else ()


def of(experiment, task, options, work, **which):
    """`work`, a Job, with rows as `task.given` makes them of voxels and of decoded values.

    Args:
      experiment: what fits the decoders.
      task: the module with the generator's fit.
      options: of the generator.
      work: its Job, with voxels alone.
      which: `voxels`, `rows` and `shuffle` as in `Experiment.fit`: decoders see no more either.
    """
    names = reads(task, options)
    if not names:
        return work
    train, rows = experiment.brain.train, which.pop('rows', None)
    rows = np.arange(len(train)) if rows is None else np.asarray(rows)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    decoded = {k: left_out(experiment, k, work.voxels, rows, **which) for k in names}
    given = task.given(options, {'voxels': work.voxels} | decoded)
    aside = work.validation
    if aside is not None:
        fitted = {k: experiment.fit(k, rows=rows, **which) for k in names}
        decoded = {k: experiment.predict(k, fitted[k], aside[0]) for k in names}
        aside = task.given(options, {'voxels': aside[0]} | decoded), aside[1]
    return dataclasses.replace(work, voxels=given, validation=aside)


def left_out(experiment, name: str, x, rows: np.ndarray, **which) -> np.ndarray:
    """[n ...]: target `name` of each row, decoded by a decoder fitted without the row's image.

    Args:
      experiment: what fits.
      name: of the target.
      x: [n ...] voxels of the rows.
      rows: [n] int, which training rows they are.
      which: `voxels` and `shuffle` of `Experiment.fit`.
    """
    _, image = np.unique(experiment.brain.train.image_id[rows], return_inverse=True)
    count = image.max() + 1
    if count < 2:
        return experiment.predict(name, experiment.fit(name, rows=rows, **which), x)
    order = rng.generator(experiment.cfg.seed, 'left out').permutation(count)
    fold = order[image] % min(FOLDS, count)
    out = None
    for k in range(fold.max() + 1):
        params = experiment.fit(name, rows=rows[fold != k], **which)
        found = experiment.predict(name, params, x[fold == k])
        out = np.empty((len(rows), *found.shape[1:]), np.float32) if out is None else out
        out[fold == k] = found
    return out
