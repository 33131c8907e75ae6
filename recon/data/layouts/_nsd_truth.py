"""What is true of a written NSD folder, computed from the simulator and never from the files."""

import dataclasses

import numpy as np

from recon.data.layouts import _nsd_labels, _nsd_volumes, _study
from recon.data.simulator import brain as brains

B2_NOISE = 0.7  # what the simpler fit of b2 adds, in units of a trial's noise
B2_LESS = np.float32(np.hypot(1, B2_NOISE))  # so much smaller is its signal-to-noise


@dataclasses.dataclass(frozen=True)
class Known:
    """The voxels that a reader gives of one space and version, in its order.

    Attributes:
      voxels: [k] which voxel of the brain each is.
      info: {field: [k ...]} of voxel_info.
      files: names of the ROI files of the space.
      version: of the betas.  floats: stored as they are, not as integers.
    """

    voxels: np.ndarray
    info: dict
    files: tuple[str, ...]
    version: str = 'b3'
    floats: bool = False


def known(spaces: dict, general: np.ndarray, brain: brains.Brain) -> dict[str, Known]:
    """{'': func1pt8mm b3, 'b2_': func1pt8mm b2, 'func1mm_': ..., ...}: voxels of nsdgeneral.

    Args:
      spaces: {space: Volume or Surface}.
      general: [v] bool of the brain's voxels.
      brain: its own.
    """
    out = {}
    for space, where in spaces.items():
        if isinstance(where, _nsd_volumes.Volume):
            keep = general[where.voxels]
            voxels, info = where.voxels[keep], {'xyz': where.xyz[keep]}
            names = tuple(_nsd_labels.NAMES)
        else:
            lossy = space == 'fsaverage'
            keep = np.concatenate([~where.lost(s) if lossy else where.vertices[s] >= 0
                                   for s in (0, 1)])  # fmt: skip
            keep &= general[where.all_voxels]
            voxels = where.all_voxels[keep]
            info = {'vertex': np.concatenate(where.vertices)[keep]} if lossy else {}
            names = tuple(n for n in _nsd_labels.NAMES if n not in _nsd_labels.DEEP)
            names = _nsd_labels.ATLASES if lossy else names
        info |= {'hemisphere': brain.hemisphere[voxels], 'ncsnr': brain.ncsnr[voxels]}
        key = '' if space == 'func1pt8mm' else f'{space}_'
        out[key] = Known(voxels, info, names, floats=space == 'fsaverage')
    if len(spaces) > 1:
        info = out[''].info | {'ncsnr': out[''].info['ncsnr'] / B2_LESS}
        out['b2_'] = dataclasses.replace(out[''], version='b2', info=info)
    return out


def make(study: _study.Study, numbers: dict, of: dict, columns: dict, rows: dict, is_test) -> dict:
    """The arrays of truth.npz.

    <part>_voxels float32 [n k] in percent signal change (int16 divided by float32 300), and
    <part>_image_id, _session, _run, _repeat, _trials, _trial (from 0, over all planned), for train
    and test; roi_<name> (see `_nsd_labels.rois`; empty ones too), info_<field>; ids and signals
    [m k] (noise-free); the brain's own fields (`simulator.brain.truth`), all in the order of the
    voxels. <key><part>_voxels, <key>roi_<name>, <key>info_<field> of the other keys of `of`, the
    rows being the same.

    Args:
      study: the brain and its signals.
      numbers: {file: [v] labels}.
      of: from `known`.
      columns: {key of `of`: [n k] float32}.
      rows: of all trials, from `Design.rows`.
      is_test: [n] bool.
    """
    out = {}
    deep = {name: np.zeros(len(study.brain.area), np.int16) for name in _nsd_labels.DEEP}
    parts = {'train': ~is_test, 'test': is_test}
    for key, one in of.items():
        out |= {f'{key}{part}_voxels': columns[key][at] for part, at in parts.items()}
        labels = {name: (numbers | deep)[name] for name in one.files}
        rois = _nsd_labels.rois(labels, one.voxels)
        out |= {f'{key}roi_{name}': mask for name, mask in rois.items()}
        out |= {f'{key}info_{name}': field for name, field in one.info.items()}
    for part, at in parts.items():
        out |= {f'{part}_{name}': column[at] for name, column in rows.items()}
        out[f'{part}_trials'] = np.ones(at.sum(), np.int32)
    mine = brains.truth(study.brain)
    count = len(study.brain.area)
    mine = {k: v[of[''].voxels] if np.shape(v)[:1] == (count,) else v for k, v in mine.items()}
    return out | mine | {'ids': study.ids, 'signals': study.signals[:, of[''].voxels]}
