r"""A small MLP from V1-V3 to the pixels of handwritten digits: real fMRI, a minute on a laptop.

Data: as digits69_ridge. Everything was chosen by cross-validation within the 90 training images.
Method: the 600 voxels that correlate most with the pixels, a residual MLP (decoders/mlp.py)
straight to the pixels, trained by squared error on voxels with noise added.

What cross-validation on the training images said (5 folds, once; voxels chosen in each fold):
                                            pixcorr  mse
  600 voxels, noise 1, 300 epochs (chosen)   0.756    0.0415
  the same with dropout .7                   0.753    0.0421
  the same without the residual block        0.754    0.0420
  the same with 300 voxels                   0.751    0.0425
  noise .5                                   0.750    0.0428
  noise .5, learning rate 2e-3               0.753    0.0422
Before that, with voxels chosen by covariance, noise .5 and 100 epochs (0.737, 0.0446): all voxels
0.688, no noise 0.718, two blocks 0.730, width 1024 0.735, 30 epochs 0.658, 300 epochs 0.753. In
folds of its own digits69_best has 0.760 and 0.0407.

Run:    python launch/main.py --config=configs/digits69_mlp.py:path=FILE.mat
Smoke:  python launch/main.py --config=configs/digits69_mlp.py:smoke
Expect: row digits69_mlp of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.digits69."""
    decoder = dict(
        name='mlp',
        **dict(head='direct', groups=0, loss='mse', width=256, blocks=1),
        **dict(noise=1.0, learning_rate=1e-3, epochs=300, save_epochs=150, batch=16),
        validation=0.0,
    )
    cfg = common.digits69(arg, decoder)
    cfg.preprocess.update(order=('normalise', 'select'), select=dict(by='correlation', k=600))
    if cfg.get('layout'):  # smoke
        cfg.decoder.update(width=32, epochs=10)
    return cfg
