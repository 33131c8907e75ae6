r"""Takagi and Nishimoto's recipe on a simulated brain: layout from early areas, text from ventral.

Data: the simulated brain (docs/datasets/simulated.md). early is V1, V2 and V3; ventral is VO, OFA,
FFA, FBA, PPA and VWFA, as its files in NSD's layout have these streams.
Method: as nsd_takagi with the embedded nets (docs/models.md), pictures of 64 pixels throughout.

Run:    python launch/main.py --config=configs/simulated_takagi.py
Small:  python launch/main.py --config=configs/simulated_takagi.py:small
Swap:   python launch/main.py --config=configs/simulated_takagi.py:small,swap
Smoke:  python launch/main.py --config=configs/simulated_takagi.py:smoke
Expect: row simulated_takagi of docs/results.md
"""

from configs import nsd_takagi


def get_config(arg=None):
    """Options of nsd_takagi.experiment."""
    return nsd_takagi.experiment(arg, 'simulated')
