"""One truth in every format that is read: equal pixels come out, or the reason why not."""
import gzip, struct, zlib
import nibabel as nib, numpy as np, pytest, tifffile
from PIL import Image, ImageOps
from duiit.cohort import Cohort, read_image
from duiit.core import InputError, read_json
from duiit.downloads import RECIPES, read_jpeg
from duiit.ingest import _read_piece, ingest
from duiit.scans import read_head

FOLDER = RECIPES['folder']
SPACING = (5., 2., 1.5) # mm between slices, rows and columns

def volume(n=6, h=40, w=32):
    "Pictures (n, H, W) in HU from the top down, without any symmetry"
    rng = np.random.default_rng(0)
    return (rng.integers(-1000, 1500, (n, h, w))).astype(np.int16)

TRUTH = volume()
ONE = (TRUTH[0]-TRUTH[0].min()).astype(np.uint16) # one picture without negative values
BYTE = (ONE//16).astype(np.uint8)

def read(folder, **options):
    "Pixels, record and slice numbers of the one piece below a folder"
    (folder/'ages.csv').write_text('subject,age\nP1,30\n')
    given = {k:v for k,(v,_) in FOLDER.options.items()}|dict(modality='CT')|options
    pieces,left,_ = FOLDER.find(folder, **given)
    images,record = _read_piece_whole(pieces[0], folder)
    return images,record

def _read_piece_whole(piece, folder):
    "Pixels as the reader gives them, and the record"
    try: got = FOLDER.read(piece)
    except Exception: got = [] # the record says what came of it
    _,record = _read_piece(FOLDER, piece, folder, 64, 1.)
    return (got[0] if got and len(got[0].numbers) else None),record

def same(folder, truth, **options):
    "The notes of a file whose pixels are the truth's"
    got,record = read(folder, **options)
    assert got is not None, record['left']
    images = got.images[0] if truth.ndim==2 else got.images
    np.testing.assert_array_equal(images.astype(np.float64), truth.astype(np.float64))
    return record['notes']

def reason(folder, **options):
    "Why a file is left out: the reason and its detail"
    got,record = read(folder, **options)
    assert got is None and not record['numbers'], 'it was read'
    return f"{record['left'][0]['reason']}: {record['left'][0]['detail']}"

# NIfTI

RIGHT = np.diag([SPACING[2], SPACING[1], SPACING[0], 1.])
MIRRORED = np.diag([-SPACING[2], SPACING[1], SPACING[0], 1.])

def stored_as(a): return np.ascontiguousarray(a[::-1,::-1,::-1].transpose(2, 1, 0)) # axes to the right, to the front, up

def rotated(degrees, A=RIGHT):
    turn = nib.eulerangles.euler2mat(z=np.radians(degrees))
    return nib.affines.from_matvec(turn)@A

def sheared(degrees):
    A = RIGHT.copy()
    A[1,2] = np.tan(np.radians(degrees))*SPACING[0]
    return A

def nifti(path, values, sform=(RIGHT, 1), qform=None, kind=nib.Nifti1Image, order='<', slope=None, **fields):
    "A NIfTI file whose header says what it is told to, right or wrong"
    im = kind(values, RIGHT, dtype=values.dtype)
    header = im.header.as_byteswapped(order)
    header.set_qform(*(qform or (None, 0)))
    header.set_sform(*(sform or (None, 0)))
    header['vox_offset'] = header.sizeof_hdr+4
    header['magic'] = b'n+1' if kind is nib.Nifti1Image else b'n+2'
    if slope is not None: header['scl_slope'],header['scl_inter'] = slope
    for key,value in fields.items():
        if key=='pixdim': header['pixdim'][1:4] = value
        else: header[key] = value
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes(order='F')
    whole = header.binaryblock+b'\0'*4+pixels
    path.write_bytes(gzip.compress(whole) if path.suffix=='.gz' else whole)

USED = { # what the header says -> words of the notes
    'sform alone': (dict(), ()),
    'qform alone': (dict(sform=None, qform=(RIGHT, 1)), ()),
    'both alike': (dict(qform=(RIGHT, 1)), ()),
    'template space': (dict(sform=(RIGHT, 4), qform=(RIGHT, 1)), ()),
    'a little turned': (dict(qform=(rotated(3), 1)), ('turned by 1 to 5 degrees',)),
    'another origin': (dict(qform=(nib.affines.from_matvec(np.eye(3), [9, -7, 3])@RIGHT, 1)), ()),
    'no form': (dict(sform=None, pixdim=SPACING[::-1]), ('No orientation',)),
    'no form, no spacing': (dict(sform=None, pixdim=(1, 1, 1)), ('No orientation','No spacing')),
    'no form, pixdim 0': (dict(sform=None, pixdim=(0, 0, 0)), ('No orientation','No spacing')),
    'identity': (dict(sform=(np.eye(4), 2), pixdim=(1, 1, 1)), ('identity',)),
    'identity as qform': (dict(sform=None, qform=(np.eye(4), 1), pixdim=(1, 1, 1)), ('identity',)),
    'pixdim 0 beside an sform': (dict(pixdim=(0, 0, 0)), ()),
    'pixdim NaN beside an sform': (dict(pixdim=(np.nan,)*3), ()),
    'pixdim within a percent': (dict(pixdim=np.array(SPACING[::-1])*1.004), ()),
    'metres': (dict(sform=(np.diag([.0015, .002, .005, 1]), 1), pixdim=(.0015, .002, .005), xyzt_units=1), ()),
    'microns': (dict(sform=(np.diag([1500, 2000, 5000, 1]), 1), pixdim=(1500, 2000, 5000), xyzt_units=3), ()),
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
    fields,words = USED[case]
    nifti(tmp_path/'P1.nii', stored_as(TRUTH), **fields)
    notes = same(tmp_path, TRUTH)
    assert len(notes)==len(words) and all(any(w in note for note in notes) for w in words), notes
    spaced = not {'No spacing','identity'} & set(words)
    got,_ = read(tmp_path)
    assert got.mm==(pytest.approx(SPACING[1:], rel=.01) if spaced else None)

REFUSED = { # what the header says -> words of the reason
    'sform identity beside pixdim': (dict(sform=(np.eye(4), 2), pixdim=(3, 3, 5)), ('contradictory geometry','pixdim says 3 x 3 x 5 mm, the sform 1 x 1 x 1 mm')),
    'pixdim identity beside sform': (dict(pixdim=(1, 1, 1)), ('contradictory geometry','pixdim says 1 x 1 x 1 mm, the sform 1.5 x 2 x 5 mm')),
    'one direction of pixdim': (dict(pixdim=(1.5, 2, 4)), ('contradictory geometry','1.5 x 2 x 4')),
    'qform of other size': (dict(qform=(RIGHT*2, 1)), ('contradictory geometry','pixdim says 3 x 4 x 10 mm')),
    'mirrored forms': (dict(qform=(MIRRORED, 1)), ('contradictory geometry','RAS by the sform and to LAS by the qform')),
    'turned forms': (dict(qform=(rotated(12), 1)), ('contradictory geometry','12 degrees apart')),
    'upside down forms': (dict(qform=(np.diag([-1.5, -2., 5, 1])@np.eye(4), 1)), ('contradictory geometry','LPS by the qform')),
    'oblique': (dict(sform=(rotated(30), 1)), ('oblique','30 degrees')),
    'gantry': (dict(sform=(sheared(12), 1)), ('sheared','12 degrees away from right angles')),
    'singular sform': (dict(sform=(np.diag([0, 2, 5, 1.]), 1)), ('damaged geometry','singular')),
    'NaN sform': (dict(sform=(np.full((4, 4), np.nan), 1)), ('damaged geometry',)),
    'negative pixdim': (dict(sform=None, pixdim=(-1.5, 2, 5)), ('damaged geometry','above 0')),
    'qform without pixdim': (dict(sform=None, qform=(RIGHT, 1), pixdim=(0, 0, 0)), ('damaged geometry','beside a qform')),
    'spacing of a metre': (dict(sform=(RIGHT, 1), xyzt_units=1), ('implausible spacing','2000 x 1500 mm')),
}

@pytest.mark.parametrize('case', REFUSED)
def test_nifti_is_refused(tmp_path, case):
    fields,words = REFUSED[case]
    nifti(tmp_path/'P1.nii', stored_as(TRUTH), **fields)
    if case=='spacing of a metre': _,record = read(tmp_path); said = str(record['left'])
    else: said = reason(tmp_path)
    for w in words: assert w in said, said

@pytest.mark.parametrize('codes', ('RAS','LPS','LAS','RPI','SAR','PIR'))
def test_nifti_of_any_order(tmp_path, codes):
    im = nib.Nifti1Image(stored_as(TRUTH), RIGHT)
    turn = nib.orientations.ornt_transform(nib.io_orientation(im.affine), nib.orientations.axcodes2ornt(codes))
    nib.save(im.as_reoriented(turn), tmp_path/'P1.nii.gz')
    assert same(tmp_path, TRUTH)==[]

@pytest.mark.parametrize('dtype,slope,shift', [(np.int16, 2, -1024), (np.int16, 1, 30000), (np.int16, 40000, 100), (np.uint8, 1, -1000), (np.uint16, 1, -1024), (np.uint16, 100, 7),
    (np.int32, 3, 5), (np.uint32, 1, -1024), (np.int64, 1, -1024), (np.uint64, 1, -1024), (np.float32, 1, 0), (np.float64, 1, 0), (np.float32, 2, -1024), (np.int8, 300, 1), (np.int16, .5, 3), (np.uint16, .25, -1024)])
def test_nifti_values(tmp_path, dtype, slope, shift):
    small = np.iinfo(dtype).max if np.dtype(dtype).kind in 'iu' else 2**20
    low = max(np.iinfo(dtype).min, -900) if np.dtype(dtype).kind in 'iu' else -900
    x = np.random.default_rng(1).integers(low, min(small, 2**31-1), TRUTH.shape).astype(dtype)
    nifti(tmp_path/'P1.nii', stored_as(x), slope=(slope, shift))
    want = x.astype(np.float64)*np.float64(np.float32(slope))+shift
    got,_ = read(tmp_path)
    np.testing.assert_allclose(got.images.astype(np.float64), want, rtol=1e-6, atol=1e-3)

def test_nifti_large_offset(tmp_path):
    x = (TRUTH.astype(np.int64)+2**33).astype(np.uint64)
    nifti(tmp_path/'P1.nii', stored_as(x), kind=nib.Nifti2Image, slope=(1, -2**33))
    same(tmp_path, TRUTH)

def test_nifti_is_compressed_or_not(tmp_path):
    nifti(tmp_path/'a.nii.gz', stored_as(TRUTH))
    packed = (tmp_path/'a.nii.gz').read_bytes()
    for name,bytes_ in (('P1.nii', packed), ('P1.nii.gz', gzip.decompress(packed))):
        box = tmp_path/name.replace('.', '_')
        box.mkdir()
        (box/name).write_bytes(bytes_)
        assert same(box, TRUTH)==[]

def test_nifti_shapes(tmp_path):
    a = stored_as(TRUTH)
    for name,values,truth in (('one', a[...,None], TRUTH), ('deep', a[...,None,None], TRUTH), ('flat', a[:,:,-1], TRUTH[0]), ('single', a[:,:,-1:], TRUTH[0])):
        (tmp_path/name).mkdir()
        nifti(tmp_path/name/'P1.nii', values)
        assert same(tmp_path/name, truth)==[], name
    rgb = np.zeros(a.shape, [('R','u1'), ('G','u1'), ('B','u1')])
    for name,values,why in (('times', np.stack([a]*3, -1), 'several volumes'), ('deep2', a[...,None,None]+np.zeros((1, 1, 1, 1, 2), np.int16), 'several volumes'), ('complex', a.astype(np.complex64), 'complex'), ('rgb', rgb, 'not a grey volume')):
        (tmp_path/name).mkdir()
        nifti(tmp_path/name/'P1.nii', values)
        assert why in reason(tmp_path/name), name

def test_nifti_without_orientation_of_another_axis(tmp_path):
    nifti(tmp_path/'P1.nii', TRUTH[:,:32], sform=None, pixdim=(5, 2, 2))
    said = reason(tmp_path)
    assert 'which axis counts slices?' in said and '(6, 32, 32)' in said

def test_headers_that_are_no_nifti(tmp_path):
    for name,magic,why in (('analyze', b'\0\0\0\0', 'Analyze header'), ('pair', b'ni1\0', 'pixels in another file'), ('odd', b'xyz\0', 'damaged file')):
        (tmp_path/name).mkdir()
        nifti(tmp_path/name/'P1.nii', stored_as(TRUTH))
        whole = bytearray((tmp_path/name/'P1.nii').read_bytes())
        whole[344:348] = magic
        (tmp_path/name/'P1.nii').write_bytes(whole)
        assert reason(tmp_path/name).startswith(why)

def test_formats_that_are_not_read_are_named(tmp_path):
    nifti(tmp_path/'P1.nii', stored_as(TRUTH))
    nib.save(nib.Nifti1Pair(stored_as(TRUTH), RIGHT), tmp_path/'P2.img')
    np.savez(tmp_path/'P3.npz', a=TRUTH)
    (tmp_path/'ages.csv').write_text('subject,age\nP1,30\nP2,40\nP3,50\n')
    ingest(FOLDER, tmp_path, tmp_path.with_name('out'), size=40, jobs=1, progress=False, modality='CT')
    left = {r['example']:r for r in read_json(tmp_path.with_name('out')/'card.json')['excluded']}
    assert 'NIfTI' in left['P2.img']['detail'] and left['P2.img']['images']==2
    (tmp_path/'P1.nii').unlink()
    (tmp_path/'P2.img').unlink()
    with pytest.raises(InputError, match='P3.npz: save each array as a .npy file'): read(tmp_path)

# NumPy arrays

ARRAYS = { # name -> array, its truth
    'slices first': (TRUTH, TRUTH), 'fortran': (np.asfortranarray(TRUTH), TRUTH), 'big-endian': (TRUTH.astype('>i2'), TRUTH), 'float16': ((TRUTH//8).astype(np.float16), TRUTH//8),
    'int64': (TRUTH.astype(np.int64), TRUTH), 'bool': (TRUTH>0, TRUTH>0), 'one slice': (TRUTH[:1], TRUTH[0]), 'channel axis': (TRUTH[:,None], TRUTH), 'last axis of 1': (TRUTH[...,None], TRUTH),
    'picture with last axis of 1': (TRUTH[0,...,None], TRUTH[0]), 'picture': (TRUTH[0], TRUTH[0]), 'grey saved as colour': (np.stack([BYTE]*3, -1), BYTE), 'many slices': (volume(90, 24, 24), volume(90, 24, 24))}

@pytest.mark.parametrize('case', ARRAYS)
def test_arrays_are_read(tmp_path, case):
    a,truth = ARRAYS[case]
    np.save(tmp_path/'P1.npy', a)
    assert same(tmp_path, truth)==[]

QUESTIONS = {'slices last': (TRUTH.transpose(1, 2, 0), 2), 'equal sides, slices last': (volume(10, 64, 64).transpose(1, 2, 0), 2), 'slices in the middle': (volume(10, 64, 64).transpose(1, 0, 2), 1),
    'cube': (volume(24, 24, 24), 0), 'nearly a cube': (volume(28, 32, 24), 0), 'long': (volume(192, 64, 10), 0)}

@pytest.mark.parametrize('case', QUESTIONS)
def test_arrays_are_a_question(tmp_path, case):
    a,axis = QUESTIONS[case]
    np.save(tmp_path/'P1.npy', a)
    said = reason(tmp_path)
    assert 'which axis counts slices?' in said and str(a.shape) in said and 'slice_axis' in said
    for name in (str(axis), ('first','middle','last')[axis]): same(tmp_path, np.moveaxis(a, axis, 0), slice_axis=name)

def test_arrays_are_refused(tmp_path):
    for name,a,why in (('object', np.array([{}]), 'pickled objects'), ('struct', np.zeros((6, 40, 32), [('a','f4')]), 'not a grey picture'), ('complex', TRUTH.astype(complex), 'complex'), ('line', TRUTH.ravel(), 'not a picture'),
                       ('4-D', np.stack([TRUTH]*2), 'several volumes'), ('colour', np.stack([BYTE, BYTE, BYTE//2], -1), 'colour channels differ'), ('text', np.array([['a']*40]*40), 'values of type <U1')):
        (tmp_path/name).mkdir()
        np.save(tmp_path/name/'P1.npy', a, allow_pickle=True)
        assert why in reason(tmp_path/name), name
    with pytest.raises(InputError, match="slice_axis 'fourth'"): read(tmp_path/'line', slice_axis='fourth')

def test_channels_first_are_doubted(tmp_path):
    np.save(tmp_path/'P1.npy', volume(3, 64, 64))
    assert any('first axis is 3 or 4' in note for note in same(tmp_path, volume(3, 64, 64)))

# TIFF

def tiff(path, a, **kw): tifffile.imwrite(path, a, **kw)

PLAIN = dict(photometric='minisblack')
STACKS = {'tifffile': PLAIN, 'no metadata': PLAIN|dict(metadata=None), 'ImageJ': dict(imagej=True, metadata=dict(axes='ZYX')), 'OME': dict(ome=True, metadata=dict(axes='ZYX')), 'big-endian': PLAIN|dict(byteorder='>'),
    'BigTIFF': PLAIN|dict(bigtiff=True), 'tiled': PLAIN|dict(tile=(16, 16)), 'one strip a row': PLAIN|dict(rowsperstrip=1)}

@pytest.mark.parametrize('case', STACKS)
@pytest.mark.parametrize('dtype', (np.int16, np.float32, np.uint8))
def test_stacks(tmp_path, case, dtype):
    if case=='ImageJ' and dtype is np.int16: pytest.skip('ImageJ has no signed type')
    x = (TRUTH//8+(125 if dtype is np.uint8 else 0)).clip(0 if dtype is np.uint8 else -200).astype(dtype)
    tiff(tmp_path/'P1.tif', x, **STACKS[case])
    assert same(tmp_path, x)==[]

def test_stack_of_another_program(tmp_path):
    pages = [Image.fromarray(x) for x in (TRUTH//8+130).astype(np.uint8)]
    pages[0].save(tmp_path/'P1.tif', save_all=True, append_images=pages[1:])
    assert same(tmp_path, (TRUTH//8+130).astype(np.uint8))==[]

SHORT = np.stack([BYTE, 255-BYTE, BYTE//3])
NOT_SLICES = {'ImageJ composite': (SHORT, dict(imagej=True, metadata=dict(axes='CYX', mode='composite')), '3 channels of one slice'), 'OME channels': (SHORT, dict(ome=True, metadata=dict(axes='CYX')), '3 channels'),
    'ImageJ times': (SHORT, dict(imagej=True, metadata=dict(axes='TYX')), '3 times'), 'OME times': (SHORT, dict(ome=True, metadata=dict(axes='TYX')), '3 times'),
    'hyperstack': (np.stack([SHORT]*2), dict(imagej=True, metadata=dict(axes='ZCYX')), '2 slices and 3 channels of a volume'), 'times of volumes': (np.stack([SHORT]*2), dict(ome=True, metadata=dict(axes='TZYX')), '2 times and 3 slices'),
    'named by tifffile': (np.stack([BYTE]*5), PLAIN|dict(metadata=dict(axes='CYX')), '5 channels')}

@pytest.mark.parametrize('case', NOT_SLICES)
def test_channels_and_times_are_no_slices(tmp_path, case):
    a,kw,words = NOT_SLICES[case]
    tiff(tmp_path/'P1.tif', a, **kw)
    said = reason(tmp_path)
    assert 'pages are not slices' in said and words in said and 'axes' in said
    if a.ndim==3: same(tmp_path, a, slice_axis='first')
    with pytest.raises(InputError, match='pages are not slices'): read_image(tmp_path/'P1.tif')

def test_colours_of_tiff(tmp_path):
    for name,a,kw,why in (('contiguous', np.stack([BYTE]*3, -1), dict(photometric='rgb'), ''), ('planes', np.stack([BYTE]*3), dict(photometric='rgb', planarconfig='separate'), ''), ('coloured', SHORT.transpose(1, 2, 0), dict(photometric='rgb'), 'colour channels differ'),
                          ('coloured planes', SHORT, dict(photometric='rgb', planarconfig='separate'), 'colour channels differ'), ('inverted', BYTE, dict(photometric='miniswhite'), 'miniswhite'), ('palette', BYTE, dict(photometric='palette', colormap=np.zeros((3, 256), np.uint16)), 'palette')):
        (tmp_path/name).mkdir()
        tiff(tmp_path/name/'P1.tif', np.ascontiguousarray(a), **kw)
        if why: assert why in reason(tmp_path/name), name
        else: same(tmp_path/name, BYTE)

def test_small_copies_are_no_slices(tmp_path):
    for name in ('inside', 'beside', 'another size', 'two series'): (tmp_path/name).mkdir()
    x,half = volume(5, 64, 64),volume(5, 32, 32)
    with tifffile.TiffWriter(tmp_path/'inside'/'P1.tif') as t:
        for page,copy in zip(x, half):
            t.write(page, subifds=1, metadata=None)
            t.write(copy, subfiletype=1, metadata=None)
    with tifffile.TiffWriter(tmp_path/'beside'/'P1.tif') as t:
        for page in x: t.write(page, metadata=None)
        for copy in half: t.write(copy, subfiletype=1, metadata=None)
    with tifffile.TiffWriter(tmp_path/'another size'/'P1.tif') as t:
        for page in x: t.write(page, metadata=None)
        t.write(half[0], metadata=None)
    assert same(tmp_path/'inside', x)==same(tmp_path/'beside', x)==[]
    assert 'pages of several sizes' in reason(tmp_path/'another size')
    with tifffile.TiffWriter(tmp_path/'two series'/'P1.tif', ome=True) as t:
        for a in (x, x[:,:48]): t.write(a, photometric='minisblack', metadata=dict(axes='ZYX'))
    assert 'pages of several sizes' in reason(tmp_path/'two series')

def test_pages_cut_the_other_way(tmp_path):
    x = volume(10, 64, 64)
    tiff(tmp_path/'P1.tif', np.ascontiguousarray(x.transpose(1, 2, 0)), **PLAIN)
    assert 'which axis counts slices?' in reason(tmp_path) and '64 pages of 64 x 10' in reason(tmp_path)
    same(tmp_path, x, slice_axis='last')

# Orientation

def as_stored(a, orientation):
    "The picture as it must be stored so that a viewer that obeys the tag shows `a`"
    for stored in (a, a[:,::-1], a[::-1], a[::-1,::-1], a.T, a.T[:,::-1], a.T[::-1], a.T[::-1,::-1]):
        im = Image.fromarray(np.ascontiguousarray(stored))
        im.getexif()[274] = orientation
        shown = np.asarray(ImageOps.exif_transpose(im))
        if shown.shape==a.shape and (shown==a).all(): return np.ascontiguousarray(stored)

def save_turned(path, a, orientation):
    stored,said = as_stored(a, orientation),Image.Exif()
    said[274] = orientation
    if path.suffix=='.tif': tiff(path, stored, extratags=[(274, 'H', 1, orientation, True)])
    else: Image.fromarray(stored).save(path, exif=said, **(dict(quality=100) if path.suffix=='.jpg' else {}))

@pytest.mark.parametrize('orientation', range(1, 9))
def test_tags_of_orientation(tmp_path, orientation):
    smooth = np.add.outer(np.arange(40)*3, np.arange(32)*2).astype(np.uint8) # without a symmetry, and nearly the same as a JPEG
    for ending,a in (('png', BYTE), ('png', ONE), ('tif', BYTE), ('tif', ONE), ('jpg', smooth)):
        box = tmp_path/f'{ending}{a.dtype}'
        box.mkdir(exist_ok=True)
        save_turned(box/f'P1.{ending}', a, orientation)
        got,_ = read(box)
        for x in (got.images[0], read_image(box/f'P1.{ending}')): assert x.shape==a.shape and abs(x.astype(int)-a).max()<=(4 if ending=='jpg' else 0)
    assert abs(read_jpeg(tmp_path/'jpguint8'/'P1.jpg').astype(int)-smooth).max()<=4

def test_compressed_tiff_is_turned_once(tmp_path):
    stored = as_stored(BYTE, 6)
    Image.fromarray(stored).save(tmp_path/'P1.tif', compression='tiff_lzw', tiffinfo={274:6})
    same(tmp_path, BYTE)

def test_stack_is_turned(tmp_path):
    tiff(tmp_path/'P1.tif', np.stack([as_stored(x, 6) for x in TRUTH.astype(np.uint16)]), **PLAIN, extratags=[(274, 'H', 1, 6, True)])
    same(tmp_path, TRUTH.astype(np.uint16))

def test_metadata_stays_behind(tmp_path):
    said = Image.Exif()
    said[0x010e],said[0x013b],said[274] = 'Mustermann Max','Dr. Mustermann',6
    for ending in ('jpg','png'): Image.fromarray(BYTE).save(tmp_path/f'P1_{ending}.{ending}', exif=said)
    (tmp_path/'ages.csv').write_text('subject,age\nP1,30\n')
    out = ingest(FOLDER, tmp_path, tmp_path.with_name('out'), size=40, jobs=1, progress=False, modality='CT', subject='(P1)')
    for f in out.rglob('*'): assert f.is_dir() or b'Mustermann' not in f.read_bytes()

# Pictures

def png(path, depth, colour, rows, extra=b''):
    "A PNG written by hand: `rows` are bytes of each row"
    def chunk(kind, b): return struct.pack('>I', len(b))+kind+b+struct.pack('>I', zlib.crc32(kind+b))
    width = len(rows[0])*8//depth
    head = struct.pack('>IIBBBBB', width, len(rows), depth, colour, 0, 0, 0)
    path.write_bytes(b'\x89PNG\r\n\x1a\n'+chunk(b'IHDR', head)+(chunk(b'tRNS', extra) if extra else b'')+chunk(b'IDAT', zlib.compress(b''.join(b'\0'+bytes(r) for r in rows)))+chunk(b'IEND', b''))

def test_pictures(tmp_path):
    ramp = Image.fromarray(BYTE)
    palette = ramp.convert('P')
    for name,im,truth in (('16 bit', Image.fromarray(ONE), ONE), ('palette', palette, BYTE), ('alpha', Image.merge('LA', [ramp, Image.new('L', ramp.size, 255)]), BYTE), ('1 bit', Image.fromarray(BYTE>100), BYTE>100), ('colour', Image.merge('RGB', [ramp]*3), BYTE)):
        (tmp_path/name).mkdir()
        im.save(tmp_path/name/'P1.png')
        same(tmp_path/name, truth)
    cmyk = Image.merge('CMYK', [ramp]*4)
    for name,im,why in (('clear', Image.merge('LA', [ramp, Image.new('L', ramp.size, 100)]), 'transparent'), ('coloured', Image.merge('RGB', [ramp, ramp, ramp.point(lambda v: v//2)]), 'colour channels differ')):
        (tmp_path/name).mkdir()
        im.save(tmp_path/name/'P1.png')
        assert why in reason(tmp_path/name)
    (tmp_path/'cmyk').mkdir()
    cmyk.save(tmp_path/'cmyk'/'P1.jpg')
    assert 'its colours are CMYK' in reason(tmp_path/'cmyk')

def test_frames_are_not_one_picture(tmp_path):
    frames = [Image.fromarray(np.roll(BYTE, k, 0)) for k in range(3)]
    frames[0].save(tmp_path/'P1.png', save_all=True, append_images=frames[1:])
    assert 'several frames' in reason(tmp_path) and '3 frames' in reason(tmp_path)
    with pytest.raises(InputError, match='3 frames'): read_image(tmp_path/'P1.png')

def test_transparent_values(tmp_path):
    rows = [[0, 5]*20 for _ in range(40)]
    for depth,clear in ((8, b'\0\5'), (16, b'\0\5')):
        (tmp_path/str(depth)).mkdir()
        png(tmp_path/str(depth)/'P1.png', depth, 0, rows, clear)
        assert 'transparent' in reason(tmp_path/str(depth))
        png(tmp_path/str(depth)/'P1.png', depth, 0, rows, b'\0\7')
        if depth==16: assert read_image(tmp_path/str(depth)/'P1.png').max()==5

# Cohorts written by hand, and scans

def by_hand(folder, name, rows=range(6)):
    (folder/'cohort.json').write_text('{"modality": "CT", "unit": "HU", "label_name": "age", "label_unit": "years"}')
    (folder/'cohort.csv').write_text('subject,label,path,slice\n'+''.join(f'P1,30,{name},{k}\n' for k in rows))
    return Cohort.load(folder)

def test_cohort_by_hand(tmp_path):
    nifti(tmp_path/'a.nii', stored_as(TRUTH), sform=None, pixdim=(1.5, 2, 5))
    c = by_hand(tmp_path, 'a.nii')
    np.testing.assert_array_equal(c.images[:], TRUTH[::-1].astype(np.float32))
    assert any('No orientation in the header' in w and '1 of 1 files' in w for w in c.warnings)
    nifti(tmp_path/'b.nii', stored_as(TRUTH), qform=(MIRRORED, 1))
    with pytest.raises(InputError, match='line 2: .*contradictory geometry'): by_hand(tmp_path, 'b.nii')
    nifti(tmp_path/'c.nii', stored_as(TRUTH).astype(np.uint16), slope=(1, -1024))
    assert by_hand(tmp_path, 'c.nii').images[:].min()>=-1024
    np.save(tmp_path/'d.npy', volume(10, 64, 64).transpose(1, 2, 0))
    assert any('64 slices of 64 x 10 pixels' in w for w in by_hand(tmp_path, 'd.npy').warnings)
    np.save(tmp_path/'e.npy', TRUTH)
    assert by_hand(tmp_path, 'e.npy').warnings==[]

def test_scans_need_an_orientation(tmp_path):
    x = volume(20, 40, 40)
    nifti(tmp_path/'none.nii', stored_as(x), sform=None, pixdim=(2, 2, 5))
    nifti(tmp_path/'both.nii', stored_as(x), qform=(MIRRORED, 1))
    for name,why in (('none', 'no orientation'), ('both', 'contradictory geometry')):
        with pytest.raises(InputError, match=why): read_head(tmp_path/f'{name}.nii')

# Whole calls

def three(folder, write, ending):
    "Three subjects, each with one file that `write(path, k)` makes"
    folder.mkdir()
    for k in range(3): write(folder/f'P{k}{ending}', k)
    (folder/'ages.csv').write_text('subject,age\nP0,30\nP1,40\nP2,50\n')
    return folder

def test_notes_stand_on_the_card(tmp_path):
    def write(path, k): nifti(path, stored_as(TRUTH+k), sform=None if k else (RIGHT, 1), pixdim=(1.5, 2, 5))
    raw = three(tmp_path/'raw', write, '.nii')
    out = ingest(FOLDER, raw, tmp_path/'out', size=64, spacing=1.5, jobs=1, progress=False, modality='CT')
    warns = read_json(out/'card.json')['warnings']
    assert any('No orientation' in w and '(2 of 3 pieces, first P1.nii)' in w for w in warns), warns
    assert 'No orientation' in (out/'card.html').read_text()

def test_questions_stop_only_where_nothing_is_left(tmp_path):
    def write(path, k): np.save(path, volume(10, 64, 64)+k if k else volume(24, 24, 24))
    raw = three(tmp_path/'raw', write, '.npy')
    out = ingest(FOLDER, raw, tmp_path/'out', size=64, jobs=1, progress=False, modality='CT')
    assert len(Cohort.load(out))==20
    assert read_json(out/'card.json')['excluded'][0]['reason']=='which axis counts slices?'
    for f in raw.glob('P[12].npy'): np.save(f, volume(10, 64, 64).transpose(1, 2, 0))
    with pytest.raises(InputError, match=r'which axis counts slices\?.*\(24, 24, 24\).*slice_axis'): ingest(FOLDER, raw, tmp_path/'none', size=64, jobs=1, progress=False, modality='CT')
