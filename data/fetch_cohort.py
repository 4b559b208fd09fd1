#!/usr/bin/env python3
"""Fetch the raw data of a cohort with its publisher's own client, or say how to get them.

usage: python data/fetch_cohort.py NAME [DEST] [--subjects N] [--ct] [--dry]        DEST: default data/raw/NAME

  lgg-mri, ct-ich-kaggle            from Kaggle, needs: pip install kagglehub==1.0.2
  upenn_gbm, fdg_pet_ct_lesions     N subjects from the Imaging Data Commons, needs: pip install idc-index==0.13.4; no account
  axon-sem                          from GitHub with git; files are checked by their SHA-256; no account
  ct-ich, hn-pet                    need an account and a signature: the steps are printed

A download grows in a hidden folder beside DEST and becomes DEST when it is complete; after an interruption the same command goes on.
Exit status 0: the data are in DEST. The clients are not in requirements.lock; they change no version of it.
"""

import argparse, hashlib, logging, os, re, shutil, subprocess, sys
from pathlib import Path

KAGGLE = {
    'lgg-mri': 'mateuszbuda/lgg-mri-segmentation',
    'ct-ich-kaggle': 'vbookshelf/computed-tomography-ct-images',
}
T1_POST = r't1.*(post|gad|gd|contrast|\+ ?c\b|stealth)|(post|gad).*t1'  # as duiit.dicom.T1_POST
IDC = {
    'upenn_gbm': {'MR': T1_POST},
    'fdg_pet_ct_lesions': {'PT': ''},
}  # collection -> the series that the recipe reads: modality and what SeriesDescription holds
GIT = {'axon-sem': 'https://github.com/axondeepseg/data_axondeepseg_sem'}
PINS = dict(kagglehub='kagglehub==1.0.2', idc_index='idc-index==0.13.4')
STEPS = {
    'ct-ich': """ct-ich (PhysioNet 1.3.1, restricted access): there is no automatic way.
1. Make an account at https://physionet.org and log in.
2. Open https://physionet.org/content/ct-ich/1.3.1/ and sign the data use agreement at its end.
3. Download with your own user name (wget asks for the password; the wfdb client cannot log in):
     wget -r -N -c -np --user YOUR_NAME --ask-password -P {dest} https://physionet.org/files/ct-ich/1.3.1/
   or get the zip on that page with a browser; it need not be extracted.
4. duiit cohort ct-ich {dest} data/cohorts/mine/ct
Without this account: the 8-bit pictures of the same patients, python data/fetch_cohort.py ct-ich-kaggle""",
    'hn-pet': """hn-pet (TCIA Head-Neck-PET-CT, restricted: faces could be reconstructed): there is no automatic way.
1. Open https://doi.org/10.7937/K9/TCIA.2017.8oje5q00 and follow "Data Access": make a TCIA account, sign the TCIA Restricted License Agreement
   and send it to the TCIA help desk.
2. Download the manifest (.tcia) of the images and INFOclinical_HN_Version2_30may2018.xlsx from that page.
3. Open the manifest with the NBIA Data Retriever, log in there, choose "Descriptive Directory Name" and the folder {dest}.
   The PET series (modality PT) alone suffice. Put the workbook into the same folder.
4. duiit cohort hn-pet {dest} data/cohorts/mine/pet
Without this access: python data/fetch_cohort.py fdg_pet_ct_lesions""",
}
NEXT = {
    'axon-sem': 'axon-sem {dest} data/cohorts/mine/sem',
    'lgg-mri': 'lgg-mri {dest} data/cohorts/mine/mri',
    'ct-ich-kaggle': 'ct-ich {dest} data/cohorts/mine/ct',
    'upenn_gbm': 'upenn_gbm {dest} data/cohorts/mine/mri',
    'fdg_pet_ct_lesions': 'fdg_pet_ct_lesions {dest} data/cohorts/mine/pet',
}
# of `axon-sem`: images and masks as they were when this was written; newer ones are not refused unseen
SUMS = {
    'derivatives/labels/sub-rat1/micr/sub-rat1_sample-data1_SEM_seg-axonmyelin-manual.png': 'c2b7e54d0218d3025df305aab37641729750b2035ddf0d51ce1232e594708417',
    'derivatives/labels/sub-rat2/micr/sub-rat2_sample-data5_SEM_seg-axonmyelin-manual.png': '8563bf77d1a9dafffbdad8a524bb5e2dcdf93e7ecbade0f2698667de8ca3523f',
    'derivatives/labels/sub-rat3/micr/sub-rat3_sample-data10_SEM_seg-axonmyelin-manual.png': '3cda00940008e65ed8c5f268213dd27c603dd0858cb99e53a2c2127031fad38d',
    'derivatives/labels/sub-rat3/micr/sub-rat3_sample-data11_SEM_seg-axonmyelin-manual.png': '14c233184d55dfba8019cd3ca26c3615d164e6fc3cb196627392c9b5ae79e39a',
    'derivatives/labels/sub-rat3/micr/sub-rat3_sample-data9_SEM_seg-axonmyelin-manual.png': 'c94dfba0a688ca89c7ec92a512e6974051b77a33dcb997a9b1597f0795d687aa',
    'derivatives/labels/sub-rat4/micr/sub-rat4_sample-data12_SEM_seg-axonmyelin-manual.png': 'c00e28b13e206c05dfae4cfc9d4b4c51016a2771624ea1b0b9a7e79826268c53',
    'derivatives/labels/sub-rat5/micr/sub-rat5_sample-data14_SEM_seg-axonmyelin-manual.png': '4080cdb07f5ada0da413744256ca888e8f88bb72101cdce512fdd309a461cf24',
    'sub-rat1/micr/sub-rat1_sample-data1_SEM.png': 'c93a2cfc720984f8d32827d765bfbee9e5d0b23240774a93373a2c05c8abe342',
    'sub-rat2/micr/sub-rat2_sample-data5_SEM.png': 'e878e6d412e0a674a67f57f983a97eac70edc41e04ab222ef4338d2653377a95',
    'sub-rat3/micr/sub-rat3_sample-data10_SEM.png': 'd402873851fa675b0bbaeff8ab752e92e0b8159834f416c4428f78a15883f5ce',
    'sub-rat3/micr/sub-rat3_sample-data11_SEM.png': 'a3fac42bb940fe20371167bc64bae94e47f8551dd699357122c161b39d9fa9e1',
    'sub-rat3/micr/sub-rat3_sample-data9_SEM.png': '067af38d7f98cb7eef988d38c8821af7dc33c73146e79eeff66dc9349a336c47',
    'sub-rat4/micr/sub-rat4_sample-data12_SEM.png': 'd121f05fe9f03458b4dd9a9e4f0fdeba64e5cbd97ec4584415931144e012b764',
    'sub-rat5/micr/sub-rat5_sample-data14_SEM.png': '40641767abf2dc5a6940c9e42e17e2e0ca7a4bfddca50016302c99a0515ba8ca',
}
AGAIN = 'Nothing half-written counts; the same command goes on where it stopped'


