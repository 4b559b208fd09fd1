"Where many subjects are drawn, several processes draw them: the files are the same"

import hashlib
from duiit.data import phantom


def made(folder):
    "path -> hash of what a small phantom writes"
    spec = phantom.Phantom(ct=5, mri=3, pet=0, held=2, size=32, slices=2)
    phantom.make_phantom(folder, spec, progress=False)
    files = [f for f in sorted(folder.rglob('*')) if f.is_file()]
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files
    }


def test_processes_change_no_byte(tmp_path, monkeypatch):
    alone = made(tmp_path / 'alone')
    monkeypatch.setattr(phantom, '_many', 2)
    assert made(tmp_path / 'together') == alone
    assert len(alone) > 20
