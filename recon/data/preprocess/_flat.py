"""Where a vertex of fsaverage lies on the flat map of the cortex that nilearn carries.

The map is fsaverage5's, cut along the medial side: 9,465 of 10,242 vertices on the left and 9,537
on the right lie on it. Finer surfaces go on from it: a vertex that is new on a finer one is the
middle of an edge of the coarser, and the new ones come in the order of FreeSurfer's icosahedra (the
same rule gives all vertices and faces of fsaverage5, from the icosahedron's twelve on).
"""

import functools

import numpy as np

from recon.core import errors

SIDES = ('left', 'right')
VERTICES = (10_242, 40_962, 163_842)  # of fsaverage5, 6 and 7 (fsaverage)
_LONGEST = 4  # an edge above so many median ones crosses the cut


def places(side: int, vertex: np.ndarray) -> np.ndarray:
    """[k 2] float64 mm, right and up on the map; NaN where the vertex is not on it.

    Args:
      side: 0 left, 1 right.
      vertex: [k] int of fsaverage (5, 6 or 7, which begin alike); negative: none.

    Raises:
      DataInvalid: a number that fsaverage does not have.
    """
    most = int(np.max(vertex, initial=0))
    if most >= VERTICES[-1]:
        raise errors.DataInvalid(
            f'vertex {most}, and fsaverage has {VERTICES[-1]:,} a hemisphere',
            'preprocess.cortical_picture',
            "use how='square', or give vertices of fsaverage",
        )
    levels = sum(most >= count for count in VERTICES)
    found = _map(side, levels)[np.maximum(vertex, 0)]
    return np.where(np.asarray(vertex)[:, None] >= 0, found, np.nan)


@functools.lru_cache(maxsize=6)
def _map(side: int, levels: int) -> np.ndarray:
    """[vertices 2] of the map after `levels` refinements."""
    from nilearn import datasets, surface

    files = datasets.fetch_surf_fsaverage('fsaverage5')
    mesh = surface.load_surf_mesh(files[f'flat_{SIDES[side]}'])
    faces = np.asarray(surface.load_surf_mesh(files[f'infl_{SIDES[side]}']).faces)
    flat = np.full((VERTICES[0], 2), np.nan)
    on_it = np.unique(mesh.faces)
    flat[on_it] = np.asarray(mesh.coordinates)[on_it, :2]
    for _ in range(levels):
        faces, edges = refine(faces, len(flat))
        one, other = flat[edges[:, 0]], flat[edges[:, 1]]
        length = np.linalg.norm(one - other, axis=1)
        torn = ~(length <= _LONGEST * np.nanmedian(length))  # across the cut, or an end off the map
        whole = np.where(np.isnan(one), other, one)
        flat = np.concatenate([flat, np.where(torn[:, None], whole, (one + other) / 2)])
    return flat


def refine(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The next finer surface.

    Args:
      faces: [f 3] int, in FreeSurfer's order.
      count: vertices so far.

    Returns:
      [4 f 3] the new faces, [e 2] the ends of the edge whose middle vertex `count + i` is.
    """
    a, b, c = faces.T
    edges = np.stack([[a, c], [b, c], [a, b]]).transpose(2, 0, 1).reshape(-1, 2)  # [3f 2]
    edges = np.sort(edges, 1).astype(np.int64)
    _, first, inverse = np.unique(edges @ (count, 1), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))  # numbered as they come up
    ac, bc, ab = (count + rank[inverse]).reshape(-1, 3).T
    rest = np.stack([[ac, bc, c], [ab, bc, ac], [ab, b, bc]]).transpose(2, 0, 1).reshape(-1, 3)
    return np.concatenate([np.stack([a, ab, ac], 1), rest]), edges[np.sort(first)]
