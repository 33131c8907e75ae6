r"""Shen et al. 2019 end to end, by each net that compares pictures.

The course report compares comparators and finds AlexNet the best; here are AlexNet and two of VGG
with released weights (docs/models.md) and the embedded small net; small runs take three layers of
that one.
A sweep: launch/sweep.py runs each row and puts the published figures beside the measured.

Run:    python launch/sweep.py --config=configs/shen2019_gan_comparators.py:path=DIR,zoo=DIR
Small:  python launch/sweep.py --config=configs/shen2019_gan_comparators.py:small (simulated files)
Smoke:  python launch/main.py --config=configs/shen2019_gan_comparators.py:smoke   (one run of it)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import shen2019_gan

get_config = shen2019_gan.get_config


def get_sweep(arg=None):
    """The runs of the table; `arg` (path=..., zoo=..., small ...) goes to each."""
    return shen2019_gan.sweep('comparators', arg)
