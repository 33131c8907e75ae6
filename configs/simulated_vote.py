r"""Four systems and a vote on a simulated brain: the second seed report from end to end, small.

Data: the simulated brain (docs/datasets/simulated.md). Set 1 is V1 to hV4, FFA-1, FFA-2 and PPA;
set 3 all that its files in NSD's layout have as streams, which is every area but RSC.
Method: as nsd_vote with the MLP of simulated_mlp and the embedded nets (docs/models.md).

Run:    python launch/main.py --config=configs/simulated_vote.py
Small:  python launch/main.py --config=configs/simulated_vote.py:small
Table:  python launch/sweep.py --config=configs/simulated_vote.py:small       (the report's III)
Smoke:  python launch/main.py --config=configs/simulated_vote.py:smoke
Expect: row simulated_vote of docs/results.md
"""

from configs import _diffusion, nsd_vote, simulated_mlp_img2img

STREAMS = (
    *('V1', 'V2', 'V3', 'hV4', 'LO', 'V3A', 'OPA', 'VO', 'OFA', 'FFA', 'FBA', 'PPA', 'VWFA'),
    *('EBA', 'MT', 'IPS'),
)
SETS = {1: nsd_vote.SETS[1], 3: STREAMS}


def get_config(arg=None):
    """Options: rule (own, decoded, mean); those of simulated_mlp_img2img."""
    own, others = _diffusion.divide(arg, nsd_vote.OWN)
    cfg = simulated_mlp_img2img.blurry(others)
    return nsd_vote.bag(cfg, own, SETS, 'smoke' in others.split(','))


def get_sweep(arg=None):
    """Table III: each member and the vote, of one bag; `arg` (small ...) goes to it."""
    return nsd_vote.sweep(arg, 'Simulated brain', 'cosine_tiny_clip')
