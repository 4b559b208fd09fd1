"""One truth, many encodings: the same drawn heads, written in all the ways in which people keep such images.

An encoding is a dictionary {dimension: option}, with `heads`: one such dictionary for each subject.
Every dimension is a table of named options; `TO_ALL` and `FORMATS` say who uses which."""

import csv, gzip, io, itertools, re, string, unicodedata, zipfile
from collections import namedtuple
from dataclasses import dataclass
from functools import lru_cache, partial
from zlib import crc32
import numpy as np


# ------------------------------------------------------------ the truth
@dataclass(frozen=True, eq=False)
class Truth:
    ages: tuple  # years, one per subject
    heads: tuple  # (slices, H, W) HU, one per subject: from the top down, front up, right on the left
    mm: tuple  # between slices, rows, columns


@dataclass(frozen=True, eq=False)
class Head:
    "What a writer is given"

    name: str  # of the subject
    pixels: np.ndarray  # (slices, H, W) whole numbers
    mm: tuple


def draw_slice(subject, depth, shape):
    "Skull and brain, a nose at the top, a mark on the patient's right; no slice is like another"
    height, width = shape
    row, col = np.mgrid[:height, :width] / np.array(shape).reshape(2, 1, 1)
    far = np.hypot((row - 0.54) / 0.40, (col - 0.5) / 0.42)
    noise = np.random.default_rng((subject, depth)).integers(-20, 20, shape)
    hu = np.where(far < 1, 30 + noise, -1000)
    hu[(far > 0.8) & (far < 0.95)] = 800 + 10 * depth
    hu[(abs(col - 0.5) < 0.08) & (row > 0.03) & (row < 0.14)] = 40
    hu[np.hypot(row - 0.5, col - 0.3) < 0.1] = 150 + 5 * depth
    return hu


@lru_cache
def draw_truth(shape, mm, slices=(4, 5, 6)):
    heads = [
        np.stack([draw_slice(s, k, shape) for k in range(n)]) for s, n in enumerate(slices)
    ]
    return Truth((23.5, 47.0, 61.25), tuple(heads), mm)


TRUTHS = dict(
    square=draw_truth((28, 24), (5.0, 3.0, 3.0)),
    oblong=draw_truth((28, 24), (4.0, 3.0, 2.5)),
    cubes=draw_truth((20, 18), (2.0, 2.0, 2.0), (9, 10, 11)),
)
SLICE_YEARS = 1 / 8  # by which labels of slices grow from the top down

VALUES = dict(  # what stands for HU in formats that cannot hold them
    hu=lambda hu: hu,
    shifted=lambda hu: hu + 1024,
    windowed=lambda hu: np.rint(np.clip((hu + 100) / 300, 0, 1) * 255).astype(int),
)
SAID = dict(  # what the user says of them
    hu=dict(unit='HU', window='-100,200'),
    shifted=dict(unit='stored', window='924,1224'),
    windowed=dict(unit='8-bit grey', window='0,255'),
)

# what is asked for: pixels along a side and mm; slices kept of volumes: rule and numbers from 0
GRIDS = dict(own=(28, 3.0), cubes=(28, 2.0), coarse=(20, 4.7), fine=(48, 1.9))
KEEP = {
    'all': slice(None),
    'every:2': slice(None, None, 2),
    'range:2:3': slice(1, 3),
    'middle:2': None,
    'mm:7:13': None,
}
TOLD = {
    'nothing': {},
    'spacing': dict(spacing_mm='3'),
}  # of pictures whose files have no spacing


# ------------------------------------------------------------ numbers in files
@dataclass(frozen=True)
class Stored:
    kind: str  # numpy's type, without the order of bytes
    slope: float = 1.0
    shift: float = 0.0
    bits: int = 0  # that are used, where fewer than the type has


def store(pixels, how, slope=1.0):
    "The numbers that stand in the file, in the machine's order of bytes"
    raw = (pixels - how.shift) / (how.slope * slope)
    return raw.astype(how.kind) if 'f' in how.kind else np.rint(raw)


def fits(pixels, how, slope=1.0):
    "Whether the type of a file can hold the values"
    if 'f' in how.kind:
        return True
    raw, most = store(pixels, how, slope), np.iinfo(how.kind)
    return most.min <= raw.min() and raw.max() <= (2**how.bits - 1 if how.bits else most.max)


def error(pixels, how):
    "Half a step of a slope that the values are no multiples of, else 0"
    back = store(pixels, how) * how.slope + how.shift
    return 0.0 if abs(back - pixels).max() < 1e-6 else abs(how.slope) / 2 + 0.002


PLAIN = dict(
    i2=Stored('i2'),
    u2=Stored('u2'),
    u1=Stored('u1'),
    i4=Stored('i4'),
    f4=Stored('f4'),
    f8=Stored('f8'),
)
SCALED = PLAIN | dict(
    offset=Stored('u2', 1, -1024),
    half=Stored('i2', 0.5),
    halves=Stored('u2', 0.5, -1024.5),
    double=Stored('i2', 2, -1000),
    coarse=Stored('i2', 0.7, -24),
    minus=Stored('i2', -1, 10),
    byte=Stored('u1', 10, -1000),
    real=Stored('f4', 2, -1024),
    u4=Stored('u4', 1, -1024),
    far=Stored('u4', 1, -3e9),
    i8=Stored('i8'),
)
ARRAYS = PLAIN | dict(f2=Stored('f2'), i8=Stored('i8'))
IN_DICOM = {
    k: SCALED[k]
    for k in ('i2', 'u2', 'u1', 'offset', 'half', 'halves', 'coarse', 'minus', 'byte')
}
IN_DICOM |= dict(twelve=Stored('u2', 1, -1024, 12))
ORDER = dict(little='<', big='>')


