r"""Ridge regression from one subject of the Algonauts 2023 data to small pictures, or statistics.

Data: Algonauts 2023 (docs/datasets/algonauts2023.md), the official tree or the course repack;
the test split where its responses are there, else a fifth of the training images.
Method: voxels come z-scored by session and averaged over repeats; z-scored once more over the
training rows; one penalty for all values by leave-one-out.

Run:    python launch/main.py --config=configs/algonauts2023_ridge.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/algonauts2023_ridge.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options of common.linear."""
    return common.linear(
        arg,
        dataset=dict(name='algonauts2023', subject=1),
        preprocess=dict(order=('normalise',), normalise=dict(by='all')),
        areas=('V1', 'V2', 'V3', 'hV4', 'early_visual', 'FFA', 'PPA', 'EBA'),
    )
