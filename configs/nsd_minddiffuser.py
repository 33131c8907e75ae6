r"""MindDiffuser: latents, text states and CLIP layers decoded, painted, and painted again to fit.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 at 1.8 mm in LVC and HVC (Kastner
atlas: V1, V2, V3, hV4; VO, PHC, hMT, MST, LO, IPS), with COCO's captions.
Method: Lu et al. 2023, the system of the third seed report. Ridge regression to z (latents of the
autoencoder), c (text states of the captions, 15 tokens, averaged) and z_CLIP (six layers of CLIP
ViT-B/32 and its vector). Stage 1: z is noised to step 37 of 50 and denoised under c, guidance 5.
Stage 2: gradients through the frozen sampler (35 steps) adjust z and c until the picture's own CLIP
layers are those decoded (Adam .01, decay .999, 300 iterations, a quarter of the units).
Otherwise: penalties are chosen by cross-validation (theirs: 0.15 after a selection of voxels); the
quarter of units is the one that varies most over decoded rows (theirs: chosen by sparse group
lasso); latents are Stable Diffusion 1.5's (theirs: 1.4).
without=z starts from noise alone, and stage 2 from the picture that this gives; without=c follows
no text; without=clip ends after stage 1. area=LVC or HVC decodes everything from these voxels.

Run:    python launch/main.py --config=configs/nsd_minddiffuser.py:path=DIR,zoo=DIR
Tables: python launch/sweep.py --config=configs/nsd_minddiffuser.py:table=areas,path=DIR,zoo=DIR
        python launch/sweep.py --config=configs/nsd_minddiffuser.py:table=ablations,path=DIR,zoo=DIR
Smoke:  python launch/main.py --config=configs/nsd_minddiffuser.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _diffusion

SPACES = ('z', 'c', 'clip')
WEIGHTS = (1.5, 1.2)  # of the first layers; 1 of the others, .1 of the vector
PUBLISHED = {  # CLIP similarity, SSIM, correlation: tables 1 and 2 of the third seed report
    'LVC and HVC': ('.765', '.354', '.278'),
    'LVC': ('.552', '.338', '.051'),
    'HVC': ('.554', '.219', '.030'),
    'complete': ('.765', '.354', '.278'),
    'without c': ('.549', '.346', '.218'),
    'without z': ('.616', '.292', '.066'),
    'without z_CLIP': ('.597', '.253', '.183'),
}
TABLES = {
    'areas': {'LVC and HVC': '', 'LVC': 'area=LVC', 'HVC': 'area=HVC'},
    'ablations': {
        'complete': '',
        'without c': 'without=c',
        'without z': 'without=z',
        'without z_CLIP': 'without=clip',
    },
}
TITLES = {'areas': 'areas of the visual cortex', 'ablations': 'without each decoded space'}
NOTES = (
    'Published: the third seed report, which quotes the paper of MindDiffuser (NSD, 982 test '
    'images, its own ROI and CLIP). Measured: the data named in the row. The two are comparable '
    'only on the same data, and it is not stated which CLIP gives the similarity.',
    'CLIP similarity is the cosine of two pictures, high for any two: chance, from wrong pairs, '
    'stands in each report. Layout is what ssim, pixcorr and the early layers judge; contents, the '
    'two-way scores of late layers.',
)


def get_config(arg=None):
    """Options of `experiment`."""
    return experiment(arg, 'nsd')


def experiment(arg, recording: str):
    """MindDiffuser on one of the recordings of _diffusion.

    Options: those of _diffusion.begin; area (LVC, HVC; both otherwise), without (z, c, clip),
    steps (of the sampler), iterations (of stage 2), last (gradients through so many steps alone;
    0: all), variant (code: z alone is adjusted, as in the released code).
    """
    options, nets = _diffusion.begin(
        arg,
        recording,
        **dict(area='', without='', steps=50, iterations=300, last=0, variant=''),
    )
    known = _diffusion.AREAS[recording]
    if options.area not in ('', 'LVC', 'HVC'):
        raise ValueError(f'option area={options.area!r}; there are LVC and HVC')
    if options.without not in ('', *SPACES):
        raise ValueError(f'option without={options.without!r}; there are {", ".join(SPACES)}')
    areas = known[options.area] if options.area else (*known['LVC'], *known['HVC'])
    targets = dict(z=_diffusion.of_latents(nets), c=_diffusion.of_captions(nets, 15))
    used = nets['layers'][:: 3 if options.smoke else 1]
    layers = {f'clip_{layer.partition(".")[2]}': layer for layer in used}
    layers |= {'clip': 'image_embeds'}
    seen = {name: dict(net=nets['vision'], layer=layer) for name, layer in layers.items()}
    targets |= {} if options.without == 'clip' else seen
    targets = {name: spec for name, spec in targets.items() if name != options.without}
    cfg = _diffusion.experiment(
        recording,
        options,
        nets,
        voxels='LVC+HVC',
        targets={name: spec | dict(areas=areas) for name, spec in targets.items()},
        decoder=dict(name='ridge', penalties=tuple(float(10**i) for i in range(1, 8))),
        generator=generator(options, nets, layers),
    )
    # A linear decoder gives the mean of what it learnt where there is no response: zero_voxels.
    cfg.baselines = tuple(name for name in cfg.baselines if name != 'mean_latent')
    return cfg


def generator(options, nets: dict, layers: dict) -> dict:
    """Stage 1 and stage 2."""
    steps, iterations = options.steps, options.iterations
    if options.small:
        steps, iterations = min(steps, 10), min(iterations, 15)
    if options.smoke:
        steps, iterations = min(steps, 4), min(iterations, 2)
    weights = (*WEIGHTS, *[1.0] * (len(layers) - 3), 0.1)
    pairs = zip(layers.items(), weights, strict=True)
    start, text = ('' if options.without == name else name for name in ('z', 'c'))
    stages = dict(
        chain=('img2img',) if options.without == 'clip' else ('img2img', 'optimise'),
        img2img=dict(
            **dict(net=nets['net'], start=start, text=text, size=() if start else nets['size']),
            **dict(strength=0.75, guidance=5.0, steps=steps),
        ),
    )
    if options.without != 'clip':
        stages['optimise'] = dict(
            **dict(over='diffusion', net=nets['net'], vision=nets['vision']),
            match=tuple((name, layer, weight) for (name, layer), weight in pairs),
            **dict(
                units=1.0 if options.smoke else 0.25,
                z=start or 'images',
                c=text,
                variant=options.variant,
            ),
            **dict(adjust=('z', 'c') if text else ('z',), last=options.last),
            **dict(strength=0.7, guidance=5.0, steps=steps, iterations=iterations),
        )
    return stages


def get_sweep(arg=None):
    """The runs of `table=areas` or `table=ablations`; the rest goes to each."""
    return sweep(arg, 'NSD', 'cosine_clip')


def sweep(arg: str | None, of: str, similarity: str) -> dict:
    """The runs of one of TABLES.

    Args:
      arg: options; table is one of them.
      of: the recording, for the title.
      similarity: the metric that CLIP similarity is.
    """
    parts = [part for part in (arg or '').split(',') if part]
    tables = [part.partition('=')[2] for part in parts if part.startswith('table=')] or ['areas']
    if tables[-1] not in TABLES:
        raise ValueError(f'option table={tables[-1]!r}; tables that exist: {", ".join(TABLES)}')
    also = [part for part in parts if not part.startswith('table=')]
    taken = {part.partition('=')[0] for part in also} & {'area', 'without'}
    if taken:
        raise ValueError(f'option {taken.pop()}, which the sweep itself sets')
    if {'small', 'smoke'} & set(also):
        similarity = 'cosine_tiny_clip'
    metrics = (similarity, 'ssim', 'pixcorr')
    contents = ('two_way_luminance', 'two_way_tiny_category') if 'tiny' in similarity else ()
    return {
        'title': f'{of}, MindDiffuser: {TITLES[tables[-1]]}',
        'metrics': (*metrics, *contents),
        'runs': [
            {
                'name': name.replace(' ', '_'),
                'label': name,
                'options': ','.join(filter(None, ['bare', options, *also])),
                'published': dict(zip(metrics, PUBLISHED[name], strict=True)),
            }
            for name, options in TABLES[tables[-1]].items()
        ],
        'notes': NOTES,
        'pictures': 6,
    }
