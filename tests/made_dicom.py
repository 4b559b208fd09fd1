"Small made-up heads, written as DICOM in the ways in which scanners, archives and de-identifiers write them"

import zlib
from functools import lru_cache
from pathlib import Path
import numpy as np, pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from duiit.core import provenance

asked_once = lru_cache(provenance)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    "All of `ingest` in this process, and git is asked once; for every test of a file that imports it"

    def serial(job, numbers, jobs, tick):
        for i in numbers:
            tick(i, job(i))

    monkeypatch.setattr('duiit.ingest.pipeline._run_all', serial)
    monkeypatch.setattr('duiit.ingest.card.provenance', asked_once)


ROOT = '1.2.826.0.1.3680043.8.498.78.'
CLASS = dict(
    CT='1.2.840.10008.5.1.4.1.1.2',
    MR='1.2.840.10008.5.1.4.1.1.4',
    PT='1.2.840.10008.5.1.4.1.1.128',
)
ENHANCED = dict(
    CT='1.2.840.10008.5.1.4.1.1.2.1',
    MR='1.2.840.10008.5.1.4.1.1.4.1',
    PT='1.2.840.10008.5.1.4.1.1.130',
)
SCREEN = '1.2.840.10008.5.1.4.1.1.7'


def uid(*parts):
    "An instance number that follows from its parts"
    return ROOT + '.'.join(str(zlib.crc32(str(p).encode())) for p in parts)


def head(seed, size=64):
    "(size, size) HU: air -1000, skin and brain near 30, skull 800, a nose at the top, a mark on the left of the picture"
    r, c = np.mgrid[:size, :size] * 64 / size
    d = np.hypot((r - 33) / 24, (c - 32) / 18)
    x = np.where(d < 1, 30.0, -1000.0)
    x[(d > 0.84) & (d < 0.94)] = 800
    x[(np.abs(c - 32) < 3) & (r > 4) & (r < 12)] = 30
    x[np.hypot(r - 30, c - 24) < 4] = 70
    noise = np.random.default_rng(seed).normal(0, 6, x.shape)
    return np.rint(x + np.where(d < 0.84, noise + seed % 7, 0)).astype(np.int16)


def data_set(stored, modality, subject, series, k, **tags):
    "A data set around stored numbers; a tag that is None is left away"
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    a = np.ascontiguousarray(stored)
    base = dict(
        Modality=modality,
        SOPClassUID=CLASS.get(modality, SCREEN),
        PatientID=subject,
        StudyInstanceUID=uid(subject, 'study'),
        SeriesInstanceUID=uid(subject, series),
        SOPInstanceUID=uid(subject, series, k),
        FrameOfReferenceUID=uid(subject, 'frame'),
        ImageType=['ORIGINAL', 'PRIMARY', 'AXIAL'],
        SeriesDescription=series,
        StudyDate='20010203',
        SeriesDate='20010203',
        StudyTime='110000',
        SeriesTime='111500',
        AcquisitionTime='111500',
        InstanceNumber=k + 1,
        Rows=a.shape[-2],
        Columns=a.shape[-1],
        SamplesPerPixel=1,
        PhotometricInterpretation='MONOCHROME2',
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=int(a.dtype.kind == 'i'),
        RescaleSlope='1',
        RescaleIntercept='0',
    )
    for name, v in (base | tags).items():
        if v is not None:
            setattr(d, name, v)
    d.PixelData = a.astype(a.dtype.newbyteorder('<')).tobytes()
    d['PixelData'].VR = 'OW'
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
    return d


def save(path, d):
    "Write a data set, and the folders above it"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    d.save_as(path, enforce_file_format=True)


def one_slice(
    path,
    stored,
    modality,
    subject,
    series,
    k,
    z=None,
    mm=3.0,
    orientation=(1, 0, 0, 0, 1, 0),
    **tags,
):
    "One slice, 5 mm below the one before"
    place = dict(
        ImagePositionPatient=[-96, -96, 50 - 5 * k if z is None else z],
        ImageOrientationPatient=list(orientation),
        PixelSpacing=[mm, mm],
    )
    save(path, data_set(stored, modality, subject, series, k, **place | tags))


def axial(folder, subject, modality='CT', n=6, series='axial', change=None, prefix='', **tags):
    "A series of n slices; change(k, stored) gives stored numbers and more tags"
    for k in range(n):
        x = head(10 * int(subject[-1]) + k)
        x, more = change(k, x) if change else (x, {})
        one_slice(
            Path(folder) / f'{prefix}{k}.dcm', x, modality, subject, series, k, **tags | more
        )


def table(folder, ids=('P1', 'P2', 'P3')):
    "Ages 30, 40, ... of some subjects"
    Path(folder).mkdir(parents=True, exist_ok=True)
    rows = [f'{s},{30 + 10 * i}' for i, s in enumerate(ids)]
    (Path(folder) / 'ages.csv').write_text('\n'.join(['subject,age', *rows]) + '\n')
    return Path(folder)


