"What DICOM headers say against what was asked for: every kind with its neighbours"

import json
import numpy as np, pandas as pd, pydicom, pytest
from made_dicom import (
    SCREEN,
    axial,
    data_set,
    enhanced,
    head,
    one_slice,
    pet,
    quick,
    save,
    table,
    tracer,
    uid,
)
from duiit.data.cohort import Cohort
from duiit.core import InputError
from duiit.ingest.trials import FDG
from duiit.ingest.folder import FOLDER, modality_code
from duiit.ingest.pipeline import _file_trouble, ingest

IDS = ('P1', 'P2', 'P3')


class Got:
    "A cohort with its card and its table of exclusions"

    def __init__(self, out):
        self.cohort = Cohort.load(out)
        self.images = np.stack(list(self.cohort.images))
        self.card = json.loads((out / 'card.json').read_text())
        self.warnings = ' '.join(self.card['warnings'])
        d = pd.read_csv(out / 'excluded.csv', keep_default_na=False)
        self.left = d.groupby('reason').slices.sum().to_dict()
        self.details = ' '.join(d.detail)


def read(raw, tmp_path, name='out', modality='CT', unit='HU', **options):
    "The folder recipe on 64 pixels of 3 mm"
    out = ingest(
        FOLDER,
        raw,
        tmp_path / name,
        size=64,
        spacing=3.0,
        jobs=1,
        progress=False,
        modality=modality,
        unit=unit,
        **options,
    )
    return Got(out)


def three(raw, **kw):
    "Three subjects with one series each"
    for s in IDS:
        axial(raw / s, s, **kw)
    return table(raw)


def truth(n=6):
    return np.stack([head(10 * i + k) for i in (1, 2, 3) for k in range(n)])


def refused(f, *words):
    with pytest.raises(InputError) as e:
        f()
    for w in words:
        assert w in str(e.value), str(e.value)


# -- another modality

PAIRS = [
    ('CT', 'CT'),
    ('ct', 'CT'),
    ('PET', 'PT'),
    ('PT', 'PT'),
    ('MRI', 'MR'),
    ('MR', 'MR'),
    ('T1', 'MR'),
    ('FLAIR', 'MR'),
    ('FDG-PET', 'PT'),
    ('PET/CT', 'PET/CT'),
    ('US', 'US'),
]


@pytest.mark.parametrize('text,code', PAIRS)
def test_words_for_modalities(text, code):
    assert modality_code(text) == code


@pytest.fixture(scope='module')
def mixed(tmp_path_factory):
    "CT, PET and MR of everybody, side by side"
    raw = tmp_path_factory.mktemp('mixed')
    for s in IDS:
        axial(raw / s, s, prefix='CT')
        axial(
            raw / s,
            s,
            'PT',
            prefix='PT',
            series='PET',
            Units='BQML',
            change=lambda k, x: ((x + 1000).clip(0, 1200), dict(RescaleSlope='12.5')),
        )
        axial(
            raw / s,
            s,
            'MR',
            prefix='MR',
            series='T1',
            change=lambda k, x: ((x + 1000).clip(0, 1500), {}),
        )
    return table(raw)


def test_ct_among_others(mixed, tmp_path):
    got = read(mixed, tmp_path)
    assert got.left == {'other modality': 36}
    assert np.array_equal(got.images, truth())


def test_mr_among_others(mixed, tmp_path):
    got = read(mixed, tmp_path, modality='MRI', unit='')
    assert (len(got.images), got.images.max(), got.left) == (18, 1500, {'other modality': 36})


def test_pet_without_its_tags_is_no_suv(mixed, tmp_path):
    got = read(mixed, tmp_path, modality='PET', unit='SUV')
    assert (len(got.images), got.cohort.unit) == (18, 'Bq/ml')
    assert 'values stay in Bq/ml' in got.warnings


def test_pet_without_its_tags_and_a_window_in_suv(mixed, tmp_path):
    refused(lambda: read(mixed, tmp_path, modality='PET', unit='SUV', window='0,10'), 'no SUV')


def test_an_unknown_modality(mixed, tmp_path):
    refused(lambda: read(mixed, tmp_path, modality='PET/CT', unit=''), 'CT (3)', 'PT (3)')


