"""Generators that paint what nobody decoded: further samples, and how far samples agree.

What several samples of one decoded answer share is what the brain fixed; the rest is invented.
"""

import numpy as np
from absl import logging

from recon.core import errors
from recon.metrics import agreement

PRIORS = ('clip_gan', 'img2img', 'optimise', 'prior')  # generators that have learnt to paint


def check(cfg) -> None:
    """Raises ConfigError for a number of samples that cannot be drawn."""
    if not isinstance(cfg.samples, int) or cfg.samples < 1:
        raise errors.ConfigError(f'samples is {cfg.samples!r}', 'samples', 'a whole number from 1')
    if cfg.samples > 1 and not cfg.generator.chain:
        raise errors.ConfigError(
            f'samples is {cfg.samples}, and no generator draws',
            'samples',
            'name one in generator.chain, or samples=1',
        )


def priors(cfg) -> list[str]:
    """Generators of the chain whose pictures hold more than was decoded."""
    found = [name for name in cfg.generator.chain if name in PRIORS]
    # Descending over pixels needs no picture that was learnt.
    free = [name for name in found if cfg.generator[name].get('over') == 'pixels']
    return [name for name in found if name not in free]


def names(cfg) -> list[str]:
    """The samples beyond the first, one progress step each."""
    return [f'sample_{k}' for k in range(1, cfg.samples)]


def samples(experiment, fitted: dict, decoded: dict, step) -> dict:
    """Further samples of the test pictures.

    Args:
      experiment: what generates.
      fitted: its parameters.
      decoded: what it decoded and made the first time.
      step: called with each sample's name when it is done.

    Returns:
      {'stage_sample_<k>': [n h w 3]}, k from 1.
    """
    found = {}
    for k, name in enumerate(names(experiment.cfg), start=1):
        drawn = experiment.generate(fitted, decoded, sample=k)['images']
        found[f'stage_{name}'] = np.asarray(drawn, np.float32)
        step(name)
    if found and all(np.array_equal(v, decoded['images']) for v in found.values()):
        logging.warning('all %d samples are equal: the chain draws nothing', 1 + len(found))
    return found


def score(cfg, images: np.ndarray, drawn: dict, scored) -> tuple[dict, dict]:
    """Scores of the further samples, and how far all agree.

    Args:
      cfg: resolved config.
      images: [n h w 3], the first sample.
      drawn: of `samples`.
      scored: pictures [n h w 3] -> {metric: entry}.

    Returns:
      {'sample_<k>': {metric: entry}}; {'agreement': as `agreement.score`}, {} without samples.
    """
    entries = {key.removeprefix('stage_'): scored(array) for key, array in drawn.items()}
    if not drawn:
        return entries, {}
    together = agreement.score([images, *drawn.values()], seed=cfg.seed, draws=cfg.draws)
    return entries, {} if together is None else {'agreement': together}
