r"""Shen et al. 2019 end to end, by triples of loss weights.

The triple is chosen by the correlation with a tenth of the training images that no run was trained
on; test scores stand at the chosen one, those of the others apart.
A sweep: launch/sweep.py runs each row and puts the published figures beside the measured.

Run:    python launch/sweep.py --config=configs/shen2019_gan_weights.py:path=DIR,zoo=DIR
Small:  python launch/sweep.py --config=configs/shen2019_gan_weights.py:small (simulated files)
Smoke:  python launch/main.py --config=configs/shen2019_gan_weights.py:smoke   (one run of it)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import shen2019_gan

get_config = shen2019_gan.get_config


def get_sweep(arg=None):
    """The runs of the table; `arg` (path=..., zoo=..., small ...) goes to each."""
    return shen2019_gan.sweep('weights', arg)
