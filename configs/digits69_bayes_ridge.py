r"""Bayesian ridge regression from V1-V3 to the pixels of handwritten digits: real fMRI.

Data: as configs/digits69_ridge.py (van Gerven et al. 2010).
Method: for each pixel, penalty and noise by evidence maximisation (MacKay 1992; Tipping 2001).

Run:    python launch/main.py --config=configs/digits69_bayes_ridge.py:path=FILE.mat
Smoke:  python launch/main.py --config=configs/digits69_bayes_ridge.py:smoke
Expect: row digits69_bayes_ridge of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.digits69."""
    return common.digits69(arg, dict(name='bayes_ridge'))