def test_equal_numbers_for_all_modalities(tmp_path):
    for s in IDS:
        same = dict(SeriesInstanceUID=uid(s, 'all'))
        axial(tmp_path / 'raw' / s, s, prefix='CT', **same)
        axial(tmp_path / 'raw' / s, s, 'PT', prefix='PT', Units='BQML', **same)
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert (len(got.images), got.left) == (18, {'other modality': 18})


# -- units of PET


def suv_folder(raw, **tags):
    for s in IDS:
        pet(raw / s, s, n=20, **tags)
    return table(raw)


def test_bqml_becomes_suv(tmp_path):
    got = read(suv_folder(tmp_path / 'raw'), tmp_path, modality='PET', unit='SUV')
    assert got.cohort.unit == 'SUV' and abs(np.median(got.images[got.images > 4]) - 8) < 0.02


def test_one_pet_without_weight_is_left_out(tmp_path):
    raw = suv_folder(tmp_path / 'raw')
    for f in (raw / 'P2').iterdir():
        d = pydicom.dcmread(f)
        del d.PatientWeight
        d.save_as(f)
    got = read(raw, tmp_path, modality='PET', unit='SUV')
    assert (len(got.cohort.subjects), got.left, got.cohort.unit) == (
        2,
        {'no SUV': 20, 'empty image': 2},
        'SUV',
    )


@pytest.mark.parametrize('units', ['CNTS', 'PROPCPS', ''])
def test_counts_are_no_suv(tmp_path, units):
    raw = suv_folder(tmp_path / 'raw', Units=units or None)
    refused(lambda: read(raw, tmp_path, modality='PET', unit='SUV'), 'nits')


def test_grams_per_ml_are_suv(tmp_path):
    raw = three(
        tmp_path / 'raw',
        modality='PT',
        Units='GML',
        change=lambda k, x: ((x + 1000).clip(0, 1200), dict(RescaleSlope='0.005')),
    )
    got = read(raw, tmp_path, modality='PET', unit='SUV')
    assert got.cohort.unit == 'SUV' and got.images.max() == 6


def test_mixed_units_without_a_unit(tmp_path):
    for s, units in zip(IDS, ('GML', 'BQML', 'BQML')):
        axial(tmp_path / 'raw' / s, s, 'PT', Units=units)
    assert (
        'different units'
        in read(table(tmp_path / 'raw'), tmp_path, modality='PET', unit='').warnings
    )


@pytest.mark.parametrize('unit', ['SUV', 'Bq/ml', ''])
def test_pet_needs_its_slope(tmp_path, unit):
    raw = three(
        tmp_path / 'raw', modality='PT', Units='BQML', RescaleSlope=None, RescaleIntercept=None
    )
    refused(
        lambda: read(raw, tmp_path, modality='PET', unit=unit), 'missing tag', 'RescaleSlope'
    )


# -- what is no slice

BESIDE = {
    'localizer': dict(
        ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER'], orientation=(1, 0, 0, 0, 0, -1)
    ),
    'scout by its name': dict(SeriesDescription='Scout'),
    'topogram': dict(SeriesDescription='Topogram 0.6 T20s', ImageType=['ORIGINAL', 'PRIMARY']),
    'MIP': dict(ImageType=['DERIVED', 'SECONDARY', 'MIP']),
    'MinIP by its name': dict(SeriesDescription='Thin MinIP'),
    'projection': dict(ImageType=['DERIVED', 'SECONDARY', 'PROJECTION IMAGE']),
    'screen save': dict(ImageType=['DERIVED', 'SECONDARY', 'SCREEN SAVE'], SOPClassUID=SCREEN),
    'secondary capture': dict(ImageType=None, SOPClassUID=SCREEN),
    'dose page': dict(SeriesDescription='Dose Report'),
    'slab': dict(ImageType=['DERIVED', 'SECONDARY', 'AVERAGE']),
    'MPR': dict(ImageType=['DERIVED', 'SECONDARY', 'AXIAL', 'CT_SOM5 MPR']),
    'subtraction': dict(ImageType=['DERIVED', 'PRIMARY', 'SUBTRACTION']),
    'only derived': dict(ImageType=['DERIVED', 'PRIMARY', 'AXIAL']),
}


