r"""Miyawaki et al. 2008: local image bases, each decoded by ordinary least squares.

Data: one subject looking at 10 x 10 black and white patterns; random patterns train, figures test.
Method: the smallest of all solutions where there are more voxels than rows;
  bases of several scales, all voxels (k=500: those of highest F score); scales are combined by
  weights learned on held-out training runs (the paper's combination coefficients), or equally
  (combine=equal, as in nilearn's example).

Run:    python launch/main.py --config=configs/miyawaki2008_linear.py:path=DIR
Smoke:  python launch/main.py --config=configs/miyawaki2008_linear.py:smoke
Expect: row miyawaki2008_linear of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.miyawaki2008."""
    return common.miyawaki2008(arg, base=dict(name='linear'), k=0)