def ordered(raw, kind, order):
    return np.ascontiguousarray(raw).astype(np.dtype(kind).newbyteorder(order))


# ------------------------------------------------------------ places in space
AXES = [
    ''.join(c)
    for p in itertools.permutations(('LR', 'AP', 'SI'))
    for c in itertools.product(*p)
]
AXIAL = [c for c in AXES if c[2] in 'SI']
SIDEWAYS = tuple(c for c in AXES if c[2] not in 'SI')
AXES = (
    'LPI',
    *(c for c in AXES if c != 'LPI'),
)  # the first option of a dimension is the usual one
DICOM_AXES = (*(c for c in AXES if c in AXIAL), *SIDEWAYS[::4])
TILT = dict(none=0.0, eight=8.0, minus=-12.0)


def placed(head, codes, tilt):
    "(i, j, k) numbers, their axes to the directions `codes`, and the affine to mm right, front, up"
    import nibabel as nib

    affine = np.diag([-head.mm[2], -head.mm[1], -head.mm[0], 1.0])
    affine[:3, 3] = 55, 48, 120
    image = nib.Nifti1Image(head.pixels.transpose(2, 1, 0).astype(np.float64), affine)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes)
    )
    image = image.as_reoriented(turn)
    lean = nib.affines.from_matvec(nib.eulerangles.euler2mat(x=np.radians(tilt)))
    return image.get_fdata(), lean @ image.affine


def from_top(codes, n):
    "Numbers of slices in a file whose axes go along `codes`, from the top of the head down"
    up = 'S' in codes
    return list(range(n, 0, -1)) if up else list(range(1, n + 1))


# ------------------------------------------------------------ NIfTI
NIFTI_SIZE = dict(one='Nifti1Image', two='Nifti2Image')
NIFTI_SHAPE = {'3d': (), '4d': (1,), '5d': (1, 1)}
NIFTI_FORM = dict(
    both=(1, 1), sform=(1, 0), qform=(0, 1), aligned=(2, 2), mni=(4, 0), neither=(0, 0)
)  # codes of sform and qform
NIFTI_UNIT = dict(mm=1, unknown=1, micron=1000)  # of a mm


def write_nifti(file, head, how):
    import nibabel as nib

    stored = SCALED[how['nifti numbers']]
    array, affine = placed(head, how['nifti axes'], TILT[how['tilt']])
    kind = getattr(nib, NIFTI_SIZE[how['nifti size']])
    header = kind.header_class(endianness=ORDER[how['order']])
    raw = ordered(store(array, stored), stored.kind, ORDER[how['order']])
    header.set_data_dtype(raw.dtype)
    header.set_xyzt_units(how['nifti unit'])
    affine[:3] *= NIFTI_UNIT[how['nifti unit']]
    image = kind(raw.reshape(*raw.shape, *NIFTI_SHAPE[how['nifti shape']]), affine, header)
    image.header.set_slope_inter(stored.slope, stored.shift)
    sform, qform = NIFTI_FORM[how['nifti form']]
    image.set_qform(affine if qform else None, qform)
    image.set_sform(affine if sform else None, sform)
    path = file('scan', how['nifti end'])
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content) if path.suffix.lower() == '.gz' else content)
    return from_top(how['nifti axes'], len(head.pixels))


# ------------------------------------------------------------ DICOM
def as_it_is(d, frames):
    pass


def run_length(d, frames):
    from pydicom.uid import RLELossless

    d.compress(RLELossless, generate_instance_uid=False)


def jpeg_2000(d, frames):
    from PIL import Image
    from pydicom.encaps import encapsulate

    def packed(frame):
        b = io.BytesIO()
        Image.fromarray(frame.astype(f'u{frame.itemsize}')).save(
            b, 'JPEG2000', irreversible=False, no_jp2=True
        )
        return b.getvalue()

    d.PixelData = encapsulate([packed(f) for f in frames])
    d['PixelData'].is_undefined_length = True


SYNTAX = dict(  # uid, order of bytes, what is done to the data set
    explicit=('1.2.840.10008.1.2.1', '<', as_it_is),
    implicit=('1.2.840.10008.1.2', '<', as_it_is),
    big=('1.2.840.10008.1.2.2', '>', as_it_is),
    deflated=('1.2.840.10008.1.2.1.99', '<', as_it_is),
    rle=('1.2.840.10008.1.2.1', '<', run_length),
    jpeg2000=('1.2.840.10008.1.2.4.90', '<', jpeg_2000),
)


def crossed(k, n):
    return 1 + (13 * k + 3) % n  # another order: no n here is a multiple of 13


