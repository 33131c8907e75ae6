r"""A blurry picture from the brain, a caption of it, and Stable Diffusion led by both.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), as nsd_mlp.
Method: the second seed report. The MLP of nsd_mlp decodes latents and the autoencoder makes a
blurry picture of them; BLIP says what it shows, without the word 'blurry'; Stable Diffusion starts
from the picture (strength .75 of 50 steps, guidance 6) and follows the caption. The report trained
on 1.4's latents and painted with 1.5; here both are 1.5's.
route=clip is the way that the report dropped: a CLIP vector of the picture, decoded by an MLP of
its own with a mean squared loss, stands in the place of the text (the report names ViT-H/14 and 768
numbers, which do not go together; ViT-L/14 has 768, as many as the U-Net attends to).
Prior only are the rows shuffled_voxels and zero_voxels: the same generators without a brain.

Run:    python launch/main.py --config=configs/nsd_mlp_img2img.py:path=DIR,zoo=DIR
Routes: python launch/sweep.py --config=configs/nsd_mlp_img2img.py:path=DIR,zoo=DIR
People: python launch/main.py --config=configs/nsd_mlp_img2img.py:path=DIR,zoo=DIR,subjects=1,2,5,7
Smoke:  python launch/main.py --config=configs/nsd_mlp_img2img.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _diffusion, common, nsd_mlp

ROUTES = ('caption', 'clip')
OWN = (*_diffusion.OWN, 'route', 'steps')


def get_config(arg=None):
    """Options: route (caption, clip), steps, subjects, seeds, bare; those of nsd_mlp."""
    own, others = _diffusion.divide(arg, OWN)
    return refine(nsd_mlp.get_config(others), own, 'smoke' in others.split(','))


def refine(cfg, arg: str, smoke: bool, nets: dict | None = None):
    """A config of the MLP with captions and diffusion after its blurry picture.

    Args:
      cfg: of nsd_mlp or simulated_mlp.
      arg: the options of OWN.
      smoke: few steps.
      nets: of _diffusion; None: those that belong to the autoencoder of `cfg`.
    """
    options = common.parse_arg(
        arg, route='caption', steps=50, subjects=(), seeds=(), bare=False, rule=''
    )
    if options.route not in ROUTES:
        raise ValueError(f'option route={options.route!r}; routes: {", ".join(ROUTES)}')
    if nets is None:
        tiny = cfg.targets.vae.net.startswith('tiny')
        nets = _diffusion.TINY if tiny else _diffusion.RELEASED
    steps = min(options.steps, 8) if smoke else options.steps
    cfg.generator.img2img = dict(net=nets['net'], strength=0.75, guidance=6.0, steps=steps)
    if options.route == 'caption':
        cfg.generator.chain = ('vae', 'caption', 'img2img')
        pixels = 0 if nets is _diffusion.TINY else 384
        cfg.generator.caption = dict(net=nets['captioner'], size=pixels)
    else:
        cfg.generator.chain = ('vae', 'img2img')
        cfg.generator.img2img.text = 'z_clip'
    if options.route == 'clip' or options.rule == 'decoded':
        cfg.targets.z_clip = vector(nets)
    with options.unlocked():
        options.smoke = smoke
    return _diffusion.finish(cfg, options, nets)


def vector(nets: dict) -> dict:
    """A target: the CLIP vector of a picture, by an MLP of the same width with an MSE loss."""
    return dict(net=nets['clip'], layer='image_embeds', decoder=dict(head='direct', loss='mse'))


def get_sweep(arg=None):
    """The two routes, side by side; `arg` (path=..., zoo=..., small ...) goes to each."""
    return routes(arg, 'NSD')


def routes(arg: str | None, of: str) -> dict:
    """The runs of the table of routes."""
    also = f',{arg}' if arg else ''
    return {
        'title': f'{of}: what leads the diffusion, a caption or a decoded CLIP vector',
        'metrics': (),
        'runs': [
            {'name': route, 'options': f'route={route}{also}', 'published': {}} for route in ROUTES
        ],
        'notes': (
            'Both routes start from the same blurry picture (the stage vae of each report). The '
            'report that they come from dropped the second one: its pictures were "far from the '
            'original"; it gives no figures.',
        ),
        'pictures': 6,
    }
