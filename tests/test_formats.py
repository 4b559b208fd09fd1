"""One truth in every format that is read: equal pixels come out, or the reason why not."""

import gzip, itertools, struct, zlib
from dataclasses import replace
import nibabel as nib, numpy as np, pytest, tifffile
from PIL import Image, ImageOps
from duiit.data.cohort import Cohort
from duiit.data.images import read_image
from duiit.core import InputError, read_json
from duiit.ingest.folder import RECIPES
from duiit.ingest.volumes import read_jpeg
from duiit.ingest.pipeline import _read_piece, ingest
from duiit.data.scans import read_head

FOLDER = RECIPES['folder']
SPACING = (5.0, 2.0, 1.5)  # mm between slices, rows and columns


def volume(n=6, h=40, w=32):
    "Pictures (n, H, W) in HU from the top down, without any symmetry"
    rng = np.random.default_rng(0)
    return (rng.integers(-1000, 1500, (n, h, w))).astype(np.int16)


TRUTH = volume()
ONE = (TRUTH[0] - TRUTH[0].min()).astype(np.uint16)  # one picture without negative values
BYTE = (ONE // 16).astype(np.uint8)


def read(folder, **options):
    "Pixels, record and slice numbers of the one piece below a folder"
    (folder / 'ages.csv').write_text('subject,age\nP1,30\n')
    given = {k: v for k, (v, _) in FOLDER.options.items()} | dict(modality='CT') | options
    pieces, left, _ = FOLDER.find(folder, **given)
    images, record = _read_piece_whole(pieces[0], folder)
    return images, record


def _read_piece_whole(piece, folder):
    "Pixels as the reader gives them, and the record"
    try:
        got = FOLDER.read(piece)
    except Exception:
        got = []  # the record says what came of it
    _, record, _ = _read_piece(replace(FOLDER, size=64), piece, folder)
    return (got[0] if got and len(got[0].numbers) else None), record


def same(folder, truth, **options):
    "The notes of a file whose pixels are the truth's"
    got, record = read(folder, **options)
    assert got is not None, record['left']
    images = got.images[0] if truth.ndim == 2 else got.images
    np.testing.assert_array_equal(images.astype(np.float64), truth.astype(np.float64))
    return record['notes']


def reason(folder, **options):
    "Why a file is left out: the reason and its detail"
    got, record = read(folder, **options)
    assert got is None and not record['numbers'], 'it was read'
    return f"{record['left'][0]['reason']}: {record['left'][0]['detail']}"


def cohort(raw, size=64, **options):
    "The folder of a finished cohort beside the raw one"
    out = raw.with_name('out')
    return ingest(FOLDER, raw, out, size=size, jobs=1, progress=False, modality='CT', **options)


# NIfTI

RIGHT = np.diag([SPACING[2], SPACING[1], SPACING[0], 1.0])
MIRRORED = np.diag([-SPACING[2], SPACING[1], SPACING[0], 1.0])


def stored_as(a):  # axes to the right, to the front, up
    return np.ascontiguousarray(a[::-1, ::-1, ::-1].transpose(2, 1, 0))


MOVED = nib.affines.from_matvec(np.eye(3), [9, -7, 3]) @ RIGHT

STORED = stored_as(TRUTH)
ITK = np.diag([-1.0, -1.0, 1.0, 1.0])


def rotated(degrees, A=RIGHT):
    turn = nib.eulerangles.euler2mat(z=np.radians(degrees))
    return nib.affines.from_matvec(turn) @ A


def sheared(degrees):
    A = RIGHT.copy()
    A[1, 2] = np.tan(np.radians(degrees)) * SPACING[0]
    return A


def nifti(
    path,
    values,
    sform=(RIGHT, 1),
    qform=None,
    kind=nib.Nifti1Image,
    order='<',
    slope=None,
    **fields,
):
    "A NIfTI file whose header says what it is told to, right or wrong"
    im = kind(values, RIGHT, dtype=values.dtype)
    header = im.header.as_byteswapped(order)
    header.set_qform(*(qform or (None, 0)))
    header.set_sform(*(sform or (None, 0)))
    header['vox_offset'] = header.sizeof_hdr + 4
    header['magic'] = b'n+1' if kind is nib.Nifti1Image else b'n+2'
    if slope is not None:
        header['scl_slope'], header['scl_inter'] = slope
    for key, value in fields.items():
        if key == 'pixdim':
            header['pixdim'][1:4] = value
        else:
            header[key] = value
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes(order='F')
    whole = header.binaryblock + b'\0' * 4 + pixels
    path.write_bytes(gzip.compress(whole) if path.suffix == '.gz' else whole)


USED = {  # what the header says -> words of the notes
    'sform alone': (dict(), ()),
    'qform alone': (dict(sform=None, qform=(RIGHT, 1)), ()),
    'both alike': (dict(qform=(RIGHT, 1)), ()),
    'template space': (dict(sform=(RIGHT, 4), qform=(RIGHT, 1)), ()),
    'a little turned': (dict(qform=(rotated(3), 1)), ('turned by 1 to 5 degrees',)),
    'another origin': (dict(qform=(MOVED, 1)), ()),
    'no form': (dict(sform=None, pixdim=SPACING[::-1]), ('No orientation',)),
    'no form, no spacing': (
        dict(sform=None, pixdim=(1, 1, 1)),
        ('No orientation', 'No spacing'),
    ),
    'no form, pixdim 0': (dict(sform=None, pixdim=(0, 0, 0)), ('No orientation', 'No spacing')),
    'identity': (dict(sform=(np.eye(4), 2), pixdim=(1, 1, 1)), ('know no geometry',)),
    'identity of ITK': (
        dict(values=STORED[::-1, ::-1], sform=(ITK, 1), pixdim=(1, 1, 1)),
        ('know no geometry',),
    ),
    'identity as qform': (
        dict(sform=None, qform=(np.eye(4), 1), pixdim=(1, 1, 1)),
        ('know no geometry',),
    ),
    'pixdim 0 beside an sform': (dict(pixdim=(0, 0, 0)), ()),
    'pixdim NaN beside an sform': (dict(pixdim=(np.nan,) * 3), ()),
    'pixdim within a percent': (dict(pixdim=np.array(SPACING[::-1]) * 1.004), ()),
    'metres': (
        dict(
            sform=(np.diag([0.0015, 0.002, 0.005, 1]), 1),
            pixdim=(0.0015, 0.002, 0.005),
            xyzt_units=1,
        ),
        (),
    ),
    'microns': (
        dict(sform=(np.diag([1500, 2e3, 5e3, 1]), 1), pixdim=(1500, 2e3, 5e3), xyzt_units=3),
        (),
    ),
    'millimetres and seconds': (dict(xyzt_units=10), ()),
    'unknown units': (dict(xyzt_units=0), ()),
    'slope 0': (dict(slope=(0, 0)), ()),
    'slope NaN': (dict(slope=(np.nan, np.nan)), ()),
    'slope 0 beside an intercept': (dict(slope=(0, -1024)), ('scl_slope is 0',)),
    'display range': (dict(cal_min=0, cal_max=80), ()),
    'big-endian': (dict(order='>'), ()),
    'NIfTI-2': (dict(kind=nib.Nifti2Image), ()),
}


@pytest.mark.parametrize('case', USED)
def test_nifti_is_used(tmp_path, case):
    fields, words = USED[case]
    nifti(tmp_path / 'P1.nii', **dict(values=STORED) | fields)
    notes = same(tmp_path, TRUTH)
    assert len(notes) == len(words) and all(any(w in note for note in notes) for w in words), (
        notes
    )
    spaced = not {'No spacing', 'know no geometry'} & set(words)
    got, _ = read(tmp_path)
    assert got.mm == (pytest.approx(SPACING[1:], rel=0.01) if spaced else None)


AGAINST = 'contradictory geometry'

REFUSED = {  # what the header says -> words of the reason
    'sform identity beside pixdim': (
        dict(sform=(np.eye(4), 2), pixdim=(3, 3, 5)),
        (AGAINST, 'pixdim says 3 x 3 x 5 mm, the sform 1 x 1 x 1 mm'),
    ),
    'pixdim identity beside sform': (
        dict(pixdim=(1, 1, 1)),
        (AGAINST, 'pixdim says 1 x 1 x 1 mm, the sform 1.5 x 2 x 5 mm'),
    ),
    'one direction of pixdim': (dict(pixdim=(1.5, 2, 4)), (AGAINST, '1.5 x 2 x 4')),
    'qform of other size': (dict(qform=(RIGHT * 2, 1)), (AGAINST, 'pixdim says 3 x 4 x 10 mm')),
    'mirrored forms': (
        dict(qform=(MIRRORED, 1)),
        (AGAINST, 'RAS by the sform and to LAS by the qform'),
    ),
    'turned forms': (dict(qform=(rotated(12), 1)), (AGAINST, '12 degrees apart')),
    'upside down forms': (
        dict(qform=(np.diag([-1.5, -2.0, 5, 1]), 1)),
        (AGAINST, 'LPS by the qform'),
    ),
    'oblique': (dict(sform=(rotated(30), 1)), ('oblique', '30 degrees')),
    'gantry': (dict(sform=(sheared(12), 1)), ('sheared', '12 degrees away from right angles')),
    'singular sform': (
        dict(sform=(np.diag([0, 2, 5, 1.0]), 1)),
        ('damaged geometry', 'singular'),
    ),
    'NaN sform': (dict(sform=(np.full((4, 4), np.nan), 1)), ('damaged geometry',)),
    'negative pixdim': (dict(sform=None, pixdim=(-1.5, 2, 5)), ('damaged geometry', 'above 0')),
    'qform without pixdim': (
        dict(sform=None, qform=(RIGHT, 1), pixdim=(0, 0, 0)),
        ('damaged geometry', 'pixdim says 0 x 0 x 0 mm'),
    ),
    'spacing of a metre': (
        dict(sform=(RIGHT, 1), xyzt_units=1),
        ('implausible spacing', '1500 x 2000 x 5000 mm, counted in metres'),
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_nifti_is_refused(tmp_path, case):
    fields, words = REFUSED[case]
    nifti(tmp_path / 'P1.nii', stored_as(TRUTH), **fields)
    said = reason(tmp_path)
    for w in words:
        assert w in said, said


@pytest.mark.parametrize('codes', ('RAS', 'LPS', 'LAS', 'RPI', 'SAR', 'PIR'))
def test_nifti_of_any_order(tmp_path, codes):
    im = nib.Nifti1Image(stored_as(TRUTH), RIGHT)
    wanted = nib.orientations.axcodes2ornt(codes)
    turn = nib.orientations.ornt_transform(nib.io_orientation(im.affine), wanted)
    nib.save(im.as_reoriented(turn), tmp_path / 'P1.nii.gz')
    assert same(tmp_path, TRUTH) == []


SCALED = [  # stored type, slope, intercept
    (np.int8, 300, 1),
    (np.uint8, 1, -1000),
    (np.int16, 2, -1024),
    (np.int16, 1, 30000),
    (np.int16, 40000, 100),
    (np.int16, 0.5, 3),
    (np.uint16, 1, -1024),
    (np.uint16, 100, 7),
    (np.uint16, 0.25, -1024),
    (np.int32, 3, 5),
    (np.uint32, 1, -1024),
    (np.int64, 1, -1024),
    (np.uint64, 1, -1024),
    (np.float32, 1, 0),
    (np.float32, 2, -1024),
    (np.float64, 1, 0),
]


@pytest.mark.parametrize('dtype,slope,shift', SCALED)
def test_nifti_values(tmp_path, dtype, slope, shift):
    whole = np.dtype(dtype).kind in 'iu'
    low = max(np.iinfo(dtype).min, -900) if whole else -900
    high = min(np.iinfo(dtype).max, 2**31 - 1) if whole else 2**20
    x = np.random.default_rng(1).integers(low, high, TRUTH.shape).astype(dtype)
    nifti(tmp_path / 'P1.nii', stored_as(x), slope=(slope, shift))
    want = x.astype(np.float64) * np.float64(np.float32(slope)) + shift
    got, _ = read(tmp_path)
    np.testing.assert_allclose(got.images.astype(np.float64), want, rtol=1e-6, atol=1e-3)


def test_nifti_large_offset(tmp_path):
    x = (TRUTH.astype(np.int64) + 2**33).astype(np.uint64)
    nifti(tmp_path / 'P1.nii', stored_as(x), kind=nib.Nifti2Image, slope=(1, -(2**33)))
    same(tmp_path, TRUTH)


def test_nifti_is_compressed_or_not(tmp_path):
    nifti(tmp_path / 'a.nii.gz', stored_as(TRUTH))
    packed = (tmp_path / 'a.nii.gz').read_bytes()
    for name, bytes_ in (('P1.nii', packed), ('P1.nii.gz', gzip.decompress(packed))):
        box = tmp_path / name.replace('.', '_')
        box.mkdir()
        (box / name).write_bytes(bytes_)
        assert same(box, TRUTH) == []


COLOUR = np.zeros(STORED.shape, [('R', 'u1'), ('G', 'u1'), ('B', 'u1')])

SHAPES = {  # name -> values, the truth or words of the reason
    'one of a series': (STORED[..., None], TRUTH),
    'two empty axes': (STORED[..., None, None], TRUTH),
    'two axes': (STORED[:, :, -1], TRUTH[0]),
    'one slice': (STORED[:, :, -1:], TRUTH[0]),
    'times': (np.stack([STORED] * 3, -1), 'several volumes'),
    'five axes': (np.stack([STORED[..., None]] * 2, -1), 'several volumes'),
    'complex': (STORED.astype(np.complex64), 'values of type complex64'),
    'RGB24': (COLOUR, 'not a grey volume'),
}


@pytest.mark.parametrize('case', SHAPES)
def test_nifti_shapes(tmp_path, case):
    values, truth = SHAPES[case]
    nifti(tmp_path / 'P1.nii', values)
    if isinstance(truth, str):
        assert truth in reason(tmp_path)
    else:
        assert same(tmp_path, truth) == []


def test_nifti_without_orientation_of_another_axis(tmp_path):
    nifti(tmp_path / 'P1.nii', TRUTH[:, :32], sform=None, pixdim=(5, 2, 2))
    said = reason(tmp_path)
    assert 'which axis counts slices?' in said and '(6, 32, 32)' in said


MAGIC = {
    b'\0\0\0\0': 'Analyze header',
    b'ni1\0': 'pixels in another file',
    b'xyz\0': 'damaged file',
}


@pytest.mark.parametrize('magic', MAGIC)
def test_headers_that_are_no_nifti(tmp_path, magic):
    nifti(tmp_path / 'P1.nii', stored_as(TRUTH))
    whole = bytearray((tmp_path / 'P1.nii').read_bytes())
    whole[344:348] = magic
    (tmp_path / 'P1.nii').write_bytes(whole)
    assert reason(tmp_path).startswith(MAGIC[magic])


def test_formats_that_are_not_read_are_named(tmp_path):
    nifti(tmp_path / 'P1.nii', stored_as(TRUTH))
    nib.save(nib.Nifti1Pair(stored_as(TRUTH), RIGHT), tmp_path / 'P2.img')
    np.savez(tmp_path / 'P3.npz', a=TRUTH)
    (tmp_path / 'ages.csv').write_text('subject,age\nP1,30\nP2,40\nP3,50\n')
    cohort(tmp_path, size=40)
    left = {
        r['example']: r for r in read_json(tmp_path.with_name('out') / 'card.json')['excluded']
    }
    assert 'NIfTI' in left['P2.img']['detail'] and left['P2.img']['images'] == 2
    (tmp_path / 'P1.nii').unlink()
    (tmp_path / 'P2.img').unlink()
    with pytest.raises(InputError, match='P3.npz: save each array as a .npy file'):
        read(tmp_path)


# NumPy arrays

ARRAYS = {  # name -> array, its truth
    'slices first': (TRUTH, TRUTH),
    'fortran': (np.asfortranarray(TRUTH), TRUTH),
    'big-endian': (TRUTH.astype('>i2'), TRUTH),
    'float16': ((TRUTH // 8).astype(np.float16), TRUTH // 8),
    'int64': (TRUTH.astype(np.int64), TRUTH),
    'bool': (TRUTH > 0, TRUTH > 0),
    'one slice': (TRUTH[:1], TRUTH[0]),
    'channel axis': (TRUTH[:, None], TRUTH),
    'last axis of 1': (TRUTH[..., None], TRUTH),
    'picture': (TRUTH[0], TRUTH[0]),
    'picture with last axis of 1': (TRUTH[0, ..., None], TRUTH[0]),
    'grey saved as colour': (np.stack([BYTE] * 3, -1), BYTE),
    'many slices': (volume(90, 24, 24), volume(90, 24, 24)),
}


@pytest.mark.parametrize('case', ARRAYS)
def test_arrays_are_read(tmp_path, case):
    a, truth = ARRAYS[case]
    np.save(tmp_path / 'P1.npy', a)
    assert same(tmp_path, truth) == []


SQUARE = volume(10, 64, 64)

QUESTIONS = {  # name -> array, the axis of its slices
    'slices last': (TRUTH.transpose(1, 2, 0), 2),
    'square, slices last': (SQUARE.transpose(1, 2, 0), 2),
    'slices in the middle': (SQUARE.transpose(1, 0, 2), 1),
    'cube': (volume(24, 24, 24), 0),
    'nearly a cube': (volume(28, 32, 24), 0),
    'long': (volume(192, 64, 10), 0),
}


@pytest.mark.parametrize('case', QUESTIONS)
def test_arrays_are_a_question(tmp_path, case):
    a, axis = QUESTIONS[case]
    np.save(tmp_path / 'P1.npy', a)
    said = reason(tmp_path)
    assert 'which axis counts slices?' in said and str(a.shape) in said and 'slice_axis' in said
    for name in (str(axis), ('first', 'middle', 'last')[axis]):
        same(tmp_path, np.moveaxis(a, axis, 0), slice_axis=name)


NO_ARRAYS = {  # name -> array, words of the reason
    'objects': (np.array([{}]), 'pickled objects'),
    'structured': (np.zeros((6, 40, 32), [('a', 'f4')]), 'not a grey picture'),
    'complex': (TRUTH.astype(complex), 'values of type complex128'),
    'text': (np.full((40, 40), 'a'), 'values of type <U1'),
    'one axis': (TRUTH.ravel(), 'not a picture'),
    'four axes': (np.stack([TRUTH] * 2), 'several volumes'),
    'colour': (np.stack([BYTE, BYTE, BYTE // 2], -1), 'colour channels differ'),
    'three slices last': (
        volume(3, 40, 40).transpose(1, 2, 0),
        'say slice_axis last if these are slices',
    ),
}


@pytest.mark.parametrize('case', NO_ARRAYS)
def test_arrays_are_refused(tmp_path, case):
    a, why = NO_ARRAYS[case]
    np.save(tmp_path / 'P1.npy', a, allow_pickle=True)
    assert why in reason(tmp_path)


def test_unknown_axis(tmp_path):
    np.save(tmp_path / 'P1.npy', TRUTH)
    with pytest.raises(InputError, match="slice_axis 'fourth'"):
        read(tmp_path, slice_axis='fourth')


def test_channels_first_are_doubted(tmp_path):
    np.save(tmp_path / 'P1.npy', volume(3, 64, 64))
    assert any('first axis is 3 or 4' in note for note in same(tmp_path, volume(3, 64, 64)))


# TIFF


def tiff(path, a, **kw):
    tifffile.imwrite(path, a, **kw)


def axes(letters, **kw):
    return kw | dict(metadata=dict(axes=letters))


PLAIN = dict(photometric='minisblack')

STACKS = {
    'tifffile': PLAIN,
    'no metadata': PLAIN | dict(metadata=None),
    'ImageJ': axes('ZYX', imagej=True),
    'OME': axes('ZYX', ome=True),
    'big-endian': PLAIN | dict(byteorder='>'),
    'BigTIFF': PLAIN | dict(bigtiff=True),
    'tiled': PLAIN | dict(tile=(16, 16)),
    'one strip a row': PLAIN | dict(rowsperstrip=1),
}


@pytest.mark.parametrize('case', STACKS)
@pytest.mark.parametrize('dtype', (np.int16, np.float32, np.uint8))
def test_stacks(tmp_path, case, dtype):
    if case == 'ImageJ' and dtype is np.int16:
        pytest.skip('ImageJ has no signed type')
    x = (TRUTH // 16 + 64).astype(dtype) if dtype is np.uint8 else (TRUTH // 8).astype(dtype)
    tiff(tmp_path / 'P1.tif', x, **STACKS[case])
    assert same(tmp_path, x) == []


def test_stack_of_another_program(tmp_path):
    pages = [Image.fromarray(x) for x in (TRUTH // 8 + 130).astype(np.uint8)]
    pages[0].save(tmp_path / 'P1.tif', save_all=True, append_images=pages[1:])
    assert same(tmp_path, (TRUTH // 8 + 130).astype(np.uint8)) == []


SHORT = np.stack([BYTE, 255 - BYTE, BYTE // 3])
NOT_SLICES = {  # name -> array, how it is written, words of the reason
    'ImageJ composite': (SHORT, axes('CYX', imagej=True), '3 channels of one slice'),
    'ImageJ times': (SHORT, axes('TYX', imagej=True), '3 times of one slice'),
    'ImageJ without axes': (np.stack([BYTE] * 5), dict(imagej=True), '5 channels'),
    'OME channels': (SHORT, axes('CYX', ome=True), '3 channels'),
    'OME times': (SHORT, axes('TYX', ome=True), '3 times'),
    'hyperstack': (
        np.stack([SHORT] * 2),
        axes('ZCYX', imagej=True),
        '2 slices and 3 channels of a volume',
    ),
    'times of volumes': (np.stack([SHORT] * 2), axes('TZYX', ome=True), '2 times and 3 slices'),
    'two unnamed axes': (np.stack([SHORT] * 5), PLAIN, '5 pages and 3 pages'),
    'named by tifffile': (np.stack([BYTE] * 5), axes('CYX', **PLAIN), '5 channels'),
}


@pytest.mark.parametrize('case', NOT_SLICES)
def test_channels_and_times_are_no_slices(tmp_path, case):
    a, kw, words = NOT_SLICES[case]
    tiff(tmp_path / 'P1.tif', a, **kw)
    said = reason(tmp_path)
    assert 'pages are not slices' in said and words in said and 'axes' in said
    if a.ndim == 3:
        same(tmp_path, a, slice_axis='first')
    with pytest.raises(InputError, match='pages are not slices'):
        read_image(tmp_path / 'P1.tif')


RGB, PLANES = dict(photometric='rgb'), dict(photometric='rgb', planarconfig='separate')
PALETTE = dict(photometric='palette', colormap=np.zeros((3, 256), np.uint16))

COLOURS = {  # name -> array, how it is written, words of the reason or '' where it is grey
    'equal': (np.stack([BYTE] * 3, -1), RGB, ''),
    'equal planes': (np.stack([BYTE] * 3), PLANES, ''),
    'coloured': (np.stack(SHORT, -1), RGB, 'colour channels differ'),
    'coloured planes': (SHORT, PLANES, 'colour channels differ'),
    'inverted': (BYTE, dict(photometric='miniswhite'), 'miniswhite'),
    'palette': (BYTE, PALETTE, 'palette'),
}


@pytest.mark.parametrize('case', COLOURS)
def test_colours_of_tiff(tmp_path, case):
    a, kw, why = COLOURS[case]
    tiff(tmp_path / 'P1.tif', a, **kw)
    if why:
        assert why in reason(tmp_path)
    else:
        same(tmp_path, BYTE)


LARGE, HALF = volume(5, 64, 64), volume(5, 32, 32)


def test_small_copies_inside(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'P1.tif') as t:
        for page, copy in zip(LARGE, HALF):
            t.write(page, subifds=1, metadata=None)
            t.write(copy, subfiletype=1, metadata=None)
    assert same(tmp_path, LARGE) == []


def test_small_copies_beside(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'P1.tif') as t:
        for page in LARGE:
            t.write(page, metadata=None)
        for copy in HALF:
            t.write(copy, subfiletype=1, metadata=None)
    assert same(tmp_path, LARGE) == []


def test_pages_of_another_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'P1.tif') as t:
        for page in LARGE:
            t.write(page, metadata=None)
        t.write(HALF[0], metadata=None)
    assert 'pages of several sizes' in reason(tmp_path)


def test_two_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'P1.tif', ome=True) as t:
        for a in (LARGE, LARGE[:, :48]):
            t.write(a, **axes('ZYX', **PLAIN))
    assert 'pages of several sizes' in reason(tmp_path)


def test_few_pages_that_tifffile_calls_colours(tmp_path):
    tiff(tmp_path / 'P1.tif', SHORT, **PLANES)
    assert 'say slice_axis first if its planes are slices' in reason(tmp_path)
    same(tmp_path, SHORT, slice_axis='first')


def test_pages_cut_the_other_way(tmp_path):
    tiff(tmp_path / 'P1.tif', np.ascontiguousarray(SQUARE.transpose(1, 2, 0)), **PLAIN)
    assert 'which axis counts slices?: 64 pages of 64 x 10' in reason(tmp_path)
    same(tmp_path, SQUARE, slice_axis='last')


# Orientation


def as_stored(a, orientation):
    "The picture as it must be stored so that a viewer that obeys the tag shows `a`"
    flips = [
        (slice(None, None, i), slice(None, None, j))
        for i, j in itertools.product((1, -1), repeat=2)
    ]
    for stored in (*(a[f] for f in flips), *(a.T[f] for f in flips)):
        im = Image.fromarray(np.ascontiguousarray(stored))
        im.getexif()[274] = orientation
        shown = np.asarray(ImageOps.exif_transpose(im))
        if shown.shape == a.shape and (shown == a).all():
            return np.ascontiguousarray(stored)


def tag(orientation):
    return 274, 'H', 1, orientation, True


def save_turned(path, a, orientation):
    stored, said = as_stored(a, orientation), Image.Exif()
    said[274] = orientation
    quality = dict(quality=100) if path.suffix == '.jpg' else {}
    if path.suffix == '.tif':
        tiff(path, stored, extratags=[tag(orientation)])
    else:
        Image.fromarray(stored).save(path, exif=said, **quality)


SMOOTH = np.add.outer(np.arange(40) * 3, np.arange(32) * 2).astype(
    np.uint8
)  # a JPEG of it is nearly the same


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize(
    'ending,a', [('png', BYTE), ('png', ONE), ('tif', BYTE), ('tif', ONE), ('jpg', SMOOTH)]
)
def test_tags_of_orientation(tmp_path, ending, a, orientation):
    file, near = tmp_path / f'P1.{ending}', 4 if ending == 'jpg' else 0
    save_turned(file, a, orientation)
    seen = [read(tmp_path)[0].images[0], read_image(file)]
    if ending == 'jpg':
        seen.append(read_jpeg(file))
    for x in seen:
        assert x.shape == a.shape
        assert abs(x.astype(int) - a).max() <= near


def test_compressed_tiff_is_turned_once(tmp_path):
    stored = as_stored(BYTE, 6)
    Image.fromarray(stored).save(tmp_path / 'P1.tif', compression='tiff_lzw', tiffinfo={274: 6})
    same(tmp_path, BYTE)


def test_stack_is_turned(tmp_path):
    stored = np.stack([as_stored(x, 6) for x in TRUTH])
    tiff(tmp_path / 'P1.tif', stored, **PLAIN, extratags=[tag(6)])
    same(tmp_path, TRUTH)


def test_metadata_stays_behind(tmp_path):
    said = Image.Exif()
    said[0x010E], said[0x013B], said[274] = 'Mustermann Max', 'Dr. Mustermann', 6
    for ending in ('jpg', 'png'):
        Image.fromarray(BYTE).save(tmp_path / f'P1_{ending}.{ending}', exif=said)
    (tmp_path / 'ages.csv').write_text('subject,age\nP1,30\n')
    files = [f for f in cohort(tmp_path, size=40, subject='(P1)').rglob('*') if f.is_file()]
    assert len(files) >= 5
    assert not any(b'Mustermann' in f.read_bytes() for f in files)


# Pictures


def png(path, depth, rows, clear):
    "A grey PNG written by hand: bytes of each row, and the value that means a transparent pixel"

    def chunk(kind, b):
        return struct.pack('>I', len(b)) + kind + b + struct.pack('>I', zlib.crc32(kind + b))

    width = len(rows[0]) * 8 // depth
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, len(rows), depth, 0, 0, 0, 0))
    pixels = chunk(b'IDAT', zlib.compress(b''.join(b'\0' + bytes(r) for r in rows)))
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n' + head + chunk(b'tRNS', clear) + pixels + chunk(b'IEND', b'')
    )


RAMP = Image.fromarray(BYTE)


def alpha(value):
    return Image.merge('LA', [RAMP, Image.new('L', RAMP.size, value)])


PICTURES = {  # name -> ending, picture, its truth or words of the reason
    '16 bit': ('png', Image.fromarray(ONE), ONE),
    'palette': ('png', RAMP.convert('P'), BYTE),
    'opaque': ('png', alpha(255), BYTE),
    'transparent': ('png', alpha(100), 'transparent'),
    '1 bit': ('png', Image.fromarray(BYTE > 100), BYTE > 100),
    'equal colours': ('png', Image.merge('RGB', [RAMP] * 3), BYTE),
    'colours': (
        'png',
        Image.merge('RGB', [RAMP, RAMP, RAMP.transpose(0)]),
        'colour channels differ',
    ),
    'CMYK': ('jpg', Image.merge('CMYK', [RAMP] * 4), 'its colours are CMYK'),
}


@pytest.mark.parametrize('case', PICTURES)
def test_pictures(tmp_path, case):
    ending, im, truth = PICTURES[case]
    im.save(tmp_path / f'P1.{ending}')
    if isinstance(truth, str):
        assert truth in reason(tmp_path)
    else:
        same(tmp_path, truth)


def test_frames_are_not_one_picture(tmp_path):
    frames = [Image.fromarray(np.roll(BYTE, k, 0)) for k in range(3)]
    frames[0].save(tmp_path / 'P1.png', save_all=True, append_images=frames[1:])
    assert 'several frames in one file: it has 3 frames' in reason(tmp_path)
    with pytest.raises(InputError, match='3 frames'):
        read_image(tmp_path / 'P1.png')


@pytest.mark.parametrize('depth', (8, 16))
def test_transparent_values(tmp_path, depth):
    rows = [[0, 5] * 20 for _ in range(40)]
    png(tmp_path / 'P1.png', depth, rows, b'\0\5')
    assert 'transparent' in reason(tmp_path)
    png(tmp_path / 'P1.png', depth, rows[:20] + [[0, 6] * 20] * 20, b'\0\7')
    assert read_image(tmp_path / 'P1.png').max() == 6


# Cohorts written by hand, and scans


def by_hand(folder, name, rows=range(6)):
    lines = ''.join(f'P1,30,{name},{k}\n' for k in rows)
    (folder / 'cohort.csv').write_text('subject,label,path,slice\n' + lines)
    about = dict(modality='CT', unit='HU', label_name='age', label_unit='years')
    return Cohort.load(folder, **about)


def test_cohort_by_hand_without_orientation(tmp_path):
    nifti(tmp_path / 'a.nii', stored_as(TRUTH), sform=None, pixdim=(1.5, 2, 5))
    c = by_hand(tmp_path, 'a.nii')
    np.testing.assert_array_equal(c.images[:], TRUTH[::-1].astype(np.float32))
    assert any('No orientation in the header' in w and '1 of 1 files' in w for w in c.warnings)


def test_cohort_by_hand_that_contradicts_itself(tmp_path):
    nifti(tmp_path / 'a.nii', stored_as(TRUTH), qform=(MIRRORED, 1))
    with pytest.raises(InputError, match='line 2: .*contradictory geometry'):
        by_hand(tmp_path, 'a.nii')


def test_cohort_by_hand_scaled(tmp_path):
    nifti(
        tmp_path / 'a.nii',
        stored_as(TRUTH - TRUTH.min()).astype(np.uint16),
        slope=(1, int(TRUTH.min())),
    )
    np.testing.assert_array_equal(
        by_hand(tmp_path, 'a.nii').images[:], TRUTH[::-1].astype(np.float32)
    )


def test_cohort_by_hand_of_arrays(tmp_path):
    np.save(tmp_path / 'a.npy', TRUTH)
    np.save(tmp_path / 'b.npy', SQUARE.transpose(1, 2, 0))
    assert by_hand(tmp_path, 'a.npy').warnings == []
    assert any('64 slices of 64 x 10 pixels' in w for w in by_hand(tmp_path, 'b.npy').warnings)


def test_scans_need_an_orientation(tmp_path):
    x = volume(20, 40, 40)
    nifti(tmp_path / 'none.nii', stored_as(x), sform=None, pixdim=(2, 2, 5))
    nifti(tmp_path / 'both.nii', stored_as(x), qform=(MIRRORED, 1))
    for name, why in (('none', 'no orientation'), ('both', 'contradictory geometry')):
        with pytest.raises(InputError, match=why):
            read_head(tmp_path / f'{name}.nii')


# Whole calls


def three(folder, write, ending):
    "Three subjects, each with one file that `write(path, k)` makes"
    folder.mkdir()
    for k in range(3):
        write(folder / f'P{k}{ending}', k)
    (folder / 'ages.csv').write_text('subject,age\nP0,30\nP1,40\nP2,50\n')
    return folder


def test_notes_stand_on_the_card(tmp_path):
    def write(path, k):
        nifti(path, stored_as(TRUTH + k), sform=None if k else (RIGHT, 1), pixdim=(1.5, 2, 5))

    raw = three(tmp_path / 'raw', write, '.nii')
    out = cohort(raw, spacing=1.5)
    warns = read_json(out / 'card.json')['warnings']
    assert any('No orientation' in w and '(2 of 3 pieces, first P1.nii)' in w for w in warns), (
        warns
    )
    assert 'No orientation' in (out / 'card.html').read_text()


def test_questions_stop_only_where_nothing_is_left(tmp_path):
    def write(path, k):
        np.save(path, SQUARE + k if k else volume(24, 24, 24))

    raw = three(tmp_path / 'raw', write, '.npy')
    out = cohort(raw)
    assert len(Cohort.load(out)) == 20
    assert read_json(out / 'card.json')['excluded'][0]['reason'] == 'which axis counts slices?'
    for f in raw.glob('P[12].npy'):
        np.save(f, SQUARE.transpose(1, 2, 0))
    with pytest.raises(
        InputError, match=r'which axis counts slices\?.*\(24, 24, 24\).*slice_axis'
    ):
        cohort(raw)
    assert len(Cohort.load(out)) == 20  # what was there stays
