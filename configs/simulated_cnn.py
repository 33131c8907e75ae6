r"""Encoder-decoders from a simulated brain straight to pixels, the baselines of pix2pix.

Data: the simulated brain (docs/datasets/simulated.md), 3,000 training trials.
Method: z-score by session; decoders/cnn2d.py on a picture of the cortex, or `system=cnn1d`:
decoders/cnn1d.py along the voxels of both hemispheres; mean squared error of 64 x 64 pixels.
cnn2d, as published, has no layer that sees the whole cortex at once, and what lies where on the
cortex is not what lies there in the picture. With V1 to hV4, 750 rows and :small's few hundred
steps neither beats the mean picture (correlation of pixels .075): cnn2d .050, and cnn1d .072, with
the same picture for every brain. Whether the whole run does is not measured.

Run:    python launch/main.py --config=configs/simulated_cnn.py
Areas:  python launch/main.py --config=configs/simulated_cnn.py:keep=V1+V2+V3
Small:  python launch/main.py --config=configs/simulated_cnn.py:small
Smoke:  python launch/main.py --config=configs/simulated_cnn.py:smoke
Expect: row simulated_cnn of docs/results.md
"""

from configs import _pictures


def get_config(arg=None):
    """Options of _pictures.experiment, and subject, n_train, voxels."""
    return _pictures.experiment(
        arg,
        dict(name='simulated', subject=1, n_train=3_000, voxels=4_000),
        dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train='keep', test='mean'),
        ),
        smaller=dict(n_train=750),
        **dict(system='cnn2d', size=64),
    )


def get_sweep(arg=None):
    """Both nets, all voxels and V1 to V3 alone; `arg` (small, picture=...) goes to each."""
    return _pictures.areas(arg, 'Encoder-decoders on a simulated brain', 'V1+V2+V3')
