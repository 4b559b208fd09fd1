"""Tables and names as people have them: ids, columns, numbers, files without content."""

import csv, math, unicodedata
import numpy as np, openpyxl, pandas as pd, pytest
from PIL import Image
from duiit.data.cohort import Cohort
from duiit.core import InputError, is_date, no_number, number, plain, years_of
from duiit.ingest.folder import RECIPES, class_number, find_folder
from duiit.ingest.tables import read_numbers, read_tables
from duiit.ingest.files import files_below
from duiit.ingest.pipeline import ingest


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 255, (16, 16), np.uint8)
    Image.fromarray(grey).save(path)


def pictures(raw, *paths):
    for seed, p in enumerate(paths):
        picture(raw / p, seed)


def write(raw, text, name='t.csv'):
    raw.mkdir(parents=True, exist_ok=True)
    (raw / name).write_text(text, encoding='utf-8')


def workbook(raw, *sheets):
    "Sheets are lists of rows"
    raw.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for k, rows in enumerate(sheets):
        sheet = book.create_sheet(f'S{k}')
        for r in rows:
            sheet.append(r)
    book.save(raw / 't.xlsx')


def found(raw, **options):
    "Labels by subject, and what was left out"
    options.setdefault('subject', '')
    pieces, left, _ = find_folder(raw, **options)
    return {p.subject: p.label for p in pieces}, [(o.subject, o.reason, o.detail) for o in left]


def labels(raw, **options):
    return found(raw, **options)[0]


def cohort(name, raw, out, **options):
    ingest(RECIPES[name], raw, out, size=16, jobs=1, progress=False, **options)
    return Cohort.load(out)


def refused(raw, *says, **options):
    with pytest.raises(InputError) as e:
        labels(raw, **options)
    for text in says:
        assert text in str(e.value)
    return str(e.value)


# ids

LONG = '1234567890123456'


@pytest.mark.parametrize(
    'ids,folders,pairs',
    [
        ([LONG + '7', LONG + '8'], [LONG + '7', LONG + '8'], {LONG + '7': 0, LONG + '8': 1}),
        ([LONG + '7', 'x'], [LONG + '8', 'x'], {'x': 1}),
        (['1', '2'], ['001', '002'], {'001': 0, '002': 1}),
        (['1', '001'], ['1', '001'], {'1': 0, '001': 1}),
        (['001'], ['1', '001'], {'001': 0}),
        (['49.0', '50.0'], ['049', '050'], {'049': 0, '050': 1}),
        (['P1', 'P2'], ['p1', 'p2'], {'p1': 0, 'p2': 1}),
        (['P1', 'p1'], ['p1', 'P1'], {'P1': 0, 'p1': 1}),
        (['"001"', ' 002 '], ['001', '002'], {'001': 0, '002': 1}),
        (['Fall\u00a01', 'Fall\u200b 2'], ['Fall 1', 'Fall 2'], {'Fall 1': 0, 'Fall 2': 1}),
        (['J\u00e4ger'], ['Ja\u0308ger'], {'J\u00e4ger': 0}),
        (['Ja\u0308ger'], ['J\u00e4ger'], {'J\u00e4ger': 0}),
        (['\uff11\uff12'], ['12'], {'12': 0}),
        (['1e5', '2e5'], ['1E5', '2E5'], {'1E5': 0, '2E5': 1}),
    ],
)
def test_ids_are_texts(tmp_path, ids, folders, pairs):
    pictures(tmp_path, *(f'{s}/a.png' for s in folders))
    rows = [['subject', 'age'], *([s, 30 + k] for k, s in enumerate(ids))]
    with open(tmp_path / 't.csv', 'w', newline='', encoding='utf-8') as f:
        csv.writer(f).writerows(rows)
    assert labels(tmp_path) == {s: 30.0 + k for s, k in pairs.items()}


def test_no_id_is_rounded_to_another(tmp_path):
    pictures(tmp_path, '12345678901234568/a.png')
    write(tmp_path, 'subject,age\n12345678901234567,30\n')
    refused(tmp_path, 'none of its 1 ids fits')


def test_an_id_that_fits_two_folders_is_a_question(tmp_path):
    pictures(tmp_path, '1/a.png', '001/a.png')
    write(tmp_path, 'subject,age\n01,30\n')
    refused(tmp_path, "'01'", "'001', '1'")