class FetchError(Exception):
    "What is missing or wrong, and what to do"


def needed(module):
    "Import a client, or say how to install it"
    try:
        return __import__(module)
    except ModuleNotFoundError as e:
        if e.name != module:
            raise
        raise FetchError(
            f"{module} is not installed. Install it with: {Path(sys.executable).name} -m pip install {PINS[module]}"
        ) from None


def kaggle(name, dest, part, dry=False):
    "Download a data set of Kaggle to `dest`"
    handle, hub = KAGGLE[name], needed('kagglehub')
    import requests, zipfile

    page = f'https://www.kaggle.com/datasets/{handle}'
    print(f"{page}: its licence and terms stand there, check them on the day")
    if dry:
        return
    os.environ['KAGGLEHUB_CACHE'] = str(
        part
    )  # an archive that is cut off is completed by the next call
    try:
        got = Path(hub.dataset_download(handle))
    except requests.HTTPError as e:
        code = getattr(e.response, 'status_code', None)
        if code in (401, 403):
            raise FetchError(
                f"{page}: Kaggle wants to know who asks ({code}). Make an account, "
                "open the page once and accept its terms; then "
                "https://www.kaggle.com/settings, API, Create New Token, "
                "and set KAGGLE_USERNAME and KAGGLE_KEY, or put kaggle.json into ~/.kaggle"
            ) from None
        raise FetchError(
            f"{page}: "
            f"{'there is no such data set any more' if code == 404 else f'Kaggle answers with status {code}; try again later'}"
        ) from None
    except requests.RequestException as e:
        raise FetchError(
            f"{page}: Kaggle cannot be reached ({type(e).__name__}). Is there a network connection? {AGAIN}"
        ) from None
    except (zipfile.BadZipFile, EOFError) as e:
        shutil.rmtree(part)
        raise FetchError(
            f"{page}: the archive arrived damaged ({e}) and was deleted. Give the same command again"
        ) from None
    except OSError as e:
        raise FetchError(
            f"{e.filename or part}: it cannot be written ({e.strerror or e}). {AGAIN}"
        ) from None
    except Exception as e:  # the client has classes of its own for a missing login, damaged data and a damaged kaggle.json
        raise FetchError(
            f"{page}: {' '.join(str(e).split()) or type(e).__name__}. {AGAIN}"
        ) from None
    print(f'version {got.name}')
    os.replace(got, dest)
    shutil.rmtree(part)