@pytest.mark.parametrize('name', BESIDE)
def test_a_picture_beside_the_slices(tmp_path, name):
    for s in IDS:
        axial(tmp_path / 'raw' / s, s)
        one_slice(
            tmp_path / 'raw' / s / 'other' / '1.dcm',
            head(90),
            'CT',
            s,
            'other',
            0,
            z=60,
            **BESIDE[name],
        )
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth())
    assert sum(got.left.values()) == 3


@pytest.mark.parametrize('name', ['MPR', 'MIP'])
def test_a_whole_derived_series(tmp_path, name):
    for s in IDS:
        axial(tmp_path / 'raw' / s / 'a', s)
        axial(tmp_path / 'raw' / s / 'b', s, series='made', **BESIDE[name])
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth()) and sum(got.left.values()) == 18


def test_nothing_but_derived_images(tmp_path):
    got = read(three(tmp_path / 'raw', ImageType=['DERIVED', 'PRIMARY', 'AXIAL']), tmp_path)
    assert len(got.images) == 18 and '3 series are derived' in got.warnings


def test_mosaics(tmp_path):
    raw = three(
        tmp_path / 'raw', modality='MR', ImageType=['ORIGINAL', 'PRIMARY', 'M', 'ND', 'MOSAIC']
    )
    refused(lambda: read(raw, tmp_path, modality='MR', unit=''), 'mosaic')


STRAY = {
    'stands upright': dict(orientation=(1, 0, 0, 0, 0, -1)),
    'is a scout': dict(ImageType=['ORIGINAL', 'PRIMARY', 'LOCALIZER']),
    'has another spacing': dict(mm=2.0),
    'is a screen save': dict(SOPClassUID=SCREEN),
    'has no place': dict(ImagePositionPatient=None),
    'has another frame of reference': dict(FrameOfReferenceUID='1.2.3'),
    'has another size': dict(),
}


@pytest.mark.parametrize('name', STRAY)
def test_one_odd_file_in_a_series(tmp_path, name):
    size = 32 if 'size' in name else 64
    for s in IDS:
        axial(tmp_path / 'raw' / s, s)
        one_slice(
            tmp_path / 'raw' / s / 'odd.dcm',
            head(90, size),
            'CT',
            s,
            'axial',
            50,
            z=60,
            **STRAY[name],
        )
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth())
    assert sum(got.left.values()) == 3


def test_an_odd_slice_in_the_middle_costs_the_series(tmp_path):
    def change(k, x):
        return x, dict(PixelSpacing=[2, 2]) if k == 3 else {}

    refused(lambda: read(three(tmp_path / 'raw', change=change), tmp_path), 'mixed spacings')


# -- values and their scale


def test_ct_without_rescale(tmp_path):
    raw = three(
        tmp_path / 'raw',
        change=lambda k, x: ((x + 1024).astype(np.uint16), {}),
        RescaleSlope=None,
        RescaleIntercept=None,
    )
    refused(lambda: read(raw, tmp_path), 'missing tag', 'RescaleIntercept')
    got = read(raw, tmp_path, unit='')
    assert 'no RescaleIntercept' in got.warnings


def test_one_ct_slice_without_rescale(tmp_path):
    raw = three(
        tmp_path / 'raw', change=lambda k, x: (x, dict(RescaleIntercept=None) if k == 2 else {})
    )
    refused(lambda: read(raw, tmp_path), 'RescaleIntercept in 1 of 6')


@pytest.mark.parametrize('offset', [1000, 1024])
def test_an_offset_that_was_taken_away(tmp_path, offset):
    raw = three(tmp_path / 'raw', change=lambda k, x: (x + np.int16(offset), {}))
    refused(lambda: read(raw, tmp_path), 'implausible values', 'offset')


def test_windowed_ct_is_kept_with_a_warning(tmp_path):
    got = read(three(tmp_path / 'raw', change=lambda k, x: (x.clip(0, 80), {})), tmp_path)
    assert len(got.images) == 18 and 'no air below' in got.warnings
    assert got.card['values'] == {'low': 0, 'high': 80, 'raised': 0, 'expected': [-1024, 3071]}


def test_rescale_types(tmp_path):
    refused(
        lambda: read(three(tmp_path / 'a', RescaleType='MGML'), tmp_path), 'RescaleType is MGML'
    )
    assert 'unspecified' in read(three(tmp_path / 'b', RescaleType='US'), tmp_path).warnings


def test_slope_zero(tmp_path):
    refused(
        lambda: read(three(tmp_path / 'raw', RescaleSlope='0'), tmp_path), 'RescaleSlope is 0'
    )


