r"""After Brain-Diffuser on a simulated brain: not VDVAE, not Versatile Diffusion, and small nets.

Data: the simulated brain (docs/datasets/simulated.md).
Method: as nsd_brain_diffuser_sd with the embedded nets (docs/models.md). The penalties are those of
the paper, for 8,859 rows of photographs; `penalty_z=0,penalty_c=0` chooses others.

Run:    python launch/main.py --config=configs/simulated_brain_diffuser_sd.py
Small:  python launch/main.py --config=configs/simulated_brain_diffuser_sd.py:small
Leads:  python launch/sweep.py --config=configs/simulated_brain_diffuser_sd.py:small
Smoke:  python launch/main.py --config=configs/simulated_brain_diffuser_sd.py:smoke
Expect: row simulated_brain_diffuser_sd of docs/results.md
"""

from configs import nsd_brain_diffuser_sd


def get_config(arg=None):
    """Options of nsd_brain_diffuser_sd.experiment."""
    return nsd_brain_diffuser_sd.experiment(arg, 'simulated')


def get_sweep(arg=None):
    """What leads the diffusion, decoded text or a decoded CLIP vector; `arg` goes to each."""
    return nsd_brain_diffuser_sd.sweep(arg, 'Simulated brain')
