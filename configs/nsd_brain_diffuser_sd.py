r"""After Brain-Diffuser, on Stable Diffusion's parts: not VDVAE, not Versatile Diffusion.

Data: the Natural Scenes Dataset (docs/datasets/nsd.md), betas b3 at 1.8 mm in nsdgeneral, repeats
averaged, with COCO's captions.
Method: the recipe of Ozcelik and VanRullen 2023, as far as other nets allow: ridge regression with
fixed penalties to a low-level space (theirs VDVAE, 50,000; here the autoencoder's latents), to 77
text states averaged over captions (100,000) and to a CLIP vector of the picture (60,000); a picture
from the first starts the diffusion (strength .75 of 50 steps, guidance 7.5). Versatile Diffusion
follows text (.4) and picture (.6) at once; Stable Diffusion follows one of them: lead=text, or
lead=vision, where the decoded CLIP vector stands in the place of the text.
Not done: predictions brought to the training spread by statistics of the test set. Figures that the
paper gives are of its own nets and do not stand beside these.

Run:    python launch/main.py --config=configs/nsd_brain_diffuser_sd.py:path=DIR,zoo=DIR
Leads:  python launch/sweep.py --config=configs/nsd_brain_diffuser_sd.py:path=DIR,zoo=DIR
Smoke:  python launch/main.py --config=configs/nsd_brain_diffuser_sd.py:smoke   (:small is minutes)
Expect: not measured on the real recording; simulated files: docs/results.md
"""

from configs import _diffusion

LEADS = {'text': 'c', 'vision': 'v'}


def get_config(arg=None):
    """Options of `experiment`."""
    return experiment(arg, 'nsd')


def experiment(arg, recording: str):
    """The recipe on one of the recordings of _diffusion.

    Options: those of _diffusion.begin; lead (text, vision), penalty_z, penalty_c, penalty_v (0: by
    cross-validation), steps.
    """
    options, nets = _diffusion.begin(
        arg,
        recording,
        **dict(lead='text', penalty_z=50_000.0, penalty_c=100_000.0, penalty_v=60_000.0, steps=50),
    )
    if options.lead not in LEADS:
        raise ValueError(f'option lead={options.lead!r}; there are {", ".join(LEADS)}')
    steps = min(options.steps, 8) if options.smoke else options.steps
    targets = dict(
        z=_diffusion.of_latents(nets),
        c=_diffusion.of_captions(nets),
        v=dict(net=nets['clip'], layer='image_embeds'),
    )
    targets = {k: v for k, v in targets.items() if k in ('z', LEADS[options.lead])}
    for name, spec in targets.items():
        fixed = options[f'penalty_{name}']
        spec['decoder'] = dict(penalties=(fixed,)) if fixed else {}
    return _diffusion.experiment(
        recording,
        options,
        nets,
        voxels='nsdgeneral',
        targets=targets,
        decoder=dict(name='ridge'),
        generator=dict(
            chain=('vae', 'img2img'),
            vae=dict(net=f'{nets["net"]}/vae', target='z'),
            img2img=dict(
                **dict(net=nets['net'], start='images', text=LEADS[options.lead]),
                **dict(strength=0.75, guidance=7.5, steps=steps),
            ),
        ),
    )


def get_sweep(arg=None):
    """What leads the diffusion, decoded text or a decoded CLIP vector; `arg` goes to each."""
    return sweep(arg, 'NSD')


def sweep(arg: str | None, of: str) -> dict:
    """The runs of the table of leads."""
    also = f',{arg}' if arg else ''
    return {
        'title': f"{of}, after Brain-Diffuser on Stable Diffusion's parts: what leads",
        'metrics': (),
        'runs': [
            {'name': lead, 'options': f'lead={lead}{also}', 'published': {}} for lead in LEADS
        ],
        'notes': (
            'Published figures of Brain-Diffuser are of VDVAE and of Versatile Diffusion, which '
            'follows text and picture at once: they do not stand beside these.',
        ),
        'pictures': 6,
    }