def test_a_table_in_place_of_slope_and_intercept(tmp_path):
    from pydicom.dataset import Dataset

    lut = Dataset()
    lut.LUTDescriptor = [3000, 0, 16]
    lut.LUTData = np.arange(3000, dtype='<u2').tobytes()
    lut.ModalityLUTType = 'HU'
    lut['LUTDescriptor'].VR, lut['LUTData'].VR = 'US', 'OW'
    raw = three(
        tmp_path / 'raw',
        change=lambda k, x: ((x + 1000).astype(np.uint16), {}),
        RescaleSlope=None,
        RescaleIntercept=None,
        ModalityLUTSequence=[lut],
    )
    refused(lambda: read(raw, tmp_path), 'implausible values')  # this table gives HU + 1000
    assert read(raw, tmp_path, unit='').images.max() == 1800


PADDING = [
    (-2000, {}),
    (-3024, {}),
    (0, {}),
    (32767, {}),
    (-32768, dict(PixelPaddingRangeLimit=-3000)),
]


@pytest.mark.parametrize('value,more', PADDING)
def test_padding_that_is_declared(tmp_path, value, more):
    r, c = np.mgrid[:64, :64] - 31.5
    outside = np.hypot(r, c) > 31

    def change(k, x):
        x = x.copy()
        x[outside] = value
        return x, dict(PixelPaddingValue=value) | more

    got = read(three(tmp_path / 'raw', change=change), tmp_path)
    want = truth()
    want[:, outside] = -1000
    assert np.array_equal(got.images, want)


def test_padding_that_is_not_declared(tmp_path):
    r, c = np.mgrid[:64, :64] - 31.5
    outside = np.hypot(r, c) > 31
    got = read(
        three(
            tmp_path / 'raw', change=lambda k, x: (np.where(outside, np.int16(-3024), x), {})
        ),
        tmp_path,
    )
    assert got.images.min() == -1024
    assert (
        got.card['values']['raised'] == 18 * outside.sum()
        and 'lay below -1024 HU' in got.warnings
    )


def test_values_of_a_nifti_without_its_offset(tmp_path):
    import nibabel as nib

    for s in IDS:
        v = np.stack([head(10 * int(s[-1]) + k) for k in range(6)])[::-1, ::-1, ::-1].transpose(
            2, 1, 0
        ) + np.int16(1024)
        (tmp_path / 'raw').mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(v, np.diag([3.0, 3, 5, 1])), tmp_path / 'raw' / f'{s}.nii')
    refused(lambda: read(table(tmp_path / 'raw'), tmp_path), 'implausible values')


def test_a_cohort_written_by_hand(tmp_path):
    x = truth()
    who = np.repeat(IDS, 6)
    meta = dict(modality='CT', unit='HU', label_name='age', label_unit='years')

    def words(x):
        return ' '.join(
            Cohort.from_arrays(x, who, np.repeat([30.0, 40, 50], 6), **meta).warnings
        )

    assert words(x) == ''
    assert 'tissue lies near' in words(x + np.int16(1024))
    assert 'no air' in words(x.clip(0, 80)) and 'tissue' not in words(x.clip(0, 80))


# -- enhanced multi-frame files

ORDERS = [range(6), range(5, -1, -1), (3, 0, 5, 1, 4, 2)]


@pytest.mark.parametrize('order', ORDERS)
def test_frames_in_any_order(tmp_path, order):
    for s in IDS:
        enhanced(tmp_path / 'raw' / s / '1.dcm', s, order=order)
    assert np.array_equal(read(table(tmp_path / 'raw'), tmp_path).images, truth())


def test_a_scale_for_each_frame(tmp_path):
    for s in IDS:
        enhanced(
            tmp_path / 'raw' / s / '1.dcm',
            s,
            shared_scale=False,
            scale=lambda k: (1, -1024 - k),
        )
    assert np.array_equal(read(table(tmp_path / 'raw'), tmp_path).images, truth())


def test_enhanced_without_a_scale(tmp_path):
    for s in IDS:
        enhanced(tmp_path / 'raw' / s / '1.dcm', s)
        d = pydicom.dcmread(tmp_path / 'raw' / s / '1.dcm')
        del d.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        d.save_as(tmp_path / 'raw' / s / '1.dcm')
    refused(lambda: read(table(tmp_path / 'raw'), tmp_path), 'RescaleIntercept in 6 of 6')


