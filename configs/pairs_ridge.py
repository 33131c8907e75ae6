r"""Ridge regression from your own arrays to small pictures, or to image statistics.

Data: a folder with voxels, ids and images (docs/datasets/pairs.md); the test ids that it names, or
a fifth of the images.
Method: z-score over the training rows, repeats averaged, one penalty for all values by
leave-one-out.

Run:    python launch/main.py --config=configs/pairs_ridge.py:path=DIR
Smoke:  python launch/main.py --config=configs/pairs_ridge.py:smoke
Expect: not measured on a recording; simulated files: docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options of common.linear."""
    return common.linear(
        arg,
        dataset=dict(name='pairs'),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='all'),
            repeats=dict(train='mean', test='mean'),
        ),
    )
