r"""Shen et al. 2019 end to end, small: real fMRI of handwritten sixes and nines.

Data: as digits69_ridge; the 600 voxels that are most correlated with the training pictures.
Method: a narrow generator of decoders/shen_gan.py and its discriminator, both from 28 x 28 pixels;
no feature loss, since the comparator, made for scenes, did harm.

What cross-validation within the 90 training images said (5 folds, seed 0; 300 steps, batch 30;
weights of the image, feature and adversarial loss):
                                          pixcorr  mse     ssim
  mean training image                      0.604   0.0613  0.203
  100, 0, 0 (no discriminator), all voxels 0.670   0.0547  0.330
  100, 0, 0, 600 voxels                    0.711   0.0496  0.405
  100, 100, 10000, 600 voxels              0.699   0.0529  0.367
  100, 0, 10000, 600 voxels (the choice)   0.711   0.0516  0.395
The choice is the best that has a discriminator. The image loss alone has a lower error, and kernel
ridge (digits69_best) is better than any: 90 pictures are few for a net. These few were tried, no
more: sizes of the nets and the length of the training were not searched.

Run:    python launch/main.py --config=configs/digits69_gan.py:path=FILE.mat
Smoke:  python launch/main.py --config=configs/digits69_gan.py:smoke
Expect: row digits69_gan of docs/results.md
"""

from configs import common


def get_config(arg=None):
    """Options: see common.digits69."""
    decoder = dict(
        name='shen_gan',
        **dict(hidden=64, width=4, discriminator_width=8),
        weights=(100.0, 0.0, 10000.0),
        **dict(steps=300, batch=30, learning_rate=5e-4),
    )
    baselines = ('mean_image', 'nearest_training', 'shuffled_rows', 'shuffled_voxels')
    cfg = common.digits69(arg, decoder, baselines=(*baselines, 'zero_voxels'))
    cfg.preprocess = dict(
        order=('normalise', 'select'),
        normalise=dict(by='all'),
        select=dict(by='correlation', k=600),
    )
    if cfg.get('layout'):  # smoke
        cfg.decoder.update(hidden=16, width=2, steps=20)
        cfg.baselines = baselines[:2]
    return cfg
