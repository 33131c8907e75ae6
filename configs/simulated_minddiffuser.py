r"""MindDiffuser on a simulated brain, with small nets: decoded, painted, painted again to fit.

Data: the simulated brain (docs/datasets/simulated.md). LVC is V1, V2, V3 and hV4; HVC is VO, LO,
MT, IPS, OFA, FFA, EBA, FBA, OPA, PPA, RSC and VWFA. V3A belongs to neither.
Method: as nsd_minddiffuser with the embedded nets (docs/models.md): latents of the tiny
autoencoder, states of the tiny text encoder, four layers of the tiny CLIP and its vector. `small`
has 10 steps and 15 iterations of stage 2, so that its curve is a beginning.

Run:    python launch/main.py --config=configs/simulated_minddiffuser.py
Small:  python launch/main.py --config=configs/simulated_minddiffuser.py:small
Tables: python launch/sweep.py --config=configs/simulated_minddiffuser.py:table=areas,small
        python launch/sweep.py --config=configs/simulated_minddiffuser.py:table=ablations,small
Smoke:  python launch/main.py --config=configs/simulated_minddiffuser.py:smoke
Expect: row simulated_minddiffuser of docs/results.md
"""

from configs import nsd_minddiffuser


def get_config(arg=None):
    """Options of nsd_minddiffuser.experiment."""
    return nsd_minddiffuser.experiment(arg, 'simulated')


def get_sweep(arg=None):
    """The runs of `table=areas` or `table=ablations`; the rest goes to each."""
    return nsd_minddiffuser.sweep(arg, 'Simulated brain', 'cosine_tiny_clip')
