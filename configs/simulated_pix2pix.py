r"""pix2pix from a flat map of a simulated brain's cortex to the picture that it sees.

Data: the simulated brain (docs/datasets/simulated.md), 3,000 training trials.
Method: z-score by session, V1 to hV4 of both hemispheres on the flat map of fsaverage
(cortical_picture; or `picture=square`; `keep=` shows all areas), and generators/pix2pix.py at 64
pixels: a U-Net and a net that judges patches, adversarial loss and L1. Its settings are for a few
thousand steps (_pictures.QUICK): without dropout, jitter and mirror, with which it stays below the
mean picture for as long as this runs; `quick=false` has the published ones.

Run:    python launch/main.py --config=configs/simulated_pix2pix.py
Table:  python launch/sweep.py --config=configs/simulated_pix2pix.py
Small:  python launch/main.py --config=configs/simulated_pix2pix.py:small
Smoke:  python launch/main.py --config=configs/simulated_pix2pix.py:smoke
Expect: row simulated_pix2pix of docs/results.md
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
        smaller=dict(n_train=1_500),
        **dict(size=64, width=32, epochs=16, keep='V1+V2+V3+hV4', quick=True),
    )


def get_sweep(arg=None):
    """Each loss, their sums, each condition; `arg` (small, picture=...) goes to each."""
    return _pictures.losses(arg, 'pix2pix on a simulated brain: losses and conditions')