def test_what_a_spreadsheet_leaves_of_a_long_id_is_refused(tmp_path):
    pictures(tmp_path, '12345678901234567/a.png', '7/a.png')
    write(tmp_path, 'subject,age\n1.23457E+16,30\n7,40\n')
    refused(tmp_path, '1.23457E+16', 'formatted as text')


def test_a_number_of_17_digits_in_a_workbook_is_refused(tmp_path):
    pictures(tmp_path, '12345678901234567/a.png')
    workbook(tmp_path, [['subject', 'age'], [12345678901234567.0, 30]])
    refused(tmp_path, 'formatted as text')


def test_numeric_ids_of_a_workbook_fit_padded_folders(tmp_path):
    pictures(tmp_path, '049/a.png', '050/a.png')
    workbook(tmp_path, [['subject', 'age'], [49, 30], [50.0, 40.5]])
    assert labels(tmp_path) == {'049': 30.0, '050': 40.5}


def test_a_pattern_with_accents_fits_decomposed_paths(tmp_path):
    pictures(
        tmp_path,
        unicodedata.normalize('NFD', 'Jägerhof-1.png'),
        unicodedata.normalize('NFD', 'Übersee-1.png'),
    )
    write(tmp_path, 'subject,age\nJägerhof,30\nÜbersee,40\n')
    assert labels(tmp_path, subject='^([JÜ]\\w+)-') == {'Jägerhof': 30.0, 'Übersee': 40.0}
    assert labels(tmp_path, subject='^(\\w+)-', skip='Ü') == {'Jägerhof': 30.0}


def test_subjects_of_a_cohort_are_composed(tmp_path):
    pictures(tmp_path / 'raw', unicodedata.normalize('NFD', 'Jäger/a.png'), 'Nord/a.png')
    write(tmp_path / 'raw', 'subject,age\nJäger,30\nNord,40\n')
    assert sorted(
        cohort('folder', tmp_path / 'raw', tmp_path / 'c', modality='CT').subjects.index
    ) == ['Jäger', 'Nord']


# columns


def test_two_columns_that_fit_are_a_question(tmp_path):
    pictures(tmp_path, '1/a.png', '2/a.png', '3/a.png')
    write(tmp_path, 'id,patient,age\n1,3,30\n2,2,40\n3,1,50\n')
    refused(tmp_path, "'id'", "'patient'", 'subject_column')
    assert labels(tmp_path, subject_column='patient') == {'1': 50.0, '2': 40.0, '3': 30.0}


def test_two_columns_that_say_the_same_are_none(tmp_path):
    pictures(tmp_path, '1/a.png', '2/a.png')
    write(tmp_path, 'id,patient,age\n1,1,30\n2,2,40\n')
    assert labels(tmp_path) == {'1': 30.0, '2': 40.0}


@pytest.mark.parametrize(
    'head', ['patient_age,patient_id', 'PatientAge,PatientID', 'Age,No.', 'age,code']
)
def test_an_age_is_no_id(tmp_path, head):
    pictures(tmp_path, '41/a.png', '42/a.png', '43/a.png')
    write(tmp_path, f'{head}\n42,41\n43,42\n41,43\n')
    assert labels(tmp_path) == {'41': 42.0, '42': 43.0, '43': 41.0}


def test_the_column_that_fits_the_paths_is_taken(tmp_path):
    pictures(tmp_path, 'x1/a.png', 'x2/a.png', 'x3/a.png')
    write(tmp_path, 'id,age,folder\n1,30,x3\n2,40,x2\n3,50,x1\n')
    assert labels(tmp_path) == {'x1': 50.0, 'x2': 40.0, 'x3': 30.0}


def test_a_running_number_that_fits_almost_as_well_is_a_question(tmp_path):
    pictures(tmp_path, *(f'{k}/a.png' for k in (1, 2, 4, 5)))
    write(tmp_path, 'id,patient,age\n1,5,30\n2,4,40\n3,2,50\n4,1,60\n')
    refused(tmp_path, 'subject_column')


