r"""A residual MLP from one subject of the Algonauts 2023 data to an autoencoder's latents.

Data: Algonauts 2023 (docs/datasets/algonauts2023.md), both hemispheres (39,548 vertices of subject
1); the test split where its responses are there, else a fifth of the training images.
Method: as the report that the decoder comes from: voxels as they are published, the MLP and its
upsampler trained by L1 on latents of the pictures at 512 x 512.

Run:    python launch/main.py --config=configs/algonauts2023_mlp.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/algonauts2023_mlp.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _mlp, common


def get_config(arg=None):
    """Options of common.latents, and small."""
    return _mlp.with_small(
        arg,
        lambda words: common.latents(
            words,
            dataset=dict(name='algonauts2023', subject=1),
            preprocess=dict(order=('normalise',), normalise=dict(by='all')),
        ),
    )
