r"""Miyawaki et al. 2008: local image bases, each decoded by orthogonal matching pursuit.

Data: one subject looking at 10 x 10 black and white patterns; random patterns train, figures test.
Method: ten voxels for each local decoder, as in nilearn's example;
  bases of several scales, 500 voxels for each local decoder by F score; scales are combined by
  weights learned on held-out training runs (the paper's combination coefficients), or equally
  (combine=equal, as in nilearn's example).

Run:    python launch/main.py --config=configs/miyawaki2008_omp.py:path=DIR
Smoke:  python launch/main.py --config=configs/miyawaki2008_omp.py:smoke
Expect: row miyawaki2008_omp of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.miyawaki2008."""
    return common.miyawaki2008(arg, base=dict(name='omp', coefficients=10))
