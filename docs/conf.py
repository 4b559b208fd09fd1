"""Sphinx reads this; `docs/build.py` writes the sources and starts it."""

from configparser import ConfigParser
from pathlib import Path

WORK = Path(__file__).parents[1] / 'build' / 'docs'
settings = ConfigParser(delimiters=['='], interpolation=None)
settings.read(Path(__file__).parents[1] / 'settings.ini', encoding='utf-8')
about = settings['DEFAULT']

project = about['title']
author = about['author']
project_copyright = about['copyright']
release = about['version']
extensions = ['myst_nb', 'sphinx_copybutton']
exclude_patterns = ['notebooks/**', 'extra/**']
myst_enable_extensions = ['dollarmath', 'colon_fence', 'attrs_block']
myst_heading_anchors = 4
nb_execution_mode = 'off'
nb_merge_streams = True
# the notebook beside a page is the one to run, not the source that was made of it
html_copy_source = False
html_show_sourcelink = False

html_theme = 'sphinx_book_theme'
html_title = project
html_static_path = [str(WORK / '_static')]
html_extra_path = [str(WORK / 'extra')]
html_css_files = ['site.css']
html_js_files = ['site.js']
html_favicon = str(WORK / '_static' / 'icon.svg')
html_context = dict(default_mode='auto')
mathjax_path = 'tex-svg-full.js'
html_theme_options = dict(
    repository_url=about['git_url'],
    use_repository_button=True,
    use_download_button=False,
    use_fullscreen_button=False,
    home_page_in_toc=True,
    show_navbar_depth=1,
    max_navbar_depth=2,
    show_toc_level=2,
    pygments_light_style='a11y-high-contrast-light',
    pygments_dark_style='a11y-high-contrast-dark',
)
