"""One truth, many encodings: every cohort that comes out equals every other, or the file is refused with its reason."""

import os, random, sys, unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory
import numpy as np, pandas as pd, pytest
from hypothesis import HealthCheck, given, settings, strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from one_truth import (
    DIMENSIONS,
    FORMATS,
    GRIDS,
    KEEP,
    REFUSED,
    SLICE_YEARS,
    TO_ALL,
    TO_EACH,
    TRUTHS,
    VALUES,
    WHO,
    can_be,
    compose,
    error,
    goes,
    in_one_file,
    write,
)
import duiit.ingest.card
from duiit.data.cohort import Cohort
from duiit.core import InputError
from duiit.ingest.folder import RECIPES
from duiit.data.geometry import fit_square
from duiit.ingest.pipeline import ingest

EXAMPLES = int(
    os.environ.get('DUIIT_EXAMPLES', 30)
)  # more of them by hand: DUIIT_EXAMPLES=2000 pytest tests/test_one_truth.py


# ------------------------------------------------------------ what must come out
def kept(how, head, n):
    "Which slices a rule keeps: of volumes, not of single pictures"
    if not in_one_file(head) and head['format'] != 'dicom':
        return np.arange(n)
    k, gap = np.arange(n), TRUTHS[how['truth']].mm[0]
    rules = {'middle:2': k[(n - 2) // 2 :][:2], 'mm:7:13': k[(k * gap >= 7) & (k * gap <= 13)]}
    return rules[how['keep']] if how['keep'] in rules else k[KEEP[how['keep']]]


def spacing(how, head):
    "mm between rows and columns that the product can know"
    if FORMATS[head['format']].spacing:
        return TRUTHS[how['truth']].mm[1:]
    return (3.0, 3.0) if how['told'] == 'spacing' else None


def slack(how, head, resampled):
    "By how much pixels may differ: half a step of what is stored, half a unit where they are resampled"
    pixels = VALUES[how['values']](TRUTHS[how['truth']].heads[0])
    stored = [error(pixels, DIMENSIONS[d][o]) for d, o in head.items() if d.endswith('numbers')]
    return sum(stored) + FORMATS[head['format']].lossy + (0.501 if resampled else 0)


def expected(how, i):
    "Labels, pixels and their slack of subject `i`, or the set of reasons of which one must be given"
    truth, head = TRUTHS[how['truth']], how['heads'][i]
    why = {words for option, words in REFUSED if goes(option, how | head)}
    if why:
        return why
    k = kept(how, head, len(truth.heads[i]))
    pixels = VALUES[how['values']](truth.heads[i])[k].astype(np.float32)
    size, mm = GRIDS[how['grid']]
    known = spacing(how, head)
    zoom = [o / mm for o in known] if known else [size / max(pixels.shape[1:])]
    labels = truth.ages[i] + SLICE_YEARS * (k if how['label of'] == 'slice' else 0 * k)
    return (
        labels,
        fit_square(pixels, known, size, mm),
        slack(how, head, max(abs(z - 1) for z in zoom) > 1e-3),
    )


# ------------------------------------------------------------ what came out
def plain(name):
    "A subject as people mean it"
    name = unicodedata.normalize('NFC', str(name)).casefold()
    return name.lstrip('0') if name.isdigit() else name


def made(how, folder):
    "The cohort's folder, or the words with which the product refused"
    raw, options = write(how, folder)
    size, mm = GRIDS[how['grid']]
    try:
        return ingest(
            RECIPES['folder'],
            raw,
            folder / 'cohort',
            size=size,
            spacing=mm,
            jobs=1,
            progress=False,
            **options,
        )
    except InputError as e:
        return str(e)


def difference(cohort, name, want):
    "What is wrong with a subject of a cohort, or ''"
    rows = np.flatnonzero([plain(s) == plain(name) for s in cohort.frame.subject])
    labels, pixels, slack = want
    if len(rows) != len(labels):
        return f'{len(rows)} slices, {len(labels)} expected'
    got = cohort.images[rows]
    if not np.array_equal(cohort.frame.label.to_numpy()[rows], labels):
        return f'labels {cohort.frame.label.to_numpy()[rows]}, expected {labels}'
    off = float(abs(got - pixels).max())
    return f'pixels differ by up to {off:g}, {slack:g} allowed' if off > slack else ''


def said_one(want, text):
    "Whether a refusal was expected, and one of its reasons given"
    return isinstance(want, set) and any(words in text for words in want)


def judge(how, folder):
    "{subject: what is wrong}"
    out, wrong = made(how, folder), {}
    names, _ = WHO[how['who']]
    want = [expected(how, i) for i in range(len(names))]
    if isinstance(out, str):
        return {n: out for n, w in zip(names, want) if not said_one(w, out)}
    cohort, left = (
        Cohort.load(out),
        pd.read_csv(out / 'excluded.csv', keep_default_na=False, dtype=str),
    )
    for name, w in zip(names, want):
        mine = left[left.subject.map(plain) == plain(name)]
        reasons = '; '.join(sorted(set(mine.reason + ': ' + mine.detail)))
        there = any(plain(s) == plain(name) for s in cohort.frame.subject)
        refused = '' if not there and said_one(w, reasons) else f'{w} expected'
        bad = refused if isinstance(w, set) else difference(cohort, name, w)
        if bad:
            wrong[name] = f'{bad} (left out: {reasons})'
    known = all(spacing(how, h) for h, w in zip(how['heads'], want) if not isinstance(w, set))
    if (cohort.meta['spacing_mm'] is not None) != known:
        wrong['spacing'] = cohort.meta['spacing_mm']
    return wrong


# ------------------------------------------------------------ tests
@pytest.fixture(autouse=True, scope='module')
def no_card():
    "The data card takes half of the time and is tested elsewhere"
    with pytest.MonkeyPatch.context() as m:
        m.setattr(duiit.ingest.card, 'render_card', lambda **_: '')
        yield


def judged(how):
    with TemporaryDirectory() as folder:
        return judge(how, Path(folder))


def first(options):
    return options[0]


def whole_once(dimension):
    "Encodings with every option of a dimension of the whole cohort"
    for option in DIMENSIONS[dimension]:
        yield (
            option,
            compose(
                first,
                {dimension: option},
                ({'format': 'nifti'}, {'format': 'dicom'}, {'format': 'npy'}),
            ),
        )


def heads_once(dimension):
    "Encodings with every option of a dimension of single heads, three at a time"
    of = {}
    for option in DIMENSIONS[dimension]:
        for name, form in FORMATS.items():
            if dimension not in form.uses and (dimension, option) != ('format', name):
                continue
            head = {'format': name, dimension: option}
            values = next(v for v in form.values if can_be({'values': v} | head))
            of.setdefault(values, []).append(head)
    for values, heads in of.items():
        for i in range(0, len(heads), 3):
            three = (heads[i : i + 3] * 3)[:3]
            yield (
                [h[dimension] for h in three],
                compose(first, {'values': values, 'truth': 'cubes'}, three),
            )


@pytest.mark.parametrize('dimension', DIMENSIONS)
def test_every_option(dimension):
    once = heads_once if dimension in TO_EACH else whole_once
    found = [(option, judged(how)) for option, how in once(dimension)]
    assert [(option, wrong) for option, wrong in found if wrong] == []


@st.composite
def encodings(draw):
    return compose(lambda options: draw(st.sampled_from(options)))


@given(encodings())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_combination(how):
    assert judged(how) == {}


def exact(seed):
    "A random encoding that keeps everything: no value is rounded, nothing is refused"
    asked = {
        'truth': 'square',
        'values': 'hu',
        'grid': 'own',
        'keep': 'all',
        'label of': 'subject',
        'who': 'plain',
        'slice axis': 'first',
    }
    rng = random.Random(seed)
    heads = []
    while len(heads) < 3:
        how = compose(rng.choice, asked)
        good = [
            h
            for i, h in enumerate(how['heads'])
            if not isinstance(w := expected(how, i), set) and w[2] == 0
        ]
        heads += good
    return how | {'heads': heads[:3]}


def test_fifty_encodings_are_one_cohort(tmp_path):
    marks = {}
    for seed in range(50):
        how = exact(seed)
        out = made(how, tmp_path / str(seed))
        mark = out if isinstance(out, str) else Cohort.load(out).fingerprint
        marks.setdefault(mark, []).append((seed, how))
    assert len(marks) == 1, {mark: found[0] for mark, found in marks.items()}
