r"""Ridge regression from one subject of Deep Image Reconstruction to small pictures, or statistics.

Data: Shen et al. 2019 (docs/datasets/shen2019.md): 1,200 images shown five times train, 50 test,
averaged over their 24 trials; shapes, letters and imagery are further test sets where they are.
Method: z-score over the training rows, repeats averaged, one penalty by leave-one-out.

Run:    python launch/main.py --config=configs/shen2019_ridge.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/shen2019_ridge.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options of common.linear."""
    return common.linear(
        arg,
        dataset=dict(name='shen2019', subject=1),
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='all'),
            repeats=dict(train='mean', test='mean'),
        ),
        areas=('V1', 'V2', 'V3', 'V4', 'LOC', 'FFA', 'PPA', 'LVC', 'HVC'),
    )
