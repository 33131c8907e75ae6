r"""Ridge regression from one subject of vim-1 to small grey pictures, or to image statistics.

Data: Kay et al. 2008 (docs/datasets/vim1.md): 1,750 grey photographs train, 120 test, both averaged
over repeats by those who published them.
Method: z-score over the training rows, one penalty for all values by leave-one-out.

Run:    python launch/main.py --config=configs/vim1_ridge.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/vim1_ridge.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options of common.linear."""
    return common.linear(
        arg,
        dataset=dict(name='vim1', subject=1),
        preprocess=dict(order=('normalise',), normalise=dict(by='all')),
        areas=('V1', 'V2', 'V3', 'V4'),
    )
