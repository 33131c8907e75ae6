"""Where a user's voxels lie and how well they are measured, and whether left is left."""

import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import pairs_arrays, pairs_order, pairs_voxels

# Obvious name of each field's file, and its type.
_FIELDS = {'ncsnr': np.float32, 'hemisphere': np.int8, 'vertex': np.int32, 'xyz': np.float32}
_SIDES = ('left', 'right')


def load(root: pathlib.Path, voxels: pairs_voxels.Voxels, rois: dict, notes: list) -> dict:
    """Fields of voxel_info: by the mask or the surface, and by ncsnr.npy, hemisphere.npy, ...

    A file is believed more than a mask's affine. Where two of hemisphere, xyz and regions called
    'lh.' or 'rh.' disagree for most of their voxels, it is noted.

    Raises:
      DataInvalid: a field or a mask of another size than the voxels, or values it cannot have.
    """
    info = dict(voxels.info)
    v = voxels.values.shape[1]
    if voxels.grid is not None:
        xyz = voxels.grid.xyz()
        if len(xyz) != v:
            raise errors.DataInvalid(
                f'{len(xyz)} voxels in the mask, {v} in {voxels.files[0]} '
                f'({len(voxels.values)} rows)',
                root,
                "it fits the other axis: set dataset.voxels.axes='voxels rows', or back"
                if len(xyz) == len(voxels.values)
                else 'the mask must be the one that the voxels were taken with',
            )
        info |= {'xyz': xyz, 'hemisphere': (xyz[:, 0] > 0).astype(np.int8)}
        odd = pairs_order.warning(voxels.values, voxels.grid) if voxels.listed else None
        notes += [odd] if odd else []
    for name in _FIELDS:
        found = pairs_arrays.find(root, '', name, ('.npy', '.txt', '.csv'))
        if found:
            info[name] = _field(found[0], name, v)
    _check_sides(info, rois, notes)
    return info


def _field(path: pathlib.Path, name: str, v: int) -> np.ndarray:
    field = pairs_arrays.read(path)
    shape = (v, 3) if name == 'xyz' else (v,)
    if field.shape != shape:
        raise errors.DataInvalid(f'its shape is {field.shape}', path, f'wanted {shape}, the voxels')
    try:
        values = np.asarray(field, np.float64)
    except ValueError:
        values = np.full(shape, np.nan)
    allowed = {'hemisphere': np.isin(values, (0, 1)), 'vertex': (values >= -1) & (values % 1 == 0)}
    good = allowed.get(name, np.isfinite(values) | (name == 'ncsnr'))
    if not good.all():
        wanted = {'hemisphere': '0 left, 1 right', 'vertex': 'whole numbers from 0, -1 for none'}
        raise errors.DataInvalid(
            f'{(~good).sum()} values of {name} are none', path, wanted.get(name, 'finite numbers')
        )
    return values.astype(_FIELDS[name])


def _check_sides(info: dict, rois: dict, notes: list) -> None:
    """Notes fields and regions that name the other side for most of their voxels."""
    sides = info.get('hemisphere')
    if sides is None:
        return
    if 'xyz' in info:
        off = np.abs(info['xyz'][:, 0]) > 1  # mm from the middle
        agree = ((info['xyz'][:, 0] > 0) == sides)[off]
        if off.any() and agree.mean() < 0.5:
            notes.append(
                f'{1 - agree.mean():.0%} of the voxels lie on the other side of x=0 than their '
                'hemisphere says (0 left, 1 right): left and right look swapped'
            )
    for name, roi in rois.items():
        side = ('lh.', 'rh.').index(name[:3]) if name[:3] in ('lh.', 'rh.') else None
        if side is not None and roi.any() and (sides[roi] == side).mean() < 0.5:
            notes.append(
                f'{(sides[roi] != side).mean():.0%} of {name} is in the {_SIDES[1 - side]} '
                'hemisphere: left and right look swapped'
            )