def test_repeated_column_names_are_told_apart(tmp_path):
    pictures(tmp_path, 'a/a.png', 'b/a.png')
    write(tmp_path, 'subject,age,age\na,30,3\nb,40,4\n')
    refused(tmp_path, "'age (column 2)'", "'age (column 3)'")
    assert labels(tmp_path, label_column='age (column 3)') == {'a': 3.0, 'b': 4.0}


# sites


def test_one_id_under_two_sites_is_a_question(tmp_path):
    pictures(tmp_path, 'siteA/001/a.png', 'siteB/001/a.png')
    write(tmp_path, 'subject,age\n001,30\n')
    refused(tmp_path, 'siteA/001', 'siteB/001', 'subject')
    assert labels(tmp_path, subject='([0-9]+)/') == {'001': 30.0}
    assert labels(tmp_path, skip='siteB') == {'001': 30.0}


@pytest.mark.parametrize(
    'table',
    [
        'subject,age\nsiteA/001,30\nsiteB/001,40\n',
        'subject,age\nsiteA_001,30\nsiteB_001,40\n',
        'subject,age\nsiteA-1,30\nsiteB-1,40\n',
        'site,subject,age\nsiteA,001,30\nsiteB,001,40\n',
        'site,subject,age\nsiteA,1,30\nsiteB,1,40\n',
    ],
)
def test_a_table_that_tells_sites_apart_is_followed(tmp_path, table):
    pictures(tmp_path, 'siteA/001/a.png', 'siteB/001/a.png')
    write(tmp_path, table)
    assert labels(tmp_path) == {'siteA_001': 30.0, 'siteB_001': 40.0}


@pytest.mark.parametrize(
    'paths',
    [
        ['sub-01/ses-1/a.png', 'sub-01/ses-2/b.png', 'sub-02/ses-1/a.png'],
        ['images/sub-01/a.png', 'images/sub-02/a.png'],
        ['sub-01.png', 'sub-02.png'],
        ['train/sub-01.png', 'test/sub-02.png'],
        ['sub-01/sub-01.png', 'sub-02/sub-02.png'],
        ['sub-01/1.png', 'sub-01/2.png', 'sub-02/1.png'],
        ['sub-01/sub-01_a/x/1.png', 'sub-02/sub-02_a/x/1.png'],
    ],
)
def test_usual_layouts_need_no_question(tmp_path, paths):
    pictures(tmp_path, *paths)
    write(tmp_path, 'participant_id,age,sex\nsub-01,30,m\nsub-02,40,f\n')
    assert labels(tmp_path) == {'sub-01': 30.0, 'sub-02': 40.0}


def test_numbered_slices_are_no_subjects(tmp_path):
    pictures(tmp_path, *(f'{s:03d}/{k}.png' for s in (1, 2, 3) for k in range(6)))
    write(tmp_path, 'subject,age\n' + ''.join(f'{s},{30 + s}\n' for s in range(1, 10)))
    assert labels(tmp_path) == {'001': 31.0, '002': 32.0, '003': 33.0}


def test_numbered_sites_are_a_question(tmp_path):
    pictures(tmp_path, *(f'{site}/{s}/a.png' for site in '123' for s in '123'))
    write(tmp_path, 'subject,age\n1,30\n2,40\n3,50\n')
    refused(tmp_path, '1/1', '2/1')


def test_masks_beside_images_are_a_question_until_they_are_skipped(tmp_path):
    pictures(tmp_path, 'images/001/a.png', 'masks/001/a.png')
    write(tmp_path, 'subject,age\n1,30\n')
    refused(tmp_path, 'images/001', 'masks/001', 'skip')
    assert labels(tmp_path, skip='masks') == {'001': 30.0}


# numbers


@pytest.mark.parametrize(
    'cell,value',
    [
        ('45', 45),
        ('27.5', 27.5),
        ('27,5', 27.5),
        ('1.234,5', 1234.5),
        ('1,234.5', 1234.5),
        ('1,234,567', 1234567),
        ('12 345', 12345),
        ('12\u202f345', 12345),
        ("12'345", 12345),
        ('12\u2019345', 12345),
        ('0,345', 0.345),
        ('1e3', 1000),
        ('1E3', 1000),
        ('\uff14\uff15', 45),
        ('\u22125', -5),
        ('"45"', 45),
        ('45.', 45),
        ('12.345', 12.345),
    ],
)
def test_numbers(cell, value):
    assert number(cell) == value


