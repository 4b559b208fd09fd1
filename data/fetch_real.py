#!/usr/bin/env python3
"""Fetch three real head scans (and, with --all, one real PET slice) out of public packages.

usage: python data/fetch_real.py [DEST] [--all]        DEST: default data/raw/real

Each scan is one named member of one pinned package archive. The archive comes through the ordinary client (`pip download`
or `npm pack`), only that member is read out, and both SHA-256 must match. Nothing is installed into your environment (after
the archive's hash was checked, pip asks the package's build script for its name, in a throw-away environment). Files already
there with the right hash are kept. A package's licence does not license its pictures: use them here, never commit or publish them.
"""

import argparse, hashlib, importlib.util, os, shutil, subprocess, sys, tarfile, tempfile
from pathlib import Path

# client, package==version, SHA-256 of the package archive (checked before anything else reads it)
DICOM2STL = (
    'pip',
    'dicom2stl==0.5.0',
    'fb214135f811315203829abbc579cfdb8108d6af4fe49bd513620f4a4fae023d',
)
DICOMWEB = (
    'npm',
    'dicomweb-client@0.11.3',
    'cda90aae5843f974beaeaf9c191f238209e18b28a932b10af575df6d7320d891',
)

# output file, package, member of the archive, SHA-256 of the member
SCANS = [
    (
        'ct_pair.nii.gz',
        DICOM2STL,
        'dicom2stl-0.5.0/examples/Data/ct_example.nii.gz',
        'dc828025b8624fbdc690de0d4bc49ae30d1926d782bf8302e6b9d410986ae866',
    ),
    (
        'mr_pair.nii.gz',
        DICOM2STL,
        'dicom2stl-0.5.0/examples/Data/mri_t1_example.nii.gz',
        '7a341660896cee6845e1f3a6b1abbb15e16da659527a44ad5bdf735eeaa1e954',
    ),
    (
        'ct_head.nii.gz',
        DICOM2STL,
        'dicom2stl-0.5.0/examples/Data/ct_head.nii.gz',
        'f47d7dabbe05af8703b559284833d31936d9969e452a0e22d77dae9a8e3f6331',
    ),
]
MORE = [
    (
        'pet_slice.dcm',
        DICOMWEB,
        'package/testData/sample.dcm',
        'b1de9ab5962c5f84ab719b498f3fd2683be62ddfbff3ca8b8ff9522c7cd85bd5',
    )
]


class FetchError(Exception):
    "What is missing or wrong, and what to do"


def sha256(path):
    h = hashlib.sha256()
    with open(path, 'rb') as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


def client(kind, spec, sha, folder):
    "The command that puts the archive of `spec` into `folder`"
    if kind == 'npm':
        if not shutil.which('npm'):
            raise FetchError(
                f"{spec}: npm was not found, and it is needed to fetch this package. "
                "Install Node.js, or go without: the CT and MR study does not use it"
            )
        return [
            'npm',
            'pack',
            '--silent',
            '--ignore-scripts',
            '--pack-destination',
            str(folder),
            spec,
        ]
    if importlib.util.find_spec('pip'):
        pip = [sys.executable, '-m', 'pip']
    elif found := shutil.which('pip3') or shutil.which('pip'):
        pip = [found]
    else:
        raise FetchError(
            f"{spec}: pip was not found. Make it available with: {Path(sys.executable).name} -m ensurepip"
        )
    want = folder / 'wanted.txt'
    want.write_text(f'{spec} --hash=sha256:{sha}\n')
    return [
        *pip,
        'download',
        '--quiet',
        '--disable-pip-version-check',
        '--no-deps',
        '--require-hashes',
        '--no-binary',
        spec.split('==')[0],
        '--dest',
        str(folder),
        '--requirement',
        str(want),
    ]


def archive(package, folder):
    "Download one package archive into `folder` and check its hash"
    kind, spec, sha = package
    folder.mkdir()
    try:
        run = subprocess.run(
            client(kind, spec, sha, folder), capture_output=True, text=True, timeout=900
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise FetchError(
            f"{spec}: the download did not finish ({type(e).__name__}). Is there a network connection?"
        ) from None
    got = [p for p in folder.iterdir() if p.name.endswith(('.tar.gz', '.tgz'))]
    if run.returncode or len(got) != 1:
        said = (run.stderr.strip() or run.stdout.strip()).splitlines()[-3:]
        raise FetchError(
            f"{spec}: {kind} could not fetch it; is there a network connection, "
            "and does the package index hold this version? It said: "
            f"{' | '.join(said) or 'nothing'}"
        )
    if sha256(got[0]) != sha:
        raise FetchError(
            f"{spec}: the archive has SHA-256 {sha256(got[0])}, expected {sha}. "
            "It is not the pinned one; nothing was extracted"
        )
    return got[0]


def extract(archive, member, sha, out):
    "Write one member of a tar archive to `out`, whole or not at all; the name inside the archive never becomes a path"
    try:
        with tarfile.open(archive) as t:
            info = t.getmember(member)
            if not info.isfile():
                raise FetchError(f"{archive.name}: {member} is not a plain file")
            data = t.extractfile(info).read()
    except KeyError:
        raise FetchError(f"{archive.name}: no member {member}") from None
    except (tarfile.TarError, EOFError, OSError) as e:
        raise FetchError(
            f"{archive.name}: damaged archive ({e}). Run the same command again"
        ) from None
    got = hashlib.sha256(data).hexdigest()
    if got != sha:
        raise FetchError(
            f"{archive.name}: {member} has SHA-256 {got}, expected {sha}; not written"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    fd, tmp = tempfile.mkstemp(dir=out.parent, prefix='.', suffix='.part')
    try:
        with os.fdopen(fd, 'wb') as f:
            f.write(data)
        os.chmod(tmp, 0o644)
        os.replace(tmp, out)
    finally:
        Path(tmp).unlink(missing_ok=True)


def fetch(dest, scans, download=archive):
    "Bring `scans` to `dest`; returns the messages of those that could not be had"
    dest, failed, archives = Path(dest), [], {}
    with tempfile.TemporaryDirectory() as tmp:
        for name, package, member, sha in scans:
            out = dest / name
            if out.is_file() and sha256(out) == sha:
                print(f'{name}: already there')
                continue
            try:
                if package not in archives:
                    try:
                        archives[package] = download(package, Path(tmp) / str(len(archives)))
                    except FetchError as e:
                        archives[package] = e
                if isinstance(archives[package], FetchError):
                    raise archives[package]
                extract(archives[package], member, sha, out)
                print(f'{name}: fetched from {package[1]}')
            except FetchError as e:
                failed.append((name, str(e)))
    return failed


def main(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        epilog="A package's licence does not license its pictures: never commit or publish them.",
    )
    p.add_argument(
        'dest',
        nargs='?',
        type=Path,
        default=Path(__file__).resolve().parent / 'raw' / 'real',
        help='folder for the scans (default data/raw/real)',
    )
    p.add_argument(
        '--all',
        action='store_true',
        help='also the PET slice, which needs npm and which no study uses',
    )
    a = p.parse_args(argv)
    failed = fetch(a.dest, SCANS)
    extra = fetch(a.dest, MORE) if a.all else []
    for said in dict.fromkeys(said for _, said in failed + extra):
        print(said, file=sys.stderr)
    if extra:
        print(
            f"skipped: {', '.join(n for n, _ in extra)}; the CT and MR study does not need it",
            file=sys.stderr,
        )
    if failed:
        print(f"missing: {', '.join(n for n, _ in failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())
