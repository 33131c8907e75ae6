from recon.data.formats import nsd_labels


def test_each_file_has_the_published_number_of_labels_all_different():
    counts = {name: len(labels) for name, labels in nsd_labels.NAMES.items()}
    assert counts == {
        'prf-visualrois': 7, 'prf-eccrois': 5, 'floc-faces': 5, 'floc-bodies': 4, 'floc-places': 3,
        'floc-words': 5, 'streams': 7, 'nsdgeneral': 1, 'Kastner2015': 25, 'HCP_MMP1': 180,
        'thalamus': 5, 'MTL': 10,
    }  # fmt: skip
    assert all(len(set(labels)) == len(labels) for labels in nsd_labels.NAMES.values())
    glasser = nsd_labels.NAMES['HCP_MMP1']
    some = {
        1: 'V1',
        18: 'FFC',
        23: 'MT',
        51: '1',
        102: 'OP2-3',
        136: 'TE2p',
        163: 'VVC',
        180: 'p24',
    }
    assert {k: glasser[k - 1] for k in some} == some


def test_plain_names_are_of_one_file_only_and_joint_areas_are_made_of_labels():
    plain = [name for file in nsd_labels.PLAIN for name in nsd_labels.NAMES[file]]
    assert len(set(plain)) == len(plain)
    known = set(plain)
    for file in set(nsd_labels.NAMES) - set(nsd_labels.PLAIN):
        known |= {f'{file}/{name}' for name in nsd_labels.NAMES[file]}
    for name, definitions in nsd_labels.UNIONS.items():
        assert name not in known
        assert all(set(members) <= known for members in definitions)
    assert set(nsd_labels.ALIASES) <= known
    assert len(nsd_labels.PUBLISHED) == 8


def test_a_table_with_other_names_than_nsd_s_is_noted_and_an_alias_is_not():
    known = {file: dict(enumerate(names, 1)) for file, names in nsd_labels.NAMES.items()}
    assert nsd_labels.unlike(known | {'mine': {1: 'x'}, 'MTL': {1: 'MTL-1', 30: 'MTL-30'}}) == []
    kastner = dict(enumerate(nsd_labels.NAMES['Kastner2015'], 1))
    names = {name: number for number, name in kastner.items()}
    kastner[names['MST']] = 'TO2'
    assert nsd_labels.unlike({'Kastner2015': kastner}) == []
    strips = known['prf-visualrois'] | {1: 'V1d', 2: 'V1v'}
    (note,) = nsd_labels.unlike(known | {'prf-visualrois': strips})
    assert note.startswith("prf-visualrois: its table calls label 1 'V1d', known as 'V1v'")
    assert '2 of 7 labels' in note