@pytest.mark.parametrize(
    'cell',
    [
        '',
        '>89',
        '90+',
        '89+',
        '<1',
        '~45',
        '45-50',
        '12,345',
        '0x1F',
        '1_000',
        'nan',
        'inf',
        '45 50',
        '1,23,4',
        '12,34.5',
        'TRUE',
        '#VALUE!',
        '=A1',
    ],
)
def test_no_numbers(cell):
    assert math.isnan(number(cell))


@pytest.mark.parametrize(
    'cell,years',
    [
        ('045Y', 45),
        ('6M', 0.5),
        ('012W', 84 / 365.25),
        ('010D', 10 / 365.25),
        ('6 months', 0.5),
        ('18 mo', 1.5),
        ('3 wk', 21 / 365.25),
        ('45 years', 45),
        ('45y', 45),
        ('1,5 years', 1.5),
        ('2.5 yrs', 2.5),
    ],
)
def test_ages_with_a_unit(cell, years):
    assert years_of(cell)[0] == pytest.approx(years)


@pytest.mark.parametrize(
    'cell,says',
    [
        ('', 'blank'),
        ('NA', "blank in the table: 'NA'"),
        ('n/a', 'blank'),
        ('-', 'blank'),
        ('unknown', 'blank'),
        ('missing', 'blank'),
        ('NaN', 'blank'),
        ('>89', "not a number: '>89'"),
        ('45-50', "not a number: '45-50'"),
        ('#VALUE!', 'an error of the spreadsheet'),
        ('#REF!', 'an error of the spreadsheet'),
        ('=B2', 'a formula whose value was never stored'),
        ('1980-01-02', "a date: its form is '9999-99-99'"),
        ('2.1.1980', 'a date'),
        ('01/02/80', 'a date'),
        ('2 Jan 1980', 'a date'),
        ('1980-01-02 00:00:00', 'a date'),
    ],
)
def test_why_there_is_no_number(cell, says):
    assert says in no_number(cell, 3)
    assert 'row 3' in no_number(cell, 3)


def told(tmp_path, values, sep=',', head='volume', extra='', **kw):
    "Values or reasons of a column; `extra` is the cell of another one"
    rows = [['subject', head, 'x'], *([f'P{k}', v, extra] for k, v in enumerate(values))]
    with open(tmp_path / 't.csv', 'w', newline='') as f:
        csv.writer(f, delimiter=sep).writerows(rows)
    (t,) = read_tables(tmp_path / 't.csv')
    return [c.why or c.value for c in read_numbers(t, head, apart=['subject'], **kw)]


@pytest.mark.parametrize(
    'values,sep,numbers',
    [
        (['12,345', '0.5'], ',', [12345, 0.5]),
        (['12,345', '1,234,567'], ',', [12345, 1234567]),
        (['12,345', '27,5'], ';', [12.345, 27.5]),
        (['12.345', '27,5'], ';', [12345, 27.5]),
        (['12.345', '27.5'], ',', [12.345, 27.5]),
        (['12.345', '27.125'], ',', [12.345, 27.125]),
        (['12.345', '27.125'], '\t', [12.345, 27.125]),
        (['27.5', '27,5'], ';', [27.5, 27.5]),
        (['1.234,5', '12.345'], ';', [1234.5, 12345]),
        (['12 345', '7'], ',', [12345, 7]),
        (['12%', '7 %'], ',', [12, 7]),
    ],
)
def test_the_column_decides_about_marks(tmp_path, values, sep, numbers):
    assert told(tmp_path, values, sep) == numbers


@pytest.mark.parametrize(
    'values,sep',
    [
        (['12,345', '2,100'], ','),
        (['12.345', '2.100'], ';'),
        (['12,345'], ';'),
        (['1,234'], '\t'),
        (['12,345', '27.5', '27,5'], ';'),
    ],
)
def test_open_marks_are_a_question(tmp_path, values, sep):
    with pytest.raises(InputError, match='decimal'):
        told(tmp_path, values, sep)


@pytest.mark.parametrize('decimal,number', [('.', 12345), (',', 12.345)])
def test_the_question_can_be_answered(tmp_path, decimal, number):
    assert told(tmp_path, ['12,345'], decimal=decimal) == [number]