INSTANCE = dict(
    up=lambda k, n: k + 1,
    hundreds=lambda k, n: 100 + 10 * k,
    down=lambda k, n: n - k,
    crossed=crossed,
    missing=lambda k, n: None,
    same=lambda k, n: 1,
)
DICOM_NAME = dict(counted='IM{k:04d}', crossed='IM{crossed}', uid='1.2.826.0.1.{subject}.{k}')
DICOM_END = {'.dcm': '.dcm', '.DCM': '.DCM', '.ima': '.IMA', '.dicom': '.dicom', 'none': ''}
DICOM_SLOPE = dict(one=(1.0,), each=(1.0, 0.5, 0.25))
DICOM_OWNER = dict(own='{name}', other='PAT-{subject}', anonymous='ANON')
DICOM_UIDS = dict(own='{subject}', equal='1')
ROOT = '1.2.826.0.1.3680043.8.498.1.'


def text(v):
    return f'{v:.10g}'


def number_of(name):
    return crc32(name.encode()) % 1000


def item(**tags):
    "A data set with these tags; those that are None are left away"
    from pydicom.dataset import Dataset

    d = Dataset()
    for name, value in tags.items():
        if value is not None:
            setattr(d, name, value)
    return d


def shared_tags(head, how, stored):
    "What all files of a series say"
    subject = number_of(head.name)
    owner = DICOM_OWNER[how['dicom owner']].format(name=head.name, subject=subject)
    uid = ROOT + DICOM_UIDS[how['dicom uids']].format(subject=subject)
    bits = 8 * np.dtype(stored.kind).itemsize
    used = stored.bits or bits
    return dict(
        SpecificCharacterSet='ISO_IR 192',
        Modality='CT',
        PatientID=owner,
        StudyInstanceUID=uid,
        SeriesInstanceUID=uid + '.1',
        FrameOfReferenceUID=uid + '.2',
        SOPClassUID='1.2.840.10008.5.1.4.1.1.2',
        ImageType=['ORIGINAL', 'PRIMARY', 'AXIAL'],
        SeriesDescription='axial',
        SamplesPerPixel=1,
        PhotometricInterpretation='MONOCHROME2',
        BitsAllocated=bits,
        BitsStored=used,
        HighBit=used - 1,
        PixelRepresentation=int('i' in stored.kind),
    )


def geometry(affine):
    "Directions, spacing and function of a frame that gives its corner, mm to the left, back, up"
    axes = np.diag([-1.0, -1, 1]) @ affine[:3]
    length = np.linalg.norm(axes[:, :3], axis=0)
    along = (axes[:, :3] / length).T

    def corner(k):
        return [text(v) for v in axes @ [0, 0, k, 1]]

    return (
        [text(v) for v in (*along[0], *along[1])],
        [text(length[1]), text(length[0])],
        corner,
    )


def scale(how, stored, slope):
    if how['dicom tags'] == 'bare':
        return {}
    return dict(
        RescaleSlope=text(stored.slope * slope),
        RescaleIntercept=text(stored.shift),
        RescaleType='HU',
    )


def write_dicom(file, head, how):
    stored = IN_DICOM[how['dicom numbers']]
    array, affine = placed(head, how['dicom axes'], TILT[how['tilt']])
    frames, slopes = array.T, itertools.cycle(DICOM_SLOPE[how['dicom slope']])
    _, order, _ = SYNTAX[how['dicom syntax']]
    frames = [
        (ordered(store(f, stored, s), stored.kind, order), scale(how, stored, s))
        for f, s in zip(frames, slopes)
    ]
    return dict(files=write_files, enhanced=write_enhanced)[how['dicom layout']](
        file, head, how, stored, frames, affine
    )


def write_files(file, head, how, stored, frames, affine):
    "One file per slice"
    n, (along, spacing, corner) = len(frames), geometry(affine)
    common = shared_tags(head, how, stored) | dict(
        ImageOrientationPatient=along, PixelSpacing=spacing
    )
    for k, (frame, scaled) in enumerate(frames):
        number = INSTANCE[how['dicom instance']](k, n)
        d = item(
            **common,
            **scaled,
            ImagePositionPatient=corner(k),
            InstanceNumber=number,
            SOPInstanceUID=f"{common['SeriesInstanceUID']}.{k + 1}",
        )
        name = DICOM_NAME[how['dicom name']].format(
            k=k, crossed=crossed(k, n), subject=number_of(head.name)
        )
        save_dicom(file(name, DICOM_END[how['dicom end']]), d, [frame], how)
    numbers = [INSTANCE[how['dicom instance']](k, n) for k in range(n)]
    told = how['dicom axes'] in AXIAL and None not in numbers and len(set(numbers)) == n
    if not told:
        return from_top('I', len(head.pixels))
    return numbers if how['dicom axes'][2] == 'I' else numbers[::-1]


def write_enhanced(file, head, how, stored, frames, affine):
    "One file with all slices: their places stand in functional groups"
    along, spacing, corner = geometry(affine)

    def group(k, scaled):
        place, value = item(ImagePositionPatient=corner(k)), item(**scaled)
        content = item(
            StackID='1', InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1]
        )
        return item(
            FrameContentSequence=[content],
            PlanePositionSequence=[place],
            PixelValueTransformationSequence=[value] if scaled else None,
        )

    groups = [group(k, scaled) for k, (_, scaled) in enumerate(frames)]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=along)],
        PixelMeasuresSequence=[item(PixelSpacing=spacing, SliceThickness=text(head.mm[0]))],
    )
    tags = shared_tags(head, how, stored)
    tags |= dict(
        SOPClassUID='1.2.840.10008.5.1.4.1.1.2.1',
        SOPInstanceUID=tags['SeriesInstanceUID'] + '.1',
        NumberOfFrames=len(frames),
        InstanceNumber=1,
    )
    d = item(
        **tags, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=groups
    )
    save_dicom(file('frames', DICOM_END[how['dicom end']]), d, [f for f, _ in frames], how)
    return from_top(how['dicom axes'] if how['dicom axes'] in AXIAL else 'I', len(head.pixels))


