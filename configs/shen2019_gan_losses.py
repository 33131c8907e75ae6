r"""Shen et al. 2019 end to end: without each of its losses, with the released weights, from noise.

Table II of the course report, first half: which loss matters?
A sweep: launch/sweep.py runs each row and puts the published figures beside the measured.

Run:    python launch/sweep.py --config=configs/shen2019_gan_losses.py:path=DIR,zoo=DIR
Small:  python launch/sweep.py --config=configs/shen2019_gan_losses.py:small (simulated files)
Smoke:  python launch/main.py --config=configs/shen2019_gan_losses.py:smoke   (one run of it)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import shen2019_gan

get_config = shen2019_gan.get_config


def get_sweep(arg=None):
    """The runs of the table; `arg` (path=..., zoo=..., small ...) goes to each."""
    return shen2019_gan.sweep('losses', arg)