def test_another_column_answers_it(tmp_path):
    assert told(tmp_path, ['12,345'], extra='27.5') == [12345]
    assert told(tmp_path, ['12.345'], ';', extra='27,5') == [12345]


def test_percent_among_plain_numbers_is_refused(tmp_path):
    with pytest.raises(InputError, match='percent'):
        told(tmp_path, ['12%', '7'])


def test_ages_have_no_thousands(tmp_path):
    assert told(tmp_path, ['27,512'], ';', 'age', years=True) == [27.512]


def test_units_are_for_ages_only(tmp_path):
    assert told(tmp_path, ['6M', '45'], head='age', years=True) == [0.5, 45]
    assert told(tmp_path, ['6M', '45']) == ["not a number: '6M' in row 2", 45]


def test_a_birthday_is_refused_and_not_repeated(tmp_path):
    for day in ('1980-01-02', '2.1.1980', '19800102', '1/2/80'):
        with pytest.raises(InputError, match='date') as e:
            told(tmp_path, [day], head='age', years=True)
        assert day not in str(e.value) and '1980' not in str(e.value)


def folder_of(tmp_path, *cells, head='age'):
    pictures(tmp_path, *(f'P{k}/a.png' for k in range(len(cells))))
    write(tmp_path, f'subject,{head}\n' + ''.join(f'P{k},{c}\n' for k, c in enumerate(cells)))
    return tmp_path


def test_what_is_left_out_shows_its_cell(tmp_path):
    ages, left = found(folder_of(tmp_path, '45', '>89', '', 'n/a', '50', '#REF!', '60', '61'))
    assert ages == {'P0': 45.0, 'P4': 50.0, 'P6': 60.0, 'P7': 61.0}
    assert left == [
        ('P1', 'no age', "not a number: '>89' in row 3"),
        ('P2', 'no age', 'blank in the table: row 4'),
        ('P3', 'no age', "blank in the table: 'n/a' in row 5"),
        ('P5', 'no age', "an error of the spreadsheet: '#REF!' in row 7"),
    ]


def test_a_column_of_words_asks_for_classes(tmp_path):
    refused(folder_of(tmp_path, 'yes', 'no', 'no', head='label'), 'give them as classes')


def test_ages_of_a_public_set_show_their_cells(tmp_path):
    import nibabel as nib

    raw, ages = (
        tmp_path / 'raw',
        {'049': '45', '050': '>89', '051': '', '052': '61', '053': '6 months'},
    )
    (raw / 'ct_scans').mkdir(parents=True)
    for k, s in enumerate(ages):
        hu = np.random.default_rng(k).integers(-50, 90, (16, 16, 3))
        nib.save(nib.Nifti1Image(hu.astype(np.int16), np.eye(4)), raw / 'ct_scans' / f'{s}.nii')
    write(
        raw,
        'Patient Number,Age\n' + ''.join(f'{int(s)},{a}\n' for s, a in ages.items()),
        'demographics.csv',
    )
    c = cohort('ct-ich', raw, tmp_path / 'c')
    assert c.subjects.label.to_dict() == {'049': 45.0, '052': 61.0, '053': 0.5}
    assert '1 in months' in c.meta['notes']
    d = pd.read_csv(tmp_path / 'c' / 'excluded.csv')
    assert d.detail.tolist() == ["not a number: '>89' in row 3", 'blank in the table: row 4']


# classes


@pytest.mark.parametrize(
    'text,classes,value',
    [
        ('yes', 'no,yes', 1),
        ('Yes ', 'no,yes', 1),
        ('0.0', 'no,yes', 0),
        ('1.0', 'no,yes', 1),
        ('TRUE', 'no,yes', 1),
        ('FALSE', 'no,yes', 0),
        ('1', 'a,b,c', 1),
        ('1', '1,2,3', 0),
        ('3.0', '1,2,3', 2),
        ('TRUE', 'yes,no', 0),
        ('no', 'yes,no', 1),
    ],
)
def test_classes(text, classes, value):
    assert class_number(text, classes.split(',')) == value


