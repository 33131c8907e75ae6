r"""A simulated brain: a blurry picture, a caption of it, and a small diffusion net led by both.

Data: the simulated brain (docs/datasets/simulated.md), as simulated_mlp.
Method: as nsd_mlp_img2img with the embedded nets (docs/models.md, which says how far these reach):
the MLP of simulated_mlp, the tiny captioner, the tiny diffusion net from strength .75 under
guidance 6. route=clip leads by a decoded vector of the tiny CLIP in place of the caption.

Run:    python launch/main.py --config=configs/simulated_mlp_img2img.py
Small:  python launch/main.py --config=configs/simulated_mlp_img2img.py:small
Routes: python launch/sweep.py --config=configs/simulated_mlp_img2img.py:small
Seeds:  python launch/main.py --config=configs/simulated_mlp_img2img.py:small,seeds=0,1,2
Smoke:  python launch/main.py --config=configs/simulated_mlp_img2img.py:smoke
Expect: row simulated_mlp_img2img of docs/results.md
"""

from configs import _diffusion, common, nsd_mlp_img2img, simulated_mlp


def get_config(arg=None):
    """Options: route, steps, subjects, seeds, bare, small; those of simulated_mlp."""
    own, others = _diffusion.divide(arg, nsd_mlp_img2img.OWN)
    return nsd_mlp_img2img.refine(blurry(others), own, 'smoke' in others.split(','))


def blurry(arg: str):
    """simulated_mlp with an option `small`."""
    small, others = common.divide(arg, ('small',))
    cfg = simulated_mlp.get_config(others)
    if small:
        cfg.dataset.n_train, cfg.draws, cfg.permutations = 1_500, 2_000, 200
        cfg.decoder.epochs = min(cfg.decoder.epochs, 20)
    if 'smoke' in others.split(','):
        cfg.dataset.n_test = 8
    return cfg


def get_sweep(arg=None):
    """The two routes, side by side; `arg` (small ...) goes to each."""
    return nsd_mlp_img2img.routes(arg, 'Simulated brain')