def save_dicom(path, d, frames, how):
    "The file, with or without the start that says that it is DICOM"
    from pydicom.dataset import FileMetaDataset

    uid, _, change = SYNTAX[how['dicom syntax']]
    d.Rows, d.Columns = frames[0].shape
    d.PixelData = b''.join(f.tobytes() for f in frames)
    d['PixelData'].VR = 'OB' if d.BitsAllocated == 8 and uid != '1.2.840.10008.1.2' else 'OW'
    d.file_meta = FileMetaDataset()
    (
        d.file_meta.TransferSyntaxUID,
        d.file_meta.MediaStorageSOPClassUID,
        d.file_meta.MediaStorageSOPInstanceUID,
    ) = uid, d.SOPClassUID, d.SOPInstanceUID
    change(d, frames)
    whole = how['dicom start'] == 'preamble'
    if not whole:
        del d.file_meta
    d.save_as(
        path,
        enforce_file_format=whole,
        **({} if whole else dict(implicit_vr=uid == '1.2.840.10008.1.2', little_endian=True)),
    )


# ------------------------------------------------------------ pictures: one file per slice, or all slices in one
ORIENTATION = 274  # the tag's number in EXIF and TIFF; its values:
TURNED = dict(
    no=1, mirrored=2, upside_down=3, right=6, left=8
)  # `right`: whoever shows it turns it to the right


def lying(a, turned):
    "Upright pictures (..., H, W) as they are stored under a value of the tag"
    stored = dict(
        no=lambda: a,
        mirrored=lambda: a[..., ::-1],
        upside_down=lambda: a[..., ::-1, ::-1],
        right=lambda: np.rot90(a, 1, (-2, -1)),
        left=lambda: np.rot90(a, -1, (-2, -1)),
    )
    return np.ascontiguousarray(stored[turned]())


def exif(turned):
    from PIL import Image

    tags = Image.Exif()
    tags[ORIENTATION] = TURNED[turned]
    return tags


PICTURE_NAME = dict(
    plain='{k}',
    padded='slice_{k:03d}',
    series='IM-0001-{k:04d}',
    later='{later}',
    of='{k} of {n}',
    letters='{letter}',
    first='{k:03d}_axial',
    brackets='slice ({k})',
)


def each_picture(file, arrays, how, end, save):
    "One file per slice; returns the number that its name tells"
    name, n = PICTURE_NAME[how['picture name']], len(arrays)
    later = 6 if '{later}' in name else 0
    for k, a in enumerate(arrays, 1):
        save(
            file(name.format(k=k, n=n, later=k + 6, letter=string.ascii_lowercase[k - 1]), end),
            a,
        )
    return list(range(1 + later, n + 1 + later))


def one_or_each(file, array, how, end, save):
    if how['picture layout'] == 'each':
        return each_picture(file, list(array), how, end, save)
    save(file('scan', end), array)
    return from_top('I', len(array))


NPY_LAYOUT = dict(c=np.ascontiguousarray, fortran=np.asfortranarray)
NPY_HEADER = dict(one=(1, 0), two=(2, 0), three=(3, 0))
SLICE_AXIS = dict(
    first=(0, 1, 2), last=(1, 2, 0)
)  # which the user names, since the file cannot


def write_npy(file, head, how):
    stored = ARRAYS[how['array numbers']]
    array = ordered(store(head.pixels, stored), stored.kind, ORDER[how['order']])

    def save(path, a):
        a = a.transpose(SLICE_AXIS[how['slice axis']]) if a.ndim == 3 else a
        with open(path, 'wb') as f:
            np.lib.format.write_array(
                f, NPY_LAYOUT[how['npy layout']](a), NPY_HEADER[how['npy header']]
            )

    return one_or_each(file, array, how, '.npy', save)


TIFF_KIND = dict(
    shaped={},
    plain=dict(metadata=None),
    big=dict(bigtiff=True),
    tiles=dict(tile=(16, 16)),
    strips=dict(rowsperstrip=7, metadata=None),
    imagej=dict(imagej=True),
    ome=dict(ome=True),
    contiguous=dict(contiguous=True, metadata=None),
)
TIFF_PACKED = dict(no=None, zlib='zlib', lzma='lzma', lzw='lzw')