def functional(**groups):
    "An item of functional groups: name of the group -> dict of tags"
    out = Dataset()
    for name, tags in groups.items():
        item = Dataset()
        for k, v in tags.items():
            setattr(item, k, v)
        setattr(out, name, [item])
    return out


def enhanced(
    path,
    subject,
    modality='CT',
    order=range(6),
    scale=None,
    shared_scale=True,
    extra=None,
    stored=None,
    **tags,
):
    "One file with all slices as frames, in any order; scale(k) is (slope, intercept); extra(i, k) more groups of frame i"
    order = list(order)
    scale = scale or (lambda k: (1, 0))
    frames, groups = [], []
    for i, k in enumerate(order):
        slope, shift = scale(k)
        x = head(10 * int(subject[-1]) + k) if stored is None else stored(k)
        frames.append(np.rint((x - shift) / slope))
        g = dict(
            PlanePositionSequence=dict(ImagePositionPatient=[-96, -96, 50 - 5 * k]),
            PixelMeasuresSequence=dict(PixelSpacing=[3, 3], SliceThickness=5),
        )
        if not shared_scale:
            g['PixelValueTransformationSequence'] = dict(
                RescaleSlope=f'{slope:g}', RescaleIntercept=f'{shift:g}', RescaleType='HU'
            )
        groups.append(functional(**g | (extra(i, k) if extra else {})))
    shared = dict(PlaneOrientationSequence=dict(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    if shared_scale:
        shared['PixelValueTransformationSequence'] = dict(
            RescaleSlope='1', RescaleIntercept='0', RescaleType='HU'
        )
    bare = dict(
        RescaleSlope=None,
        RescaleIntercept=None,
        NumberOfFrames=len(order),
        SOPClassUID=ENHANCED[modality],
    )
    more = dict(
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[functional(**shared)],
    )
    save(
        path,
        data_set(
            np.stack(frames).astype(np.int16),
            modality,
            subject,
            'axial',
            0,
            **bare | more | tags,
        ),
    )


def tracer(half_life='6586.2', dose='370000000', start='20010203101500', name='FDG', **more):
    "The item on the injection, an hour before the scan"
    item = Dataset()
    tags = dict(
        RadionuclideHalfLife=half_life,
        RadionuclideTotalDose=dose,
        RadiopharmaceuticalStartDateTime=start,
        RadiopharmaceuticalStartTime=start and start[8:],
        Radiopharmaceutical=name,
    )
    for k, v in (tags | more).items():
        if v is not None:
            setattr(item, k, v)
    return item


def body(z, size=64, mm=6.0):
    "SUV of a slice z mm below the crown: brain from 20 to 120 mm at 8, neck at 1"
    r, c = (np.mgrid[:size, :size] - (size - 1) / 2) * mm / 4
    if z < 20:
        return np.where((r / 22) ** 2 + (c / 18) ** 2 < z / 20, 1.0, 0.0)
    if z < 130:
        return np.where(
            (r / 21) ** 2 + (c / 17) ** 2 < 0.8,
            8.0,
            np.where((r / 23) ** 2 + (c / 19) ** 2 < 1, 1.0, 0.0),
        )
    return np.where((r / 20) ** 2 + (c / 18) ** 2 < 1, 1.0, 0.0)


def pet(
    folder,
    subject,
    age='040Y',
    decays=3600 / 6586.2,
    dose=370e6,
    weight=70.0,
    item=None,
    n=45,
    study='study',
    **tags,
):
    "A PET series of n slices, 4 mm apart, in Bq/ml at the start of the scan, `decays` half lives after the injection"
    bq = dose * 2**-decays / (weight * 1000)
    for k in range(n):
        noise = np.random.default_rng(k).standard_normal((64, 64))
        x = body(4 * k) * bq * (1 + 0.01 * noise)
        step = max(x.max(), 1) / 32000
        tags_ = dict(
            Units='BQML',
            DecayCorrection='START',
            CorrectedImage=['ATTN', 'SCAT', 'DECY'],
            PatientWeight=f'{weight:g}',
            PatientAge=age,
            RadiopharmaceuticalInformationSequence=[item or tracer()],
            ImageType=['ORIGINAL', 'PRIMARY'],
            RescaleSlope=f'{step:.9g}',
            StudyInstanceUID=uid(subject, study),
            SeriesInstanceUID=uid(subject, study, 'PET'),
            SOPInstanceUID=uid(subject, study, k),
        )
        one_slice(
            Path(folder) / f'{k:03d}.dcm',
            np.rint(x / step).astype(np.int16),
            'PT',
            subject,
            'PET',
            k,
            z=300 - 4 * k,
            mm=6.0,
            **tags_ | tags,
        )
