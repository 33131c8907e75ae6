"""Refuses to score a model on what it has seen under another data set's name.

The training split of the Algonauts 2023 challenge holds almost all of NSD's shared1000 pictures,
which is NSD's usual test set. Ids tell, where both sides have ids of one kind; where they do not,
as in a copy with numbers of its own, the names of the data sets must do.
"""

import numpy as np

from recon.core import errors

NSD = frozenset({'nsd', 'algonauts2023'})  # sources that show NSD's pictures to NSD's subjects
ALGONAUTS = {'source': 'algonauts2023', 'contains_shared1000': True}
SHARED = {'source': 'nsd', 'test': 'shared1000'}


def refuse(trained: dict, trained_ids, tested: dict, tested_ids) -> None:
    """Raises where a model saw the pictures that it is to be scored on.

    With `id_space` alike and known on both sides, ids decide, and nothing else: a model that was
    trained on Algonauts rows without the shared ones may be tested on those. (NSD's own data have
    NSD's ids without saying so.) Otherwise two sources of NSD's family are refused by name, since
    nobody can tell their pictures apart. Sources that are no relatives pass.

    Args:
      trained: facts of the data that the model was fitted on; 'source', 'id_space' and
        'contains_shared1000' are read.
      trained_ids: [n] image ids of all rows that it was fitted or chosen on, or None.
      tested: facts of the data that it is to be scored on; 'source' and 'id_space' are read.
      tested_ids: [m] image ids, or None.

    Raises:
      LeakError: which pictures, or why they cannot be told apart.
    """
    known = trained_ids is not None and tested_ids is not None
    if known and _space(trained) is not None and _space(trained) == _space(tested):
        tests = np.unique(tested_ids)
        seen = tests[np.isin(tests, trained_ids)]
        if len(seen):
            raise errors.LeakError(
                f'{len(seen)} of {len(tests)} test images were trained on, first {seen[0]}'
                f'{_why(trained, tested)}',
                f'{_name(trained)} -> {_name(tested)}',
                'score on images that the model never saw, or train without these',
            )
        return
    if trained.get('source') in NSD and tested.get('source') in NSD:
        raise errors.LeakError(
            f'test images cannot be told from training images, since both are NSD pictures under '
            f'ids of other kinds{_why(trained, tested)}',
            f'{_name(trained)} -> {_name(tested)}',
            'read both with NSD ids (dataset.nsd recovers those of a course copy), or score on '
            "the data set's own test rows",
        )


def _space(facts: dict) -> str | None:
    return facts.get('id_space', 'nsd' if facts.get('source') == 'nsd' else None)


def _why(trained: dict, tested: dict) -> str:
    if trained.get('contains_shared1000') and tested.get('source') == 'nsd':
        return '; the Algonauts training split holds almost all of the shared1000'
    return ''


def _name(facts: dict) -> str:
    return f'{facts.get("source", "?")} {facts.get("test", "")}'.strip()