def test_enhanced_mr(tmp_path):
    for s in IDS:
        enhanced(
            tmp_path / 'raw' / s / '1.dcm',
            s,
            'MR',
            stored=lambda k: (head(k) + 1000).clip(0, 900),
        )
    assert read(table(tmp_path / 'raw'), tmp_path, modality='MR', unit='').images.max() == 900


SEVERAL = {
    'echo': lambda i, k: dict(MREchoSequence=dict(EffectiveEchoTime=10.0 + i % 2)),
    'b': lambda i, k: dict(MRDiffusionSequence=dict(DiffusionBValue=1000.0 * (i % 2))),
    'stack': lambda i, k: dict(FrameContentSequence=dict(StackID=str(i % 2))),
    'time': lambda i, k: dict(FrameContentSequence=dict(TemporalPositionIndex=i % 2 + 1)),
}


@pytest.mark.parametrize('name', SEVERAL)
def test_several_volumes_in_one_file(tmp_path, name):
    for s in IDS:
        enhanced(
            tmp_path / 'raw' / s / '1.dcm',
            s,
            'MR',
            order=np.repeat(range(6), 2),
            extra=SEVERAL[name],
        )
    refused(
        lambda: read(table(tmp_path / 'raw'), tmp_path, modality='MR', unit=''),
        'several volumes in one file',
        name,
    )


def test_enhanced_beside_plain_files(tmp_path):
    axial(tmp_path / 'raw' / 'P1', 'P1')
    for s in ('P2', 'P3'):
        enhanced(tmp_path / 'raw' / s / '1.dcm', s)
    assert np.array_equal(read(table(tmp_path / 'raw'), tmp_path).images, truth())


def test_a_multi_frame_file_without_places(tmp_path):
    frames = np.stack([head(k) for k in range(6)])
    place = dict(
        ImagePositionPatient=[0, 0, 0],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[3, 3],
    )
    for s in IDS:
        save(
            tmp_path / 'raw' / s / '1.dcm',
            data_set(frames, 'CT', s, 'axial', 0, NumberOfFrames=6, **place),
        )
    refused(lambda: read(table(tmp_path / 'raw'), tmp_path), 'multi-frame file')


# -- SUV


def suv(tmp_path, **kw):
    "The brain's SUV by the recipe of FDG"
    pet(tmp_path / 'raw' / 'S1', 'S1', **kw)
    return Got(
        ingest(
            FDG,
            tmp_path / 'raw',
            tmp_path / 'out',
            size=64,
            spacing=6.0,
            jobs=1,
            progress=False,
        )
    )


HALF_LIVES = [
    ('6586.2', 'FDG'),
    ('109.77', 'FDG'),
    ('1.8295', None),
    ('6588', 'Fluorine F^18^'),
]


@pytest.mark.parametrize('written,name', HALF_LIVES)
def test_half_life_in_any_unit(tmp_path, written, name):
    got = suv(tmp_path, item=tracer(written, name=name))
    assert abs(np.median(got.images[got.images > 4]) - 8) < 0.05


LONG = [
    ('282276', 'Zr-89', 282276.0),
    ('78.41', '89Zr-girentuximab', 282276.0),
    ('360806', 'I-124', 360806.0),
    ('45723.6', 'Cu-64 DOTATATE', 45723.6),
]


@pytest.mark.parametrize('written,name,seconds', LONG)
def test_days_after_the_injection(tmp_path, written, name, seconds):
    days, date = (1, '20010202') if seconds < 1e5 else (5, '20010129')
    item = tracer(written, name=name, start=f'{date}101500')
    got = suv(tmp_path, item=item, decays=(days * 86400 + 3600) / seconds)
    assert abs(np.median(got.images[got.images > 4]) - 8) < 0.05


BAD = {
    'implausible half life': tracer('3600'),
    'implausible dose': tracer(dose='370'),
    'time of injection': tracer(
        '282276', name='Zr-89', start=None, RadiopharmaceuticalStartTime='101500'
    ),
}


@pytest.mark.parametrize('reason', BAD)
def test_what_gives_no_suv(tmp_path, reason):
    refused(lambda: suv(tmp_path, item=BAD[reason]), reason)


