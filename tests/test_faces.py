"Nothing that is written shows skin, nose or skull, whatever surrounds the head and however its values are scaled"

import base64, io, re
from functools import lru_cache
from types import SimpleNamespace
import numpy as np, pandas as pd, pytest
from PIL import Image
from scipy.ndimage import binary_dilation, distance_transform_edt
from made_dicom import axial, one_slice, quick, table
from duiit.data.units import Norm
from duiit.ingest.folder import FOLDER
from duiit.ingest.card import _small
from duiit.data.faces import blank_face
from duiit.ingest.pipeline import ingest
from duiit.study.evaluate import gallery_of, hides

RIM, SIZE = 15.0, 220  # mm
SKIN, SKULL, BRAIN = 76.0, 70.0, 64.0  # mm from the middle to the outer edges


def place(step):
    "(row, column, radius) in mm of each pixel"
    n = int(SIZE / step)
    y, x = (np.indices((n, n)) - (n - 1) / 2) * step
    return y, x, np.hypot(y, x)


def head(step=1.5, noise=0.0, seed=1):
    "(n, n) HU of a round head with a nose of 20 mm at its front"
    y, x, r = place(step)
    h = np.where(
        r < BRAIN, 35.0, np.where(r < SKULL, 1200.0, np.where(r < SKIN, 40.0, -1000.0))
    )
    h[np.hypot(y + 20, x - 10) < 12] = 60
    h[(np.abs(x) < 12 - (-SKIN - y) * 0.4) & (y < -SKULL) & (y > -96)] = 40
    return h + noise * np.random.default_rng(seed).standard_normal(h.shape)


@lru_cache
def allowed(step):
    "What may be shown: everything 15 mm inside the true outline, give or take two pixels"
    y, x, r = place(step)
    nose = (np.abs(x) < 12 - (-SKIN - y) * 0.4) & (y < -SKULL) & (y > -96)
    return distance_transform_edt((r < SKIN) | nose, sampling=step) > RIM - 2 * step


def outside(shape, step):
    "Where there is padding"
    y, x, r = place(step)
    masks = dict(
        none=r < 0, circle=r > 104, square=(np.abs(x) > 98) | (np.abs(y) > 100), left=x < -90
    )
    return masks[shape]


def leaks(shown, step):
    "Pixels that are shown although they lie nearer to the outline than the rim"
    return int((shown & ~allowed(step)).sum())


def blanked(h, step, window=None):
    "(H, W) bool: what of a picture is shown, as a viewer with this window sees it"
    lo, hi = window or (-np.inf, np.inf)
    b = blank_face(h[None], step, window=window)[0]
    return b.clip(lo, hi) != np.clip(h.min(), lo, hi)


PADS = (-32768, -3024, -2000, -1024, 0, 200, 3000, 32767)
SHAPES = ('circle', 'square', 'left')
WINDOWS = (None, (-100.0, 200.0), (0.0, 80.0), (-1024.0, 3000.0))


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('noise', [0, 12, 30])
def test_every_padding(shape, noise, window):
    for pad, step in zip(PADS, (1.0, 2.0) * 4):
        h = np.rint(head(step, noise))
        h[outside(shape, step)] = pad
        assert leaks(blanked(h, step, window), step) == 0, (pad, step)


def test_no_padding_shows_the_brain():
    y, x, r = place(1.0)
    for noise in (0, 12, 30):
        for window in (None, (-100.0, 200.0), (-1024.0, 3000.0)):
            shown = blanked(np.rint(head(1.0, noise)), 1.0, window)
            assert leaks(shown, 1.0) == 0 and shown[r < 50].mean() > 0.9


def test_common_padding_shows_the_brain():
    y, x, r = place(1.0)
    for pad in (-3024, -2000, -1024):
        h = head(1.0, 12)
        h[outside('circle', 1.0)] = pad
        for window in ((-100.0, 200.0), (-1024.0, 3000.0), None):
            assert blanked(h, 1.0, window)[r < 50].mean() > 0.9