@pytest.mark.parametrize(
    'text,classes',
    [('1', 'yes,no'), ('2', 'no,yes'), ('maybe', 'no,yes'), ('0', '1,2,3'), ('1.5', 'no,yes')],
)
def test_no_classes(text, classes):
    assert math.isnan(class_number(text, classes.split(',')))


def test_an_unknown_class_names_its_row(tmp_path):
    refused(
        folder_of(tmp_path, 'yes', 'maybe', head='label'), "row 3", "'maybe'", classes='no,yes'
    )


# tables


@pytest.mark.parametrize(
    'text',
    [
        'subject,age\nP1,30\nP2,40\n',
        'Ages of all\nsubject,age\nP1,30\nP2,40\n',
        'Ages of all,,\n\nsubject,age,\nP1,30,\nP2,40,\n',
        ',,\n,subject,age\n,P1,30\n,P2,40\n',
        'subject,age\n,years\nP1,30\nP2,40\n',
        ',subject,age\n0,P1,30\n1,P2,40\n',
        'subject;age\nP1;30\nP2;40,0\n',
        'Ages, all of them\nsubject;age\nP1;30\nP2;40,0\n',
    ],
)
def test_tables_with_more_than_rows(tmp_path, text):
    pictures(tmp_path, 'P1/a.png', 'P2/a.png')
    write(tmp_path, text)
    assert labels(tmp_path) == {'P1': 30.0, 'P2': 40.0}


rows = [['subject', 'age'], ['P1', 30], ['P2', 40.5]]


@pytest.mark.parametrize(
    'sheets',
    [
        [rows],
        [[['Ages of all']], rows],
        [[['Ages of all'], [], *rows]],
        [[[None, *r] for r in [[], *rows]]],
        [[['key', 'meaning'], ['age', 'years']], rows],
        [rows, []],
    ],
)
def test_workbooks(tmp_path, sheets):
    pictures(tmp_path, 'P1/a.png', 'P2/a.png')
    workbook(tmp_path, *sheets)
    assert labels(tmp_path) == {'P1': 30.0, 'P2': 40.5}


def test_two_sheets_that_fit_are_a_question(tmp_path):
    pictures(tmp_path, 'P1/a.png', 'P2/a.png')
    workbook(tmp_path, rows, [['subject', 'age'], ['P1', 31], ['P2', 41]])
    refused(tmp_path, "'S0'", "'S1'")


def test_a_formula_without_a_value_is_named(tmp_path):
    pictures(tmp_path, 'P1/a.png', 'P2/a.png')
    workbook(tmp_path, [['subject', 'age'], ['P1', 30], ['P2', '=B2+10']])
    ages, left = found(tmp_path)
    assert ages == {'P1': 30.0}
    assert (
        "a formula whose value was never stored: '=B2+10' in row 3; open and save" in left[0][2]
    )


def test_formulas_only_are_named_once(tmp_path):
    pictures(tmp_path, 'P1/a.png', 'P2/a.png')
    workbook(tmp_path, [['subject', 'age'], ['P1', '=1+1'], ['P2', '=B2+10']])
    refused(tmp_path, 'never stored', 'open and save')


def test_dates_of_a_workbook_are_refused(tmp_path):
    import datetime

    pictures(tmp_path, 'P1/a.png')
    workbook(tmp_path, [['subject', 'age'], ['P1', datetime.date(1980, 1, 2)]])
    assert '1980' not in refused(tmp_path, 'a date', 'days of birth')


# slices


def stack(raw, n=4):
    raw.mkdir(parents=True, exist_ok=True)
    for s in 'ab':
        np.save(
            raw / f'{s}.npy',
            np.random.default_rng(ord(s)).integers(0, 9, (n, 16, 16)).astype(np.uint8),
        )


@pytest.mark.parametrize('write_slice', [str, '{}.0'.format, '{:02d}'.format])
def test_slices_as_people_write_them(tmp_path, write_slice):
    stack(tmp_path)
    write(
        tmp_path,
        'subject,slice,label\n'
        + ''.join(f'{s},{write_slice(k)},{k}\n' for s in 'ab' for k in range(1, 5)),
    )
    pieces = find_folder(tmp_path, slice_column='slice', subject='')[0]
    assert [k for k, *_ in dict(pieces[0].about)['labels']] == [1, 2, 3, 4]