def write_tiff(file, head, how):
    import tifffile

    stored = ARRAYS[how['array numbers']]
    array = ordered(store(head.pixels, stored), stored.kind, ORDER[how['order']])
    tag = [(ORIENTATION, 'H', 1, TURNED[how['turned']], False)] if how['turned'] != 'no' else []
    keywords = dict(
        photometric='minisblack',
        byteorder=ORDER[how['order']],
        compression=TIFF_PACKED[how['tiff packed']],
        extratags=tag,
    )
    kind = TIFF_KIND[how['tiff kind']]

    def save(path, a):
        axes = {} if 'metadata' in kind else dict(metadata=dict(axes='ZYX'[-a.ndim :]))
        tifffile.imwrite(path, lying(a, how['turned']), **keywords, **kind, **axes)

    def pillow(path, a):  # it packs what tifffile cannot pack here
        from PIL import Image

        pages = [Image.fromarray(o) for o in (a if a.ndim == 3 else [a])]
        pages[0].save(
            path, 'TIFF', compression='tiff_lzw', save_all=True, append_images=pages[1:]
        )

    return one_or_each(
        file, array, how, how['tiff end'], pillow if how['tiff packed'] == 'lzw' else save
    )


def write_png(file, head, how):
    from PIL import Image

    def save(path, a):
        a = lying(a, how['turned'])
        if how['png mode'] == '16':
            im = Image.fromarray(a.astype('u2'))
        else:
            im = Image.fromarray(a.astype('u1')).convert(how['png mode'])
        im.save(
            path, 'PNG', **(dict(exif=exif(how['turned'])) if how['turned'] != 'no' else {})
        )

    return each_picture(file, list(head.pixels), how, '.png', save)


JPEG_HOW = dict(plain={}, progressive=dict(progressive=True))


def write_jpeg(file, head, how):
    from PIL import Image

    keywords = dict(
        quality=97, subsampling=0, exif=exif(how['turned']), **JPEG_HOW[how['jpeg how']]
    )

    def save(path, a):
        im = Image.fromarray(lying(a, how['turned']).astype('u1')).convert(how['jpeg mode'])
        im.save(path, 'JPEG', **keywords)

    return each_picture(file, list(head.pixels), how, how['jpeg end'], save)


# ------------------------------------------------------------ names and places of files
def decomposed(names):
    return tuple(unicodedata.normalize('NFD', n) for n in names)


UMLAUT = ('jürgen', 'zoë', 'andré')
LONG = ('12345678901234567', '12345678901234568', '12345678901234569')
WHO = dict(  # the subject in paths, and in the table
    plain=(('s007', 's012', 's103'),) * 2,
    upper=(('S007', 'S012', 'S103'), ('s007', 's012', 's103')),
    table_upper=(('s007', 's012', 's103'), ('S007', 'S012', 'S103')),
    numbers=(('7', '12', '103'),) * 2,
    zeros=(('007', '012', '103'), ('7', '12', '103')),
    table_zeros=(('7', '12', '103'), ('0007', '0012', '0103')),
    floats=(('7', '12', '103'), ('7.0', '12.0', '103.0')),
    bids=(('sub-007', 'sub-012', 'sub-103'),) * 2,
    blanks=(('anna b', 'bert c', 'carl d'),) * 2,
    umlauts=(UMLAUT,) * 2,
    apart=(decomposed(UMLAUT), UMLAUT),
    table_apart=(UMLAUT, decomposed(UMLAUT)),
    long=(LONG,) * 2,
)
PLACE = dict(  # for one file per subject, for several; whether the user must say where the subject stands
    folder=('{s}/{name}{end}',) * 2,
    stem=('{s}{end}', '{s}/{name}{end}'),
    nested=('My images/{s}/session 1/{name}{end}',) * 2,
    bids=('{s}/anat/{s}_{name}{end}',) * 2,
    site=('Größe A/{s}/CT (2)/{name}{end}',) * 2,
    before=('{s}_{name}{end}',) * 2,
    after=('all/{name}__{s}{end}',) * 2,
)
SAID_OF_PLACE = dict(before='(?:^|/)({any})_', after='__({any})(?:[.]|$)')
JUNK = dict(
    none={},
    mac={'.DS_Store': b'x', '._scan.nii': b'x', '__MACOSX/scan.nii': b'x'},
    windows={'Thumbs.db': b'x', 'desktop.ini': b'x'},
    notes={'README.txt': b'x', 'scan.json': b'{}', 'protocol.pdf': b'%PDF'},
    hidden={'.git/scan.nii': b'x'},
)


def put_in_place(root, place, name, several):
    "file(name, ending) -> path below `root`"
    pattern = PLACE[place][several]

    def file(stem, end):
        path = root / pattern.format(s=name, name=stem, end=end)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    return file


# ------------------------------------------------------------ tables
HEADERS = dict(  # names of subject, label and slice; what the user says
    plain=('subject', 'label', 'slice', {}),
    patient=('Patient ID', 'Age (years)', 'Slice', {}),
    bids=('participant_id', 'age', 'slice', {}),
    loud=('CASE', 'AGE', 'SLICE', {}),
    line=('Patient Number', 'Age\n(years)', 'slice', {}),
    german=(
        'Fall-Nr.',
        'Wert',
        'Schicht',
        dict(subject_column='Fall-Nr.', label_column='Wert'),
    ),
)
COLUMNS = dict(
    two=('subject', 'label'),
    swapped=('label', 'subject'),
    more=('subject', 'Größe', 'sex', 'label'),
    first=('subject', 'label', 'sex'),
    later=('sex', 'subject', 'Größe', 'label', 'note'),
)
ENCODING = {
    'utf-8': 'utf-8',
    'utf-8 with mark': 'utf-8-sig',
    'utf-16': 'utf-16',
    'utf-16 big': 'utf-16-be',
    'utf-16 no mark': 'utf-16-le',
    'cp1252': 'cp1252',
}
SEPARATOR = dict(comma=',', semicolon=';', tab='\t', bar='|')
DECIMAL = dict(point='.', comma=',')
NEWLINE = dict(unix='\n', windows='\r\n', old_mac='\r')
QUOTES = dict(needed=csv.QUOTE_MINIMAL, all=csv.QUOTE_ALL)
FIRST_LINE = dict(header='', sep='sep={sep}{newline}')
PADDED = dict(no='{}', blanks='  {} ', hard='\u00a0{}\u00a0')
TABLE_PLACE = dict(
    beside='ages{end}', deep='tables/ages{end}', upper='AGES{END}', chosen='ages{end}'
)