def cloned(name, dest, part, dry=False):
    "Clone a data set in the layout of BIDS to `dest`, and check its files"
    url = GIT[name]
    print(f'{url}: MIT licence as listed; check it on the day')
    if dry:
        return
    shutil.rmtree(part)
    how = ['git', 'clone', '--quiet', '--depth', '1', url, str(part)]
    try:
        done = subprocess.run(how, capture_output=True, text=True)
    except FileNotFoundError:
        raise FetchError(
            'git is not installed. Install it and give the same command again'
        ) from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ['git failed'])[-1]
        raise FetchError(f'{url}: {said}. Is there a network connection? {AGAIN}')
    other = [path for path in SUMS if checksum(part / path) != SUMS[path]]
    if other:
        shutil.rmtree(part)  # files that are others would not become right by going on
        raise FetchError(
            f'{url}: {other[0]} is missing or is not the file that was published '
            f'({len(other)} of {len(SUMS)}). If git-annex holds the files, fetch them with it: '
            f'git clone {url} && cd data_axondeepseg_sem && git annex get .'
        )
    os.replace(part, dest)


def checksum(path):
    "SHA-256 of a file, empty where there is none"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''


def choose(index, collection, subjects, ct=False):
    "Rows of the series that are needed: of `subjects` persons with an age, the first study that has them"
    want = IDC[collection] | ({'CT': ''} if ct else {})
    d = index[
        index.Modality.isin(list(want))
        & index.PatientAge.fillna('').str.fullmatch(r'\d{3}[YMWD]')
    ]
    d = d[
        [
            bool(re.search(want[m], str(s), re.I))
            for m, s in zip(d.Modality, d.SeriesDescription)
        ]
    ]
    d = d[d.groupby('StudyInstanceUID').Modality.transform('nunique') == len(want)]
    d = d.sort_values(['PatientID', 'StudyDate', 'StudyInstanceUID'])
    d = d[d.StudyInstanceUID == d.groupby('PatientID').StudyInstanceUID.transform('first')]
    order = sorted(
        d.PatientID.unique(), key=lambda s: hashlib.sha256(s.encode()).hexdigest()
    )  # without regard to anything, and more subjects include the fewer
    if not order:
        raise FetchError(f"{collection}: this version of the index lists no such series")
    return d[d.PatientID.isin(order[:subjects])], len(order)


def incomplete(rows, folder):
    "Series of which `folder` does not hold every byte"
    bad = 0
    for r in rows.itertuples():
        files = [
            f
            for f in (
                folder
                / r.collection_id
                / r.PatientID
                / r.StudyInstanceUID
                / f'{r.Modality}_{r.SeriesInstanceUID}'
            ).glob('*.dcm')
        ]
        bad += (
            len(files) != r.instanceCount
            or abs(sum(f.stat().st_size for f in files) - r.series_size_MB * 1e6) > 0.5
        )
    return bad


class Last(logging.Handler):
    "Keeps the last error that a client logs"

    said = ''

    def emit(self, record):
        lines = [l for l in record.getMessage().splitlines() if l.startswith('ERROR')]
        self.said = self.said or (lines[0][:300] if lines else '')


