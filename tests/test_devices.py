"""Every trainer and every evaluation computes where it is told to, without a second device at hand.

Tensors on torch's `meta` device have shapes but no values. Like those on a GPU they do not mix with
tensors on the CPU, and whatever asks for a value stops: a step that passes never waits for one.
"""

from dataclasses import replace
from functools import partial

import pytest, torch
from duiit.models import judge, predictor, segmenter
from duiit.models.diffusion import FourSteps
from duiit.models.nets import FastGenerator, Generator, make_predictor
from duiit.models.recipe import FitTranslator, PRESETS
from duiit.models.translator import Joint, joint_step

ELSEWHERE = 'meta'
PLAIN = replace(PRESETS['smoke'], batch=2, ema=0.9)
FORMS = [
    dict(),
    dict(noise=0.1),
    dict(standardise=True),
    dict(identity=5.0),
    dict(guidance='detached'),
    dict(guide='target'),
    dict(guide='average'),
    dict(balance=True),
    dict(target_labels=False),
    dict(translator='syndiff'),
    dict(translator='syndiff', guide='target'),
    dict(translator='syndiff', guide='average'),
    dict(translator='syndiff', target_labels=False),
]


def images(count=2, size=32):
    return torch.empty(count, 1, size, size, device=ELSEWHERE)


def labels(count=2):
    return torch.empty(count, device=ELSEWHERE)


@pytest.fixture(autouse=True)
def plain_adam(monkeypatch):
    "Adam in one kernel is for devices with values only"
    adam = torch.optim.Adam
    monkeypatch.setattr(
        torch.optim, 'Adam', lambda weights, lr, fused, **how: adam(weights, lr, **how)
    )


@pytest.fixture
def no_values(monkeypatch):
    "What is asked for a value when all is done: losses, and how many batches a norm has seen"
    tolist = torch.Tensor.tolist

    def known(values):
        return [] if values.is_meta else tolist(values)

    monkeypatch.setattr(torch.Tensor, 'tolist', known)
    for module in (judge, predictor):
        monkeypatch.setattr(module, 'update_bn', lambda batches, net: None)


@pytest.mark.parametrize('form', FORMS, ids=str)
def test_joint_step(form):
    j = Joint(FitTranslator(('mri',), **form), PLAIN, 0, device=ELSEWHERE)
    batch = images(), labels(), images(), labels()
    for j.step in range(2):
        terms = joint_step(j, {'mri': batch}, 0.4)
    assert {term.device.type for term in terms.values()} == {ELSEWHERE}
    assert {term.dtype for term in terms.values()} == {torch.float32}


def test_masks_guide():
    form = dict(name='unet', width=8)
    j = Joint(
        FitTranslator(('tem',)), replace(PLAIN, predictor=form), 0, device=ELSEWHERE, classes=3
    )
    masks = torch.empty(2, 32, 32, device=ELSEWHERE)
    terms = joint_step(j, {'tem': (images(), masks, images(), masks)}, 0.4)
    assert {term.device.type for term in terms.values()} == {ELSEWHERE}


@pytest.mark.parametrize('name', predictor.TASKS)
def test_predictor(name, no_values):
    def make(outputs):
        return make_predictor(**PLAIN.predictor, n_out=outputs)

    task = predictor.TASKS[name](make, 2)
    pools = [(torch.zeros(8, 1, 32, 32), torch.zeros(8))] * 2
    predictor.fit_predictor(task, pools, 2, 0, batch=4, device=ELSEWHERE)
    assert {w.device.type for w in task.parameters()} == {ELSEWHERE}


def test_judge(no_values):
    net = make_predictor(**PLAIN.predictor)
    known = labels(8)

    def loss(out, rows):
        return ((out[:, 0] - known[rows]) ** 2).mean()

    judge.fit_net(net, torch.zeros(8, 1, 32, 32), loss, 2, 0, batch=4, device=ELSEWHERE)
    assert {w.device.type for w in net.parameters()} == {ELSEWHERE}


def test_segmenter(no_values):
    pictures = torch.zeros(4, 1, 64, 64)
    masks = torch.zeros(4, 64, 64).long()
    how = dict(steps=2, batch=2, crop=32, width=4, device=ELSEWHERE)
    net, _ = segmenter.fit_segmenter(pictures, masks, 0, **how)
    assert {w.device.type for w in net.parameters()} == {ELSEWHERE}


@pytest.mark.parametrize('make', [FastGenerator, partial(Generator, blocks=1), FourSteps])
def test_translation(make):
    net = make().to(ELSEWHERE).eval()
    with torch.no_grad():
        assert net(images()).shape == (2, 1, 32, 32)


def test_tensors_of_two_devices_do_not_mix():
    "The rule that the tests above stand on"
    with pytest.raises(RuntimeError, match='not on the expected device'):
        torch.zeros(2) + labels()
    with pytest.raises(NotImplementedError, match='meta'):
        labels().cpu()