def table_rows(how, subjects, numbers):
    "Rows of {column: text}, with the table's own order of them"
    ages, by_slice = TRUTHS[how['truth']].ages, how['label of'] == 'slice'
    rows = []
    for name, age, of in zip(subjects, ages, numbers):
        for k, number in enumerate(of if by_slice else of[:1]):
            rows.append(
                {
                    'subject': name,
                    'label': repr(age + by_slice * k * SLICE_YEARS),
                    'slice': str(number),
                    'Größe': '1.75',
                    'sex': 'f',
                    'note': 'a, b; c',
                }
            )
    return rows[::-1]


def more_rows(how, rows):
    other = {k: '' for k in rows[0]}
    more = dict(
        none=[],
        blank=[other],
        unknown=[rows[0] | {'subject': '9999'}],
        again=[rows[0]],
        unlabelled=[rows[0] | {'subject': '9998', 'label': ''}],
    )
    return rows + more[how['more rows']]


def table_cells(how, rows):
    "Header and rows as lists of text"
    subject, label, number, _ = HEADERS[how['header']]
    columns = COLUMNS[how['columns']] + (('slice',) if how['label of'] == 'slice' else ())
    name = dict(subject=subject, label=label, slice=number)
    point, pad = DECIMAL[how['decimal']], PADDED[how['padded']]

    def written(c, v):
        return pad.format(v.replace('.', point) if c in ('label', 'Größe') else v)

    return [[name.get(c, c) for c in columns]] + [
        [written(c, r[c]) for c in columns] for r in rows
    ]


def write_csv(path, cells, how):
    text, sep, newline = (
        io.StringIO(newline=''),
        SEPARATOR[how['separator']],
        NEWLINE[how['newline']],
    )
    text.write(FIRST_LINE[how['first line']].format(sep=sep, newline=newline))
    csv.writer(
        text, delimiter=sep, quoting=QUOTES[how['quotes']], lineterminator=newline
    ).writerows(cells)
    mark = '\ufeff' if how['encoding'] == 'utf-16 big' else ''
    path.write_bytes((mark + text.getvalue()).encode(ENCODING[how['encoding']]))


def write_tsv(path, cells, how):
    write_csv(path, cells, how | {'separator': 'tab'})


def as_number(cell):
    "A cell as a spreadsheet keeps what is typed into it"
    try:
        v = float(cell.replace(',', '.'))
    except ValueError:
        return cell or None
    return int(v) if v % 1 == 0 else v


def write_xlsx(path, cells, how, value=str):
    import openpyxl

    book = openpyxl.Workbook()
    for row in cells:
        book.active.append([value(c) for c in row])
    book.save(path)


def write_typed(path, cells, how):
    write_xlsx(path, cells, how, as_number)


TABLE = dict(
    csv=('.csv', write_csv),
    tsv=('.tsv', write_tsv),
    xlsx=('.xlsx', write_xlsx),
    typed=('.xlsx', write_typed),
)


# ------------------------------------------------------------ archives: what is given to the product
def as_folder(tree):
    return tree


def as_link(tree):
    link = tree.with_name('link')
    link.symlink_to(tree, target_is_directory=True)
    return link


def linked(tree, kind):
    "Contents lie in a store, as of git-annex or on another disk, and the tree holds links"
    store = tree.with_name('store')
    store.mkdir()
    found = (
        sorted(f for f in tree.rglob('*') if f.is_file())
        if kind == 'files'
        else [f for f in tree.iterdir() if f.is_dir()]
    )
    for i, f in enumerate(found):
        f.rename(store / str(i))
        f.symlink_to(store / str(i))
    return tree


TOP = dict(top='download 1/')  # a folder around everything in a zip


def zipped(tree, top='', packed=zipfile.ZIP_DEFLATED, folders=False, more=()):
    archive = tree.with_name('raw.zip')
    with zipfile.ZipFile(archive, 'w', packed) as z:
        for f in sorted(tree.rglob('*')):
            if folders or f.is_file():
                z.write(f, top + f.relative_to(tree).as_posix())
        for name in more:
            z.writestr(name, b'x')
    return archive


ARCHIVE = dict(
    folder=as_folder,
    link=as_link,
    linked_files=partial(linked, kind='files'),
    linked_folders=partial(linked, kind='folders'),
    zip=partial(zipped, packed=zipfile.ZIP_STORED),
    packed=zipped,
    lzma=partial(zipped, packed=zipfile.ZIP_LZMA),
    top=partial(zipped, top=TOP['top'], folders=True),
    mac=partial(zipped, more=['__MACOSX/s007/._scan.nii']),
)