def test_slices_that_count_from_0_are_a_question(tmp_path):
    stack(tmp_path)
    write(
        tmp_path,
        'subject,slice,label\n' + ''.join(f'{s},{k},{k}\n' for s in 'ab' for k in range(4)),
    )
    refused(tmp_path, 'add 1', slice_column='slice')


def test_ranges_of_slices_are_refused(tmp_path):
    stack(tmp_path)
    write(tmp_path, 'subject,slice,label\na,1-3,1\n')
    refused(tmp_path, "'1-3'", 'whole number', slice_column='slice')


# files without content


def lost(tmp_path, how, *paths):
    for p in paths:
        f = tmp_path / p
        f.parent.mkdir(parents=True, exist_ok=True)
        if how == 'link':
            f.symlink_to('../nowhere/x')
        if how == 'lfs':
            f.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n')
        if how == 'annex':
            f.write_text('/annex/objects/SHA256E-s5--1.png\n')
        if how == 'empty':
            f.touch()


HOW = dict(link='leads nowhere', lfs='Git LFS', annex='git-annex', empty='0 bytes')


@pytest.mark.parametrize('how', HOW)
@pytest.mark.parametrize(
    'names', [('P1/0.png', 'P2/0.png'), ('P1.nii.gz', 'P2.nii.gz'), ('P1/1.dcm', 'P2/1.dcm')]
)
def test_nothing_fetched_is_one_line(tmp_path, how, names):
    write(tmp_path / 'raw', 'subject,age\nP1,30\nP2,40\n')
    lost(tmp_path / 'raw', how, *names)
    with pytest.raises(InputError) as e:
        cohort('folder', tmp_path / 'raw', tmp_path / 'c', modality='MR')
    assert (
        names[0] in str(e.value) and HOW[how] in str(e.value) and 'not fetched' in str(e.value)
    )


@pytest.mark.parametrize('how', HOW)
def test_some_not_fetched_are_left_out(tmp_path, how):
    pictures(tmp_path, 'P1/0.png', 'P1/1.png', 'P2/0.png')
    lost(tmp_path, how, 'P2/1.png')
    write(tmp_path, 'subject,age\nP1,30\nP2,40\n')
    ages, left = found(tmp_path)
    assert ages == {'P1': 30.0, 'P2': 40.0}
    assert [(s, reason) for s, reason, _ in left] == [('P2', 'not fetched')] and HOW[
        how
    ] in left[0][2]


@pytest.mark.parametrize(
    'name', ['ct-ich', 'lgg-mri', 'hn-pet', 'upenn_gbm', 'fdg_pet_ct_lesions']
)
@pytest.mark.parametrize('how', ['link', 'lfs'])
def test_recipes_say_that_nothing_was_fetched(tmp_path, name, how):
    files = {
        'ct-ich': ['ct_scans/049.nii', 'ct_scans/050.nii'],
        'lgg-mri': ['TCGA_CS_4941_19960909_1.tif'],
    }
    write(
        tmp_path / 'raw',
        'Patient Number,Age,age_at_initial_pathologic\n49,30,30\n50,30,30\nTCGA_CS_4941,40,40\n',
    )
    book = pd.DataFrame({'Patient #': ['HN-CHUS-009'], 'Age': [50]})
    if name == 'hn-pet':
        book.to_excel(tmp_path / 'raw' / 'INFOclinical_HN.xlsx', index=False)
    lost(tmp_path / 'raw', how, *files.get(name, ['a/1.dcm', 'a/2.dcm']))
    with pytest.raises(InputError, match='not fetched'):
        cohort(name, tmp_path / 'raw', tmp_path / 'c')


@pytest.mark.parametrize('name', ['P1.nii.gz.dvc', '.P1.nii.gz.icloud'])
def test_placeholders_are_named(tmp_path, name):
    write(tmp_path / 'raw', 'subject,age\nP1,30\n')
    write(tmp_path / 'raw', 'outs:\n- md5: 1\n', name)
    with pytest.raises(InputError, match='not fetched'):
        cohort('folder', tmp_path / 'raw', tmp_path / 'c', modality='MR')


def test_a_table_that_was_not_fetched_is_named(tmp_path):
    pictures(tmp_path, 'P1/a.png')
    lost(tmp_path, 'lfs', 't.csv')
    refused(tmp_path, 't.csv', 'Git LFS')


