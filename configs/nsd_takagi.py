r"""Takagi and Nishimoto: latents from early areas, text states from ventral ones, one diffusion.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 at 1.8 mm in the streams `early`
and `ventral`, single trials train, with COCO's captions.
Method: Takagi and Nishimoto 2023. Ridge regression from `early` to z, latents of pictures of 320
pixels, and from `ventral` to c, 77 text states averaged over a picture's captions. The autoencoder
makes a picture of z; Stable Diffusion starts from it at 512 pixels (strength .8 of 50 steps) and
follows c with guidance 5; five samples.
Otherwise: penalties from 1 to 1e7 by cross-validation (theirs: 1e-6 to 1 of himalaya's, which
scales otherwise); Stable Diffusion 1.5 (theirs: 1.4). swap exchanges the two streams, a control
that the paper does not have: what a stream alone knows is then decoded into the other space.

Run:    python launch/main.py --config=configs/nsd_takagi.py:path=DIR,zoo=DIR
Swap:   python launch/main.py --config=configs/nsd_takagi.py:path=DIR,zoo=DIR,swap
Smoke:  python launch/main.py --config=configs/nsd_takagi.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _diffusion


def get_config(arg=None):
    """Options of `experiment`."""
    return experiment(arg, 'nsd')


def experiment(arg, recording: str):
    """The recipe on one of the recordings of _diffusion.

    Options: those of _diffusion.begin; swap, steps.
    """
    options, nets = _diffusion.begin(arg, recording, swap=False, steps=50)
    areas = _diffusion.AREAS[recording]
    early, ventral = areas['early'], areas['ventral']
    early, ventral = (ventral, early) if options.swap else (early, ventral)
    size = nets['size'] if nets is _diffusion.TINY else (320, 320)
    steps = min(options.steps, 8) if options.smoke else options.steps
    cfg = _diffusion.experiment(
        recording,
        options,
        nets,
        voxels='early+ventral',
        train='keep',
        targets=dict(
            z=dict(_diffusion.of_latents(nets, size), areas=early),
            c=dict(_diffusion.of_captions(nets), areas=ventral),
        ),
        decoder=dict(name='ridge'),
        generator=dict(
            chain=('vae', 'img2img'),
            vae=dict(net=f'{nets["net"]}/vae', target='z'),
            img2img=dict(
                **dict(net=nets['net'], start='images', text='c', size=nets['size']),
                **dict(strength=0.8, guidance=5.0, steps=steps),
            ),
        ),
    )
    if not options.bare and not options.smoke:
        cfg.samples = 5
    return cfg
