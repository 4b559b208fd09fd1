"""A user's program, for the type checker alone: what the public surface takes and gives."""

from pathlib import Path
from typing import assert_type
import numpy as np
from duiit.core import InputError
from duiit.data.cohort import Cohort
from duiit.report.page import write_report
from duiit.study.arms import Study, study_of
from duiit.study.declare import declare
from duiit.study.runs import fit, run_folder
from duiit.study.serve import predict, translate


def study(folder: str) -> Path:
    mine = study_of(folder)
    assert_type(mine, Study)
    assert_type(declare(mine), Path)
    run = fit(mine, 'mix-ct-mri', split=0)
    assert_type(run, Path)
    assert_type(run_folder(mine, 'mix-ct-mri'), Path)
    return write_report('reports/mine')


def serve(run: Path, images: np.ndarray) -> np.ndarray:
    return predict(run, translate(run, images))


def refused() -> str:
    try:
        fit('mine', 'mix-ct-mri')  # type: ignore[arg-type]
        fit(study_of('mine'), arm=3)  # type: ignore[arg-type]
        fit(study_of('mine'))  # type: ignore[call-arg]
    except InputError as mistake:
        return str(mistake)
    return ''