def test_linked_folders_are_followed(tmp_path):
    pictures(tmp_path / 'store', 'x/0.png', 'y/0.png')
    write(tmp_path / 'raw', 'subject,age\nP1,30\nP2,40\n')
    for s, to in (('P1', 'x'), ('P2', 'y')):
        (tmp_path / 'raw' / s).symlink_to(tmp_path / 'store' / to)
    assert labels(tmp_path / 'raw') == {'P1': 30.0, 'P2': 40.0}


def test_links_in_a_circle_end(tmp_path):
    pictures(tmp_path, 'a/0.png', 'b/0.png')
    (tmp_path / 'a' / 'up').symlink_to('..')
    (tmp_path / 'b' / 'other').symlink_to('../a')
    names = [f.relative_to(tmp_path).as_posix() for f in files_below(tmp_path)]
    assert names == ['a/0.png', 'b/0.png', 'b/other/0.png']


def test_a_folder_without_rights_is_no_full_disk(tmp_path, monkeypatch):
    folder_of(tmp_path / 'raw', '30', '40')

    def denied(raw, **options):
        raise PermissionError(13, 'Permission denied', str(tmp_path / 'raw' / 'P1' / 'a.png'))

    from dataclasses import replace

    recipe = replace(RECIPES['folder'], find=denied)
    with pytest.raises(InputError, match='cannot be read') as e:
        ingest(recipe, tmp_path / 'raw', tmp_path / 'c', modality='CT', progress=False)
    assert 'disk' not in str(e.value)


# cohorts written by hand


def by_hand(folder, table, **more):
    pictures(folder, 'a.png', 'b.png')
    write(folder, table, 'cohort.csv')
    return Cohort.load(
        folder, modality='CT', unit='HU', label_name='age', label_unit='years', **more
    )


@pytest.mark.parametrize(
    'cell,says',
    [
        ('"27,5"', 'Write 27.5'),
        ('"1,234.5"', 'Write 1234.5'),
        ('"12,345"', 'Write 12345 or 12.345'),
        ('>89', "'>89'"),
        ('', "''"),
    ],
)
def test_a_hand_written_number_is_explained(tmp_path, cell, says):
    with pytest.raises(InputError) as e:
        by_hand(tmp_path, f'subject,label,path\n001,{cell},a.png\n')
    assert says in str(e.value) and 'line 2' in str(e.value)


def test_hand_written_ids_stay_texts(tmp_path):
    c = by_hand(
        tmp_path, 'subject,label,path,site\n001,30,a.png,01\n12345678901234567,40,b.png,02\n'
    )
    assert c.subjects.index.tolist() == ['001', '12345678901234567']
    assert c.frame.site.tolist() == ['01', '02']
    assert Cohort.load(c.save(tmp_path / 'again')).fingerprint == c.fingerprint


def test_hand_written_names_are_composed(tmp_path):
    c = by_hand(tmp_path, 'subject,label,path\nJ\u00e4ger,30,a.png\nJa\u0308ger,30,b.png\n')
    assert c.subjects.n.to_dict() == {'J\u00e4ger': 2}


def test_hand_written_classes(tmp_path):
    c = by_hand(
        tmp_path, 'subject,label,path\na,Yes ,a.png\nb,0.0,b.png\n', label_classes=['no', 'yes']
    )
    assert c.frame.label.tolist() == [1.0, 0.0]


def test_a_table_of_ages_that_was_not_fetched_is_named_only_where_it_is_needed(tmp_path):
    import nibabel as nib

    raw = tmp_path / 'raw'
    (raw / 'ct_scans').mkdir(parents=True)
    hu = np.arange(16 * 16 * 3, dtype=np.int16).reshape(16, 16, 3)
    nib.save(nib.Nifti1Image(hu, np.eye(4)), raw / 'ct_scans' / '049.nii')
    lost(raw, 'empty', 'other.csv')
    with pytest.raises(InputError, match='other.csv: it is empty'):
        cohort('ct-ich', raw, tmp_path / 'c')
    write(raw, 'Patient Number,Age\n49,45\n', 'ages.csv')
    assert cohort('ct-ich', raw, tmp_path / 'c').subjects.label.to_dict() == {'049': 45.0}
