r"""Deep image reconstruction: a picture is changed until a net sees in it what was decoded.

Data: Deep Image Reconstruction (docs/datasets/shen2019.md): 1,200 images shown five times train, 50
test, averaged over their 24 trials; shapes, letters and imagery are further test sets where they
are.
Method: z-score over the training rows, repeats averaged; ridge regression from voxels to layers of
VGG-19 before their ReLU; then generators/optimise.py: 200 steps of gradient descent on the pixels,
each layer by the share of its square that is missed (Shen et al. 2019, PLoS Comput Biol).
`over=latents` changes latents of Stable Diffusion's autoencoder instead, a prior of natural
pictures where the paper has a generator of its own.
The paper decodes every unit of 19 layers, from 500 voxels each. Here one ridge sees all voxels, and
the usual layers are six: they hold 1.3 million units, 6 GB for 1,200 rows.

Run:    python launch/main.py --config=configs/shen2019_dir.py:path=DIR,subject=1,zoo=DIR
Smoke:  python launch/main.py --config=configs/shen2019_dir.py:smoke
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import common

PATH = 'data/shen2019'
LAYERS = ('conv3_1', 'conv4_1', 'conv5_1', 'fc6', 'fc7', 'fc8')
TINY = ('features.3', 'features.8', 'classifier.6')  # of the embedded AlexNet
METRICS = (
    *(*common.PIXEL_METRICS, 'cosine_luminance', 'cosine_colour'),
    *('two_way_luminance', 'two_way_colour'),
)
PENALTIES = tuple(10 ** (i / 2) for i in range(4, 15))  # 1e2 ... 1e7


def get_config(arg=None):
    """Options of a run.

    path, subject, zoo (where weights lie); vision (the net that sees: vgg19, alexnet, tiny/alexnet
    or a folder), layers (of it, layers=conv4_1,fc6), over (pixels, latents), net (the pipeline
    whose autoencoder over=latents takes), size (pixels on a side), iterations (0: the usual), rois
    (areas whose voxels are used, V1+V2; all that were read otherwise), batch, smoke.
    """
    options = common.parse_arg(
        arg,
        **dict(path=PATH, subject=1, zoo='', vision='vgg19', layers=LAYERS, over='pixels'),
        **dict(net='sd15', size=256, iterations=0, rois='', batch=10, smoke=False),
    )
    if options.smoke:
        options.update(vision='tiny/alexnet', layers=TINY, net='tiny', size=64)
        options.iterations = options.iterations or 20
    order = ('rois', 'normalise', 'repeats') if options.rois else ('normalise', 'repeats')
    cfg = common.experiment(
        seed=0,
        dataset=dict(name='shen2019', path=options.path, subject=options.subject),
        preprocess=dict(
            order=order, normalise=dict(by='all'), repeats=dict(train='mean', test='mean')
        ),
        zoo=dict(path=options.zoo),
        decoder=dict(name='ridge', penalties=PENALTIES, cv='loo'),
        metrics=METRICS,
        baselines=('mean_image', 'mean_latent', *common.CONTROLS),
        **parts(options),
    )
    if options.rois:
        cfg.preprocess.rois = dict(keep=tuple(options.rois.split('+')))
    return common.smoke(cfg, 'shen2019') if options.smoke else cfg


def parts(options) -> dict:
    """Targets, one for each layer, and the generator that brings pictures to them."""
    names = {layer: layer.replace('.', '_') for layer in options.layers}
    size = (options.size, options.size)
    return dict(
        targets={
            name: dict(net=options.vision, layer=layer, size=size, standardise=True)
            for layer, name in names.items()
        },
        generator=dict(
            chain=('optimise',),
            size=size,
            optimise=dict(
                over=options.over,
                **dict(net=options.net, z='', vision=options.vision, size=size),
                match=tuple((name, layer, 1.0) for layer, name in names.items()),
                **dict(weigh='square', cosine=()),
                **dict(iterations=options.iterations, batch=options.batch),
            ),
        ),
    )
