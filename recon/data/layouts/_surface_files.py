"""Files of the Algonauts layouts: masks, label tables, responses, pictures, and the truth."""

import io
import pathlib

import numpy as np
from PIL import Image
from scipy import spatial

from recon.core import results
from recon.data.formats import algonauts_fmri, algonauts_rois, algonauts_surface
from recon.data.layouts import _study
from recon.data.simulator import areas
from recon.data.simulator import brain as brains

STREAMS = {
    'early': ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d'),
    'midventral': ('hV4',),
    'midlateral': ('LO',),
    'midparietal': ('V3A',),
    'ventral': ('VO', 'OFA', 'FFA-1', 'FFA-2', 'FBA-1', 'FBA-2', 'PPA', 'VWFA-1', 'VWFA-2'),
    'lateral': ('EBA', 'MT'),
    'parietal': ('OPA', 'IPS'),
}
_MEDIAL = 9.0  # mm around the retrosplenial area that are in both masks
_DRAWN = 32  # pictures drawn at once


def labels(brain: brains.Brain) -> dict[str, np.ndarray]:
    """Labels of each class of masks, [v] int32; the retrosplenial vertices have no stream.

    What lies around the areas takes the stream of the nearest voxel of an area.
    """
    names = np.array((*areas.NAMES, ''))[brain.area]
    found = {}
    for name, members in algonauts_rois.CLASSES.items():
        if name == 'streams':
            names = _nearest(brain, names)
            table = {area: stream for stream, group in STREAMS.items() for area in group}
            names = np.array([table.get(area, '') for area in names.tolist()])
        found[name] = np.select(
            [names == area for area in members], range(1, len(members) + 1), 0
        ).astype(np.int32)
    return found


def write_masks(folder, brain: brains.Brain, ending: str) -> dict[str, np.ndarray]:
    """roi_masks/: short and long masks of each hemisphere, label tables. Returns the labels.

    Args:
      folder: roi_masks.
      brain: of the subject, vertices ascending in each hemisphere.
      ending: of the names of short masks, 'challenge_space' or 'space'.
    """
    folder = pathlib.Path(folder)
    held = labels(brain)
    # The sum of a general mask and of a retrosplenial one: where both are, 2.
    medial = (held['streams'] == 0) | _around(brain, 'RSC')
    inside = (held['streams'] > 0).astype(np.int32) + medial
    for value, side in enumerate(algonauts_fmri.SIDES):
        here = brain.hemisphere == value
        vertex = brain.vertex[here]
        write_npy(folder / f'{side}.all-vertices_fsaverage_space.npy', _fill(vertex, inside[here]))
        for name, values in held.items():
            write_npy(folder / f'{side}.{name}_{ending}.npy', values[here])
            path = folder / f'{side}.{name}_fsaverage_space.npy'
            write_npy(path, _fill(vertex, values[here]))
    for name in held:
        table = {0: 'Unknown'} | algonauts_rois.table(name)
        write_npy(folder / f'mapping_{name}.npy', np.array(table, dtype=object))
    return held


def write_fmri(folder, part: str, voxels: np.ndarray, left: int) -> None:
    """{lh,rh}_<part>_fmri.npy, the first `left` columns of [n v] being the left hemisphere's."""
    halves = np.split(voxels, [left], axis=1)
    for side, half in zip(algonauts_fmri.SIDES, halves, strict=True):
        write_npy(pathlib.Path(folder) / f'{side}_{part}_fmri.npy', half)


def write_pictures(folder, names: list[str], ids, size: int, seed: int) -> None:
    """Draws scenes `ids` [m] into PNG files."""
    for start in range(0, len(ids), _DRAWN):
        part = slice(start, start + _DRAWN)
        for name, picture in zip(names[part], _study.pictures(ids[part], size, seed), strict=True):
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, 'PNG', compress_level=3)
            results.write_bytes(pathlib.Path(folder) / name, buffer.getvalue())


def write_npy(path, array: np.ndarray) -> None:
    """One .npy file; label tables are objects, as the real ones are."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=True)


def truth(brain: brains.Brain, held: dict) -> dict[str, np.ndarray]:
    """What is known of the columns: the brain's fields, voxel_info, and every area that is read."""
    known = brains.truth(brain)
    known['info_hemisphere'], known['info_vertex'] = brain.hemisphere, brain.vertex
    rois = {
        area: held[name] == label
        for name, members in algonauts_rois.CLASSES.items()
        for label, area in enumerate(members, start=1)
    }
    for name, members in algonauts_rois.UNIONS.items():
        rois[name] = np.any([rois[area] for area in members], axis=0)
    rois[algonauts_rois.RSC] = held['streams'] == 0
    return known | {f'roi_{name}': roi for name, roi in rois.items()}


def unknown(part: str, n: int) -> dict[str, np.ndarray]:
    """Truth of what an average does not tell: session, run and repeat -1, one trial."""
    columns = {'session': -1, 'run': -1, 'repeat': -1, 'trials': 1}
    return {f'{part}_{name}': np.full(n, value, np.int32) for name, value in columns.items()}


def _nearest(brain: brains.Brain, names: np.ndarray) -> np.ndarray:
    """Names, with those of '' replaced by the nearest voxel's in the same hemisphere."""
    names = names.copy()
    for side in (0, 1):
        named = np.flatnonzero((brain.hemisphere == side) & (names != ''))
        bare = np.flatnonzero((brain.hemisphere == side) & (names == ''))
        _, near = spatial.cKDTree(brain.xyz[named]).query(brain.xyz[bare])
        names[bare] = names[named[near]]
    return names


def _around(brain: brains.Brain, area: str) -> np.ndarray:
    """[v] bool: near a voxel of `area`, in the same hemisphere."""
    near = np.zeros(len(brain.area), bool)
    for side in (0, 1):
        here = brain.hemisphere == side
        core = here & (brain.area == areas.NAMES.index(area))
        if core.any():
            distance, _ = spatial.cKDTree(brain.xyz[core]).query(brain.xyz[here])
            near[here] = distance < _MEDIAL
    return near


def _fill(vertex: np.ndarray, values: np.ndarray) -> np.ndarray:
    whole = np.zeros(algonauts_surface.VERTICES, values.dtype)
    whole[vertex] = values
    return whole


def write_truth(root, arrays: dict) -> None:
    """`<root>_truth/truth.npz`, straight to disk and not compressed, since it may be large."""
    folder = root.with_name(f'{root.name}_truth')
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / 'truth.npz', **arrays)