# ------------------------------------------------------------ dimensions, and who uses them
Format = namedtuple('Format', 'write values spacing lossy uses')
EVERY = ('hu', 'shifted', 'windowed')
FORMATS = dict(  # whether files hold a spacing, grey values that a lossy one may be off, and dimensions
    nifti=Format(
        write_nifti,
        EVERY,
        True,
        0,
        (
            'nifti numbers',
            'nifti axes',
            'tilt',
            'order',
            'nifti end',
            'nifti size',
            'nifti shape',
            'nifti form',
            'nifti unit',
        ),
    ),
    dicom=Format(
        write_dicom,
        EVERY,
        True,
        0,
        (
            'dicom numbers',
            'dicom axes',
            'tilt',
            'dicom syntax',
            'dicom slope',
            'dicom tags',
            'dicom instance',
            'dicom name',
            'dicom end',
            'dicom start',
            'dicom owner',
            'dicom uids',
            'dicom layout',
        ),
    ),
    npy=Format(
        write_npy,
        EVERY,
        False,
        0,
        (
            'array numbers',
            'order',
            'picture layout',
            'picture name',
            'npy layout',
            'npy header',
        ),
    ),
    tiff=Format(
        write_tiff,
        EVERY,
        False,
        0,
        (
            'array numbers',
            'order',
            'picture layout',
            'picture name',
            'tiff end',
            'tiff kind',
            'tiff packed',
            'turned',
        ),
    ),
    png=Format(write_png, EVERY[1:], False, 0, ('picture name', 'png mode', 'turned')),
    jpeg=Format(
        write_jpeg,
        EVERY[2:],
        False,
        12,
        ('picture name', 'jpeg mode', 'jpeg how', 'jpeg end', 'turned'),
    ),
)
DIMENSIONS = {
    'truth': TRUTHS,
    'values': VALUES,
    'grid': GRIDS,
    'keep': KEEP,
    'told': TOLD,
    'who': WHO,
    'place': PLACE,
    'junk': JUNK,
    'archive': ARCHIVE,
    'label of': ('subject', 'slice'),
    'slice axis': SLICE_AXIS,
    'table': TABLE,
    'table place': TABLE_PLACE,
    'header': HEADERS,
    'columns': COLUMNS,
    'encoding': ENCODING,
    'separator': SEPARATOR,
    'decimal': DECIMAL,
    'newline': NEWLINE,
    'quotes': QUOTES,
    'first line': FIRST_LINE,
    'padded': PADDED,
    'more rows': ('none', 'blank', 'unknown', 'again', 'unlabelled'),
    'format': FORMATS,
    'order': ORDER,
    'tilt': TILT,
    'turned': TURNED,
    'nifti numbers': SCALED,
    'nifti axes': AXES,
    'nifti end': ('.nii', '.nii.gz', '.NII.GZ'),
    'nifti size': NIFTI_SIZE,
    'nifti shape': NIFTI_SHAPE,
    'nifti form': NIFTI_FORM,
    'nifti unit': NIFTI_UNIT,
    'dicom numbers': IN_DICOM,
    'dicom axes': DICOM_AXES,
    'dicom syntax': SYNTAX,
    'dicom slope': DICOM_SLOPE,
    'dicom tags': ('scaled', 'bare'),
    'dicom instance': INSTANCE,
    'dicom name': DICOM_NAME,
    'dicom end': DICOM_END,
    'dicom start': ('preamble', 'bare'),
    'dicom owner': DICOM_OWNER,
    'dicom uids': DICOM_UIDS,
    'dicom layout': ('files', 'enhanced'),
    'array numbers': ARRAYS,
    'picture layout': ('one', 'each'),
    'picture name': PICTURE_NAME,
    'npy layout': NPY_LAYOUT,
    'npy header': NPY_HEADER,
    'tiff end': ('.tif', '.tiff', '.TIF'),
    'tiff kind': TIFF_KIND,
    'tiff packed': TIFF_PACKED,
    'png mode': ('16', 'L', 'LA', 'RGB', 'RGBA', 'P'),
    'jpeg mode': ('L', 'RGB'),
    'jpeg how': JPEG_HOW,
    'jpeg end': ('.jpg', '.jpeg', '.JPG'),
}
TO_EACH = ('format', *dict.fromkeys(itertools.chain(*(f.uses for f in FORMATS.values()))))
TO_ALL = tuple(d for d in DIMENSIONS if d not in TO_EACH)