@pytest.mark.parametrize('weight', ['70000', '0.07'])
def test_weight_in_another_unit(tmp_path, weight):
    refused(lambda: suv(tmp_path, PatientWeight=weight), 'implausible weight')


@pytest.mark.parametrize('factor', [1e3, 1e7])
def test_a_brain_that_is_too_hot(tmp_path, factor):
    refused(lambda: suv(tmp_path, dose=370e6 * factor, item=tracer()), 'implausible values')


def test_pet_of_fdg_without_slope(tmp_path):
    refused(lambda: suv(tmp_path, RescaleSlope=None), 'RescaleSlope')


def test_a_later_study_has_the_age(tmp_path):
    pet(tmp_path / 'raw' / 'S1' / 'a', 'S1', age=None, StudyDate='20000101')
    pet(tmp_path / 'raw' / 'S1' / 'b', 'S1', age='061Y', study='later')
    got = Got(
        ingest(
            FDG,
            tmp_path / 'raw',
            tmp_path / 'out',
            size=64,
            spacing=6.0,
            jobs=1,
            progress=False,
        )
    )
    assert got.cohort.subjects.label.tolist() == [61] and got.left['no age'] == 45
    assert '1 subjects have a study without an age' in got.warnings


# -- de-identified data


def test_equal_numbers_in_all_subjects(tmp_path):
    for s in IDS:
        axial(
            tmp_path / 'raw' / s,
            s,
            StudyInstanceUID=uid(1),
            SeriesInstanceUID=uid(2),
            change=lambda k, x: (x, dict(SOPInstanceUID=uid(3, k))),
        )
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth()) and got.left == {}


@pytest.mark.parametrize('name', [None, '', 'ANONYMOUS'])
def test_nobody_has_a_name(tmp_path, name):
    for s in IDS:
        axial(
            tmp_path / 'raw' / s,
            s,
            PatientID=name,
            SeriesInstanceUID=uid(2),
            change=lambda k, x: (x, dict(SOPInstanceUID=uid(3, k))),
        )
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth()) and got.left == {}


def test_a_copy_has_equal_pixels(tmp_path):
    for s in IDS:
        axial(tmp_path / 'raw' / s, s)
        axial(tmp_path / 'raw' / s / 'again', s)
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth()) and got.left == {'duplicate instance': 18}


def test_a_copy_with_new_numbers(tmp_path):
    for s in IDS:
        axial(tmp_path / 'raw' / s, s)
        axial(
            tmp_path / 'raw' / s / 'again',
            s,
            change=lambda k, x: (x, dict(SOPInstanceUID=uid('new', s, k))),
        )
    got = read(table(tmp_path / 'raw'), tmp_path)
    assert np.array_equal(got.images, truth()) and got.left == {'duplicate': 18}


def test_one_number_for_all_slices(tmp_path):
    got = read(three(tmp_path / 'raw', SOPInstanceUID=uid('all')), tmp_path)
    assert np.array_equal(got.images, truth()) and got.left == {}


def test_two_persons_in_one_folder(tmp_path):
    raw = three(tmp_path / 'raw')
    axial(raw / 'P1' / 'other', 'Q7')
    got = read(raw, tmp_path)
    assert 'P1' in got.warnings and '2 PatientIDs' in got.warnings and 'Q7' not in got.warnings


def test_one_person_in_two_folders(tmp_path):
    for s in IDS:
        axial(tmp_path / 'raw' / s, s, PatientID='A' if s != 'P3' else 'B')
    assert 'under two names' in read(table(tmp_path / 'raw'), tmp_path).warnings


def test_no_name_in_a_recipe_that_needs_it(tmp_path):
    refused(lambda: suv(tmp_path, PatientID=None), 'no DICOM series')


# -- links and disks


def test_a_broken_link_is_no_full_disk(tmp_path):
    (tmp_path / 'a.dcm').symlink_to('nowhere')
    with pytest.raises(OSError) as e:
        open(tmp_path / 'a.dcm')
    said = _file_trouble(e.value, tmp_path)
    assert 'leads nowhere' in said and 'disk' not in said and 'make room' not in said


def test_a_missing_file_is_no_full_disk(tmp_path):
    with pytest.raises(OSError) as e:
        open(tmp_path / 'a.dcm')
    assert 'no such file' in _file_trouble(e.value, tmp_path)
