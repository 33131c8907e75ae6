"""The reference implementations (torch, diffusers, transformers, torchvision), made importable.

Import this module before transformers or torchvision: the CPU build of torch here knows none of
torchvision's compiled operators, which its nets never call, so their names are declared first.
"""

import importlib.util
import pathlib
import re

import jax
import numpy as np
import torch

from recon.zoo import tensors

_library = None  # must outlive the process


def _declare_operators() -> None:
    global _library
    found = importlib.util.find_spec('torchvision')
    if found is None or _library is not None:
        return
    source = (pathlib.Path(found.origin).parent / '_meta_registrations.py').read_text()
    _library = torch.library.Library('torchvision', 'DEF')
    names = re.findall(r'register_meta\("(\w+)"\)', source)
    names += re.findall(r'register_fake\("torchvision::(\w+)"\)', source)
    for name in sorted(set(names)):
        _library.define(f'{name}(Tensor a) -> Tensor')


_declare_operators()


def perturb(module, seed: int, scale: float = 0.1):
    """Adds scale * N(0, 1) to every parameter of a torch module, in place, and returns it.

    Fresh weights hide faults: norms have scale 1 and bias 0, whichever of them is used.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def params(module, ours, *example, table=None):
    """Parameters for our net `ours` (initialised on `example`) from a torch module's state."""
    shapes = jax.eval_shape(ours.init, jax.random.key(0), *example)['params']
    named = {(table or tensors.Table()).today(k): v.numpy() for k, v in module.state_dict().items()}
    return tensors.params(named, shapes)


def relative(ours, theirs) -> float:
    """Largest difference over the largest value of theirs (a torch tensor, or an array)."""
    theirs = theirs.detach().float().numpy() if torch.is_tensor(theirs) else np.asarray(theirs)
    ours = np.asarray(ours, np.float32)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def nchw(images: np.ndarray) -> torch.Tensor:
    """[n h w c] -> torch [n c h w]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(images), -1, 1)))


def nhwc(tensor) -> np.ndarray:
    """torch [n c h w] -> [n h w c]."""
    return np.moveaxis(tensor.detach().float().numpy(), 1, -1)
