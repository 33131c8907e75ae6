r"""Shen et al. 2019 end to end, from each part of the visual cortex.

Table II of the course report, second half: the whole visual cortex, V1 and V2, the higher areas
HVC, FFA, PPA.
A sweep: launch/sweep.py runs each row and puts the published figures beside the measured.

Run:    python launch/sweep.py --config=configs/shen2019_gan_areas.py:path=DIR,zoo=DIR
Small:  python launch/sweep.py --config=configs/shen2019_gan_areas.py:small (simulated files)
Smoke:  python launch/main.py --config=configs/shen2019_gan_areas.py:smoke   (one run of it)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import shen2019_gan

get_config = shen2019_gan.get_config


def get_sweep(arg=None):
    """The runs of the table; `arg` (path=..., zoo=..., small ...) goes to each."""
    return shen2019_gan.sweep('areas', arg)