# ------------------------------------------------------------ what goes together, what is refused
CANNOT = (  # what nobody can write: all options of a line together
    {'slice axis': ('last',), 'format': ('tiff',)},  # its pages come first
    {'table': ('typed',), 'who': ('long',)},  # a spreadsheet keeps 15 digits of a number
    {'nifti numbers': ('byte',), 'values': ('windowed',)},  # its coarse steps end above 255
    {'tiff kind': ('imagej',), 'array numbers': ('i2', 'i4', 'i8', 'f2', 'f8')},
    {'tiff kind': ('ome',), 'array numbers': ('f2', 'i8')},
    {'tiff packed': ('lzw',), 'array numbers': ('i2', 'i8', 'f2', 'f8')},
    {'tiff packed': ('lzw',), 'order': ('big',)},
    {
        'tiff packed': ('lzw',),
        'tiff kind': ('plain', 'big', 'tiles', 'strips', 'imagej', 'ome', 'contiguous'),
    },
    {'tiff packed': ('lzw',), 'turned': ('mirrored', 'upside_down', 'right', 'left')},
    {'dicom syntax': ('jpeg2000',), 'dicom numbers': ('i2', 'half', 'coarse', 'minus')},
    {'dicom start': ('bare',), 'dicom syntax': ('big', 'deflated', 'rle', 'jpeg2000')},
    {
        'dicom tags': ('bare',),
        'dicom numbers': ('offset', 'half', 'halves', 'coarse', 'minus', 'byte', 'twelve'),
    },
    {'dicom tags': ('bare',), 'dicom slope': ('each',)},
    {
        'nifti form': ('neither',),
        'nifti axes': tuple(c for c in AXES if c != 'RAS'),
    },  # the orientation that must be assumed
    {'nifti form': ('neither',), 'tilt': ('eight', 'minus')},
    {'png mode': ('L', 'LA', 'RGB', 'RGBA', 'P'), 'values': ('shifted',)},
    {'header': ('line',), 'newline': ('old_mac',), 'quotes': ('needed',)},
    {'encoding': ('cp1252',), 'who': ('table_apart',)},
)
REFUSED = (  # what the product refuses, and the words that it must use
    (
        {'keep': ('mm:7:13',), 'format': ('npy', 'tiff'), 'picture layout': ('one',)},
        'no spacing',
    ),
    ({'tiff packed': ('lzw',), 'picture layout': ('one',)}, 'compressed with LZW'),
    ({'dicom axes': SIDEWAYS, 'truth': ('square', 'oblong')}, 'not axial'),
    ({'dicom tags': ('bare',), 'values': ('hu',)}, 'RescaleIntercept'),
)


def goes(option, how):
    return all(how.get(d) in options for d, options in option.items())


@lru_cache
def extremes(values):
    every = [VALUES[values](h) for t in TRUTHS.values() for h in t.heads]
    return np.array([min(h.min() for h in every), max(h.max() for h in every)])


def can_be(how):
    "Whether the options of `how` go together"
    if any(goes(o, how) for o in CANNOT):
        return False
    if how['values'] not in FORMATS[how.get('format', 'nifti')].values:
        return False
    numbers = [DIMENSIONS[d][how[d]] for d in how if d.endswith('numbers')]
    slope = min(DICOM_SLOPE[how.get('dicom slope', 'one')])
    return all(fits(extremes(how['values']), n, slope) for n in numbers)


def choices(dimension, how):
    return [o for o in DIMENSIONS[dimension] if can_be(how | {dimension: o})]


def compose(choose, whole={}, heads=({}, {}, {})):
    "An encoding: `choose` one of a list for each dimension that is not given"
    how = {'values': whole.get('values') or choose(list(VALUES))} | whole
    for d in TO_ALL:
        if d not in how:
            how[d] = choose(choices(d, how))

    def one(given):
        head = dict(given)
        if 'format' not in head:
            head['format'] = choose(choices('format', how))
        for d in FORMATS[head['format']].uses:
            if d not in head:
                head[d] = choose(choices(d, how | head))
        return head

    return how | dict(heads=[one(h) for h in heads])


def in_one_file(head):
    return (
        head['format'] == 'nifti'
        or head.get('picture layout') == 'one'
        or head.get('dicom layout') == 'enhanced'
    )


def write(how, folder):
    "Write an encoding; what is given to `ingest` as raw, and its options"
    truth, tree = TRUTHS[how['truth']], folder / 'raw'
    names, listed = WHO[how['who']]
    numbers = []
    for name, hu, one in zip(names, truth.heads, how['heads']):
        head = Head(name, VALUES[how['values']](hu), truth.mm)
        file = put_in_place(tree, how['place'], name, not in_one_file(one))
        numbers.append(FORMATS[one['format']].write(file, head, how | one))
    for name, content in JUNK[how['junk']].items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(content)
    end, save = TABLE[how['table']]
    path = tree / TABLE_PLACE[how['table place']].format(end=end, END=end.upper())
    path.parent.mkdir(exist_ok=True)
    save(path, table_cells(how, more_rows(how, table_rows(how, listed, numbers))), how)
    return ARCHIVE[how['archive']](tree), said(how, path.relative_to(tree), tree)


def said(how, table, tree):
    "Options that a user gives"
    out = dict(
        modality='CT',
        slices=how['keep'],
        slice_axis=how['slice axis'],
        **SAID[how['values']],
        **TOLD[how['told']],
        **HEADERS[how['header']][3],
    )
    if how['label of'] == 'slice':
        out['slice_column'] = HEADERS[how['header']][2]
    any_name = '|'.join(map(re.escape, WHO[how['who']][0]))
    if how['place'] in SAID_OF_PLACE:
        out['subject'] = SAID_OF_PLACE[how['place']].format(any=any_name)
    if how['table place'] == 'chosen':
        (tree / 'other.csv').write_text('subject,label\nx,1\n')
        out['labels'] = TOP.get(how['archive'], '') + str(table)
    return out