UNITS = {
    'MR': lambda h: np.where(h > -500, 300 + h / 4, 0.0),
    'PET': lambda h: np.select([h > 500, h > -500], [0.5, 5.0], 0.0),
    '8 bits': lambda h: ((h + 1000) / 8).clip(0, 255).round(),
    '8 bits of a window': lambda h: ((h + 20) / 120 * 255).clip(0, 255).round(),
    'inverted': lambda h: 255 - ((h + 1000) / 8).clip(0, 255).round(),
    'inverted window': lambda h: 255 - ((h + 20) / 120 * 255).clip(0, 255).round(),
    'air is grey': lambda h: 60 + ((h + 20) / 120 * 150).clip(0, 150).round(),
    'low contrast': lambda h: 60 + ((h + 20) / 120 * 12).clip(0, 12).round(),
    'stored HU + 1024': lambda h: h + 1024,
    'slope 0.01': lambda h: h * 0.01,
}


@pytest.mark.parametrize('unit', UNITS)
@pytest.mark.parametrize('share', [0, 0.01, 0.03])
def test_every_unit(unit, share):
    x = UNITS[unit](head(1.0))
    noise = share * np.ptp(x) * np.random.default_rng(3).standard_normal(x.shape)
    noisy = x + (np.abs(noise) if unit in ('MR', 'PET') else noise)
    for shape in ('none', *SHAPES):
        for pad in (x.min(), 0.0, x.max()):
            z = noisy.copy()
            z[outside(shape, 1.0)] = pad
            assert leaks(blanked(z, 1.0), 1.0) == 0, (shape, pad)


@pytest.mark.parametrize('window', WINDOWS)
@pytest.mark.parametrize('pad', PADS)
def test_pictures_are_made_small_before_they_are_blanked(pad, window):
    "As the data card does with 320 pixels: to 160"
    fine, coarse = SIZE / 320, SIZE / 160
    for noise in (0, 12, 30):
        h = np.rint(head(fine, noise)).astype(np.float32)
        h[outside('circle', fine)] = pad
        small, mm = _small(h, fine)
        assert small.shape == (160, 160) and np.isclose(mm, coarse)
        assert leaks(blanked(small, mm, window), coarse) == 0


@pytest.mark.parametrize('noise', [2, 10, 40, 60])
def test_mr_in_a_larger_field_of_zeros(noise):
    x = UNITS['MR'](head(1.0))
    x = np.abs(x + noise * np.random.default_rng(2).standard_normal(x.shape))
    b = blank_face(np.pad(x, 80)[None], 1.0)[0][80:-80, 80:-80]
    assert leaks(b != 0, 1.0) == 0 and (b != 0)[place(1.0)[2] < 50].mean() > 0.95


@pytest.mark.parametrize('value', [32767.0, -32768.0, 3071.0])
@pytest.mark.parametrize('n', [1, 20, 400])
def test_a_few_hot_pixels(value, n):
    h = head(1.0, 10)
    at = np.random.default_rng(5).integers(0, len(h), (2, n))
    h[tuple(at)] = value
    for window in WINDOWS:
        b = blank_face(h[None], 1.0, window=window)[0]
        hot = h == value
        shown = (b != h.min()) & ~hot if value < 0 else b != h.min()
        assert leaks(shown, 1.0) == 0


def test_two_heads_and_cut_heads():
    h, may = head(1.0, 10), allowed(1.0)
    both = blank_face(np.concatenate([h, h], 1)[None], 1.0)[0]
    assert not ((both != both.min()) & ~np.concatenate([may, may], 1)).any()
    for cut in (np.s_[:, 60:], np.s_[:, 60:160], np.s_[30:, :], np.s_[:180, 40:]):
        b = blank_face(h[cut][None], 1.0)[0]
        assert not ((b != h[cut].min()) & ~may[cut]).any(), cut


