r"""Ridge regression from one subject of Generic Object Decoding to small pictures, or statistics.

Data: GOD (docs/datasets/god.md): 1,200 images shown once train, 50 images of other categories test,
averaged over their 35 trials.
Method: z-score over the training rows, one penalty for all values by leave-one-out.

Run:    python launch/main.py --config=configs/god_ridge.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/god_ridge.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options of common.linear."""
    return common.linear(
        arg,
        dataset=dict(name='god', subject=1),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='all'),
            repeats=dict(train='mean', test='mean'),
        ),
        areas=('V1', 'V2', 'V3', 'V4', 'LOC', 'FFA', 'PPA', 'LVC', 'HVC'),
    )
