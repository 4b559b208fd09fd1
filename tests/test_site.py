"""The site as a reader meets it: links, pictures, figures, formulas, search, keyboard and contrast."""

import asyncio, fcntl, functools, json, re, subprocess, sys, threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit
import pytest
from duiit.testing import browser

ROOT = Path(__file__).parents[1]
AXE = ROOT / 'build' / 'node_modules' / 'axe-core' / 'axe.min.js'
# looked at for access: a page of every kind
TEN = (
    'index',
    '10_minutes',
    'guides/own_cohorts',
    'models/05_translator',
    'report/02_figures',
    'data/05_cohort',
    'reference',
    'reference/models.translator',
    'studies/phantom',
    'responsible',
)
SOUGHT = {'joint_step': 'translator', 'label shift': '', 'SUV': 'pet'}


class Page(HTMLParser):
    "Anchors, links and pictures of a page"

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.pictures, self.without_alt = set(), [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[k] for k in ('id', 'name') if found.get(k)}
        self.links += [found[k] for k in ('href', 'src') if found.get(k)]
        if tag == 'img':
            self.pictures += 1
            if not found.get('alt', '').strip():
                self.without_alt.append(found.get('src', '')[:60])


def pages(site):
    found = {p: Page(p.read_text(encoding='utf-8')) for p in site.rglob('*.html')}
    return {p: page for p, page in found.items() if '_static' not in p.parts}


def lost_links(site, found):
    "(page, link) of every link inside the site that leads nowhere, and of what a page loads from elsewhere"
    for path, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith('//'):
                continue
            address, anchor = urldefrag(link)
            target = (
                (path.parent / unquote(urlsplit(address).path)).resolve() if address else path
            )
            if target.is_dir():
                target = target / 'index.html'
            if not target.exists():
                yield path.name, link
            elif anchor and target in found and unquote(anchor) not in found[target].ids:
                yield path.name, link


@pytest.fixture(scope='module')
def site(tmp_path_factory, worker_id):
    "The site, built once by whoever asks first, as `make docs` builds it"
    shared = tmp_path_factory.getbasetemp()
    if worker_id != 'master':
        shared = shared.parent
    out, finished = shared / 'site', shared / 'site-finished'
    with open(shared / 'site-lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            build = [sys.executable, 'docs/build.py', '--out', out]
            built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
            assert built.returncode == 0, built.stderr[-3000:]
            finished.touch()
    return out


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope='module')
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


READY = """(async () => {
  const wait = ms => new Promise(done => setTimeout(done, ms))
  const until = async good => { for (let i = 0; i < 200 && !good(); i++) await wait(50) }
  if (window.MathJax?.startup) await MathJax.startup.promise
  dispatchEvent(new Event('beforeprint'))
  const figures = [...document.querySelectorAll('figure.plotly')]
  await until(() => figures.every(f => f.dataset.drawn))
  const formulas = [...document.querySelectorAll('.math')]
  return JSON.stringify({
    figures: figures.length,
    blank: figures.filter(f => !f.querySelector('.main-svg')).length,
    formulas: formulas.length,
    unset: formulas.filter(f => !f.querySelector('mjx-container')).length,
    wrong: document.querySelectorAll('mjx-merror, [data-mml-node=merror]').length,
    wide: document.documentElement.scrollWidth - innerWidth,
  })
})()"""
FOUND = """(async () => {
  const wait = ms => new Promise(done => setTimeout(done, ms))
  const said = () => document.querySelector('#search-results .search-summary, #search-results p')
  for (let i = 0; i < 200 && !document.querySelector('#search-results li'); i++) await wait(50)
  return JSON.stringify([...document.querySelectorAll('#search-results li a')].map(a => a.href))
})()"""
ACCESS = """(async () => {
  const found = await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'best-practice'], preload: false})
  const bad = found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
  return JSON.stringify(bad.map(v => v.id + ': ' + v.nodes[0].html.slice(0, 160)))
})()"""


