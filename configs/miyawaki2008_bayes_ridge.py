r"""Miyawaki et al. 2008: local image bases, each decoded by Bayesian ridge regression.

Data: one subject looking at 10 x 10 black and white patterns; random patterns train, figures test.
Method: penalty and noise by evidence maximisation;
  bases of several scales, all voxels (k=500: those of highest F score); scales are combined by
  weights learned on held-out training runs (the paper's combination coefficients), or equally
  (combine=equal, as in nilearn's example).

Run:    python launch/main.py --config=configs/miyawaki2008_bayes_ridge.py:path=DIR
Smoke:  python launch/main.py --config=configs/miyawaki2008_bayes_ridge.py:smoke
Expect: row miyawaki2008_bayes_ridge of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.miyawaki2008."""
    return common.miyawaki2008(arg, base=dict(name='bayes_ridge'), k=0)
