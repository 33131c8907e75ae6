r"""A residual MLP from one subject of NSD to latents of Stable Diffusion's autoencoder.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 at 1.8 mm in nsdgeneral; the
shared images test, averaged over their trials; of the others a share is put aside to validate on.
Method: z-score by session, repeats averaged, the seed's MLP and upsampler (decoders/mlp.py) trained
by L1 on the latents of the pictures at 512 x 512; the autoencoder makes pictures of them.

Run:    python launch/main.py --config=configs/nsd_mlp.py:path=DIR,subject=1
Smoke:  python launch/main.py --config=configs/nsd_mlp.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _mlp, common


def get_config(arg=None):
    """Options of common.latents, small, and of the reader: space, betas, voxels, sessions."""
    return _mlp.with_small(
        arg,
        lambda words: common.latents(
            words,
            dataset=dict(
                **dict(name='nsd', subject=1, space='func1pt8mm', betas='b3', voxels='nsdgeneral'),
                sessions=0,  # all that are there
                annotations=False,  # labels and captions: nothing here needs them
            ),
            preprocess=dict(
                order=('normalise', 'repeats'),
                normalise=dict(by='session'),
                repeats=dict(train='mean', test='mean'),
            ),
        ),
    )