def test_random_combinations():
    rng = np.random.default_rng(11)
    for _ in range(60):
        step, unit, shape = (
            rng.choice([1.0, 1.5, 2.0]),
            rng.choice(list(UNITS)),
            rng.choice(['none', *SHAPES]),
        )
        x = UNITS[unit](head(step, rng.choice([0, 5, 20])))
        x[outside(shape, step)] = rng.choice(
            [x.min(), x.max(), x.min() - 2 * np.ptp(x), x.max() + np.ptp(x), 0]
        )
        x = x * rng.choice([1, 0.1, 10, 3.7]) + rng.choice([0, 100, -500])
        assert leaks(blanked(x, step), step) == 0, (step, unit, shape)


# -- everything that is written


def pictures(card):
    "The pictures of a data card, (H, W) each"
    found = re.findall(r'data:image/png;base64,([A-Za-z0-9+/=]+)', card.read_text())
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(o)))) for o in found]


def card_leaks(picture, step):
    "Pixels of a picture of a card that are not black outside of what may be shown"
    may = Image.fromarray(binary_dilation(allowed(step), iterations=2)).resize(
        picture.shape[::-1]
    )
    return int(((picture > 0) & ~np.asarray(may)).sum())


WRITTEN = [  # padding, slope, unit, window
    (-3024, 1, 'HU', ''),
    (-3024, 1, 'HU', '-100,200'),
    (-3024, 1, '', ''),
    (-3024, 1, '', '-100,200'),
    (-2000, 1, 'HU', '0,80'),
    (0, 1, 'HU', '-100,200'),
    (200, 1, 'HU', ''),
    (3000, 1, '', ''),
    (-1024, 0.5, 'HU', '-20,100'),
    (None, 1, 'HU', ''),
    (None, 2, '', ''),
]


@pytest.mark.parametrize('pad,slope,unit,window', WRITTEN)
def test_card_and_gallery(tmp_path, pad, slope, unit, window):
    step, n = 1.5, int(SIZE / 1.5)
    for s in ('P1', 'P2'):
        for k in range(3):
            h = np.rint(head(step, 12, seed=k + 10 * int(s[-1])))
            if pad is not None:
                h[outside('circle', step)] = pad
            stored = np.rint(h / slope).astype(np.int16)
            one_slice(
                tmp_path / 'raw' / s / f'{k}.dcm',
                stored,
                'CT',
                s,
                'axial',
                k,
                mm=step,
                RescaleSlope=f'{slope:g}',
            )
    out = ingest(
        FOLDER,
        table(tmp_path / 'raw', ('P1', 'P2')),
        tmp_path / 'out',
        size=n,
        spacing=step,
        jobs=1,
        progress=False,
        modality='CT',
        unit=unit,
        window=window,
    )
    shown = pictures(out / 'card.html')
    assert len(shown) == 2 and all(card_leaks(p, step) == 0 for p in shown)
    check_gallery(out, window, step)


def check_gallery(out, window, step):
    "The gallery that a run of this source writes"
    from duiit.data.cohort import Cohort

    c = Cohort.load(out)
    x = np.stack(list(c.images)).astype(np.float32)
    lo, hi = map(float, window.split(',')) if window else np.percentile(x, (0.5, 99.5))
    y = Norm(lo, hi).encode(x)
    run = SimpleNamespace(
        data=SimpleNamespace(
            sources={'ct': SimpleNamespace(meta=c.meta)},
        ),
        study=SimpleNamespace(target='mr', faces=False),
    )
    bright = np.ones_like(y)
    g = gallery_of(
        'ct', c.frame, y, bright, bright, bright, np.arange(len(y)), hidden=hides(run, 'ct')
    )
    for k in ('source', 'fake', 'rec', 'truth'):
        assert all(leaks(p > 0, step) == 0 for p in g[k]), k