class Reader:
    "A browser's tab, with what it asked for and what it said"

    def __init__(self, tab):
        self.tab, self.asked, self.said = tab, [], []

    async def start(self):
        heard = {
            'Network.requestWillBeSent': lambda m: self.asked.append(m['request']['url']),
            'Runtime.exceptionThrown': lambda m: self.said.append(
                m['exceptionDetails'].get('exception', {}).get('description', 'an exception')
            ),
            'Runtime.consoleAPICalled': self.told,
            'Log.entryAdded': lambda m: self.said.append(m['entry']['text']),
        }
        for event, hear in heard.items():
            self.tab.subscribe(event, functools.partial(self.hear, hear), repeating=True)
        for domain in ('Network', 'Runtime', 'Log', 'Page'):
            await self.tab.send_command(f'{domain}.enable')

    async def hear(self, what, message):
        what(message['params'])

    def told(self, message):
        "The theme tells what it does; only warnings and errors count"
        if message['type'] not in ('log', 'info', 'debug'):
            words = [str(a.get('value', a.get('description'))) for a in message['args']]
            self.said.append(' '.join(words))

    async def size(self, width, height):
        metrics = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
        await self.tab.send_command('Emulation.setDeviceMetricsOverride', metrics)

    async def open(self, url):
        loaded = self.tab.subscribe_once('Page.loadEventFired')
        await self.tab.send_command('Page.navigate', dict(url=url))
        await asyncio.wait_for(loaded, 60)

    async def ask(self, script):
        "What an asynchronous script says"
        wanted = dict(expression=script, awaitPromise=True, returnByValue=True)
        answer = await self.tab.send_command('Runtime.evaluate', wanted)
        result = answer['result']
        assert 'exceptionDetails' not in result, result
        return json.loads(result['result']['value'])


async def walk(address, names):
    "What is wrong with the pages as a browser shows them: sentences; and how many figures and formulas it drew"
    from choreographer import Browser

    wrong, counts = [], dict(figures=0, formulas=0)
    async with Browser(path=browser(), headless=True) as chrome:
        reader = Reader(await chrome.create_tab(''))
        await reader.start()
        await reader.size(1280, 900)
        for name in names:
            await reader.open(f'{address}/{name}.html')
            found = await reader.ask(READY)
            for what in ('blank', 'unset', 'wrong'):
                if found[what]:
                    wrong.append(f'{name}: {found[what]} {what}')
            counts = {k: counts[k] + found[k] for k in counts}
        await reader.size(400, 800)
        for name in TEN:
            await reader.open(f'{address}/{name}.html')
            found = await reader.ask(READY)
            if found['wide'] > 0:
                wrong.append(f'{name}: {found["wide"]} px wider than 400')
        await reader.size(1280, 900)
        for words, page in SOUGHT.items():
            await reader.open(f'{address}/search.html?q={words.replace(" ", "+")}')
            hits = await reader.ask(FOUND)
            if not any(page in hit for hit in hits):
                wrong.append(f'search for {words!r} finds {hits[:3]}')
        if AXE.exists():
            for name in TEN:
                await reader.open(f'{address}/{name}.html')
                await reader.ask(READY)
                await reader.ask(f'{AXE.read_text()}; "1"')
                wrong += [f'{name}: {bad}' for bad in await reader.ask(ACCESS)]
        outside = {
            url for url in reader.asked if not url.startswith((address, 'data:', 'blob:'))
        }
        wrong += [f'asks {url}' for url in sorted(outside)]
        wrong += [f'console: {text}' for text in dict.fromkeys(reader.said)]
    return wrong, counts


def test_links_lead_somewhere_and_pictures_have_words(site):
    found = pages(site)
    assert len(found) > 90
    assert list(lost_links(site, found)) == []
    assert sum(page.pictures for page in found.values()) > 60
    assert {p.name: page.without_alt for p, page in found.items() if page.without_alt} == {}
    assert (site / 'reports' / 'phantom.html').stat().st_size < 2_000_000


def test_a_browser_shows_everything_and_asks_nobody(site, address):
    if not browser():
        pytest.skip('Chromium is not installed')
    texts = {path: path.read_text(encoding='utf-8') for path in sorted(pages(site))}
    figures = sum(text.count('<figure class="plotly"') for text in texts.values())
    names = [
        path.relative_to(site).with_suffix('').as_posix()
        for path, text in texts.items()
        if '<figure class="plotly"' in text or 'class="math ' in text
    ]
    wrong, counts = asyncio.run(walk(address, names))
    assert wrong == []
    assert counts['figures'] == figures >= 10
    assert counts['formulas'] > 100
    if not AXE.exists():
        pytest.skip('axe-core is not installed: npm install --prefix build axe-core')