def idc(name, dest, part, subjects=20, ct=False, dry=False):
    "Download series of a collection of the Imaging Data Commons to `dest`"
    log, last = logging.getLogger('idc_index'), Last()
    needed('idc_index')
    from idc_index import IDCClient

    log.propagate, log.handlers = False, [last]
    print('reading the index ...', flush=True)
    client = IDCClient()
    index = client.sql_query(
        "SELECT collection_id, PatientID, PatientAge, StudyInstanceUID, "
        "StudyDate, SeriesInstanceUID, SeriesDescription, Modality, "
        "instanceCount, series_size_MB, license_short_name, source_DOI "
        f"FROM index WHERE collection_id='{name}' AND analysis_result_id IS NULL"
    )
    rows, most = choose(index, name, subjects, ct)
    size, free = (rows.series_size_MB.sum() / 1e3, shutil.disk_usage(part.parent).free / 1e9)
    print(
        f"{name}, index {client.get_idc_version()}: {rows.PatientID.nunique()} of {most} "
        f"subjects with what is needed, {len(rows)} series, {rows.instanceCount.sum():,} "
        f"files, {size:.2f} GB ({free:.0f} GB free)\n"
        "licence as listed: "
        f"{', '.join(sorted(rows.license_short_name.unique()))}; "
        "check on the day: "
        f"{', '.join('https://doi.org/' + d for d in sorted(rows.source_DOI.unique()))}",
        flush=True,
    )
    if dry:
        return
    if size > 0.95 * free:
        raise FetchError(
            f"{part.parent}: {size:.1f} GB are needed and {free:.1f} GB are "
            "free. Choose fewer subjects or another folder"
        )
    try:
        client.download_from_selection(
            downloadDir=str(part),
            seriesInstanceUID=rows.SeriesInstanceUID.tolist(),
            use_s5cmd_sync=True,
        )
    except OSError as e:
        raise FetchError(
            f"{e.filename or part}: it cannot be written ({e.strerror or e}). {AGAIN}"
        ) from None
    bad = incomplete(rows, part)  # the client raises nothing where a download fails
    if bad:
        raise FetchError(
            f"{name}: {bad} of {len(rows)} series did not arrive whole. "
            "Is there a network "
            f"connection?{f' The client said: {last.said}.' if last.said else ''} {AGAIN}"
        )
    os.replace(part, dest)


def fetch(name, dest, subjects=20, ct=False, dry=False):
    "Bring the raw data of `name` to `dest`"
    if subjects < 1:
        raise FetchError(f"--subjects {subjects}: at least 1 is needed")
    dest = Path(dest).expanduser()
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise FetchError(
            f"{dest}: this is there already and is not touched. Choose another folder, or delete it first"
        )
    part = dest.absolute().with_name(f'.{dest.name}.{name}.part')
    part.mkdir(parents=True, exist_ok=True)
    try:
        if name in KAGGLE:
            kaggle(name, dest, part, dry)
        elif name in GIT:
            cloned(name, dest, part, dry)
        else:
            idc(name, dest, part, subjects, ct, dry)
    finally:
        if part.is_dir() and not any(f.is_file() for f in part.rglob('*')):
            shutil.rmtree(part)
    if not dry:
        print(
            f"{dest}: complete. Now: duiit cohort {NEXT[name].format(dest=dest)}"
            + (
                f"\nand its CT: duiit cohort {name} {dest} data/cohorts/mine/ct --modality ct"
                if ct
                else ''
            )
        )


def main(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='%(prog)s NAME [DEST] [--subjects N] [--ct] [--dry]',
    )
    p.add_argument(
        'name',
        choices=[*KAGGLE, *GIT, *IDC, *STEPS],
        metavar='NAME',
        help='one of the names above',
    )
    p.add_argument(
        'dest',
        nargs='?',
        type=Path,
        metavar='DEST',
        help='folder for the data (default data/raw/NAME)',
    )
    p.add_argument(
        '--subjects',
        type=int,
        default=20,
        metavar='N',
        help='how many subjects of the Imaging Data Commons (default 20)',
    )
    p.add_argument(
        '--ct',
        action='store_true',
        help='fdg_pet_ct_lesions: also the CT of each subject, about three times as much',
    )
    p.add_argument('--dry', action='store_true', help='only say what would be downloaded')
    a = p.parse_args(argv)
    dest = a.dest or Path(os.path.relpath(Path(__file__).resolve().parent / 'raw' / a.name))
    if a.ct and a.name != 'fdg_pet_ct_lesions':
        p.error('--ct goes with fdg_pet_ct_lesions')
    if a.name in STEPS:
        print(STEPS[a.name].format(dest=dest))
        return 1
    try:
        fetch(a.name, dest, a.subjects, a.ct, a.dry)
    except FetchError as e:
        print(e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'\nstopped. {AGAIN}', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
