r"""Ridge regression from V1-V3 to the pixels of handwritten digits: real fMRI, seconds on a laptop.

Data: one subject, 90 training and 10 test images of sixes and nines (van Gerven et al. 2010).
Method: one penalty for all pixels, chosen by leave-one-out on the training images.

Run:    python launch/main.py --config=configs/digits69_ridge.py:path=FILE.mat
Smoke:  python launch/main.py --config=configs/digits69_ridge.py:smoke
Expect: row digits69_ridge of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.digits69."""
    decoder = dict(
        name='ridge',
        penalties=tuple(10 ** (i / 2) for i in range(15)),  # 1 ... 1e7
        cv='loo',  # what scikit-learn's RidgeCV computes when it says GCV
        per_target=False,
    )
    return common.digits69(arg, decoder, learning_curve=(0.25, 0.5, 0.75, 1.0))
