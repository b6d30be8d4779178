"""Looks at the built pages in Chromium, without a network: on a phone and a desk, light and dark.

`TFGEN_DOCS_BUILD` names the folder with the built pages if it is not docs/_build, and
`TFGEN_SCREENSHOTS` one that keeps the screenshots. Chromium and its driver are the system's, as of
`apt-get install chromium chromium-driver`.
"""

import base64
import json
import os
import pathlib
import shutil

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BUILT = pathlib.Path(os.environ.get("TFGEN_DOCS_BUILD", ROOT / "docs" / "_build"))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
]
# Pages of which there are screenshots: those read first, with formulas, wide tables or much code.
SHOWN = [
    *("index", "installation", "tutorial", "recipes", "models", "layers", "theory", "scores"),
    *("comparison", "benchmark", "papers", "su", "data", "devices", "cite", "command"),
    *("choosing", "models/index", "models/vae", "models/gan"),
    *("api/index", "api/tfgen.models", "api/tfgen.models.IWAE", "api/tfgen.losses.kl_divergence"),
]
OTHERS = sorted(
    page.with_suffix("").relative_to(ROOT / "docs").as_posix()
    for folder in (".", "models")
    for page in (ROOT / "docs" / folder).glob("*.md")
)
# Elements that reach beyond the right edge, but those in a box that scrolls.
BEYOND_THE_EDGE = """
const scrolls = element => element && element !== document.body &&
  (["auto", "scroll", "hidden"].includes(getComputedStyle(element).overflowX)
   || scrolls(element.parentElement));
return [...document.querySelectorAll("article *")]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement))
  .map(e => e.outerHTML.slice(0, 100));
"""
BROKEN_IMAGES = "return [...document.images].filter(i => !i.naturalWidth).map(i => i.src)"

pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its driver"),
    pytest.mark.skipif(
        not (BUILT / "index.html").exists(), reason=f"needs sphinx-build -b html docs {BUILT}"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with an empty profile; names of hosts lead nowhere."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(browser, path, width, scheme):
    """Opens a page in a window of some width."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get_log("performance")  # Forgets the page before.
    browser.get(path.as_uri())
    browser.execute_script("for (const image of document.images) image.loading = 'eager'")


def bad_requests(browser):
    """Addresses outside the folder, and reasons why requests failed."""
    for entry in browser.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if not url.startswith(("file:", "data:", "chrome:")):  # The last: of an empty tab.
                yield url
        elif event["method"] == "Network.loadingFailed":
            yield event["params"]["errorText"]


def write_screenshot(browser, path):
    """Writes the whole page, at most 6,000 pixels high, as PNG."""
    box = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "scale": 1, "width": box["width"], "height": min(box["height"], 6000)}
    options = {"captureBeyondViewport": True, "clip": clip}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", options)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(shot["data"]))


def lightness(browser):
    """Mean of the three channels of the background, 0 to 255."""
    color = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    return sum(map(int, color.strip("rgba()").split(",")[:3])) / 3


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("page", sorted({*SHOWN, *OTHERS}))
def test_page_fits_and_is_whole(browser, page, width):
    show(browser, BUILT / f"{page}.html", width, "light")
    assert not browser.execute_script(BEYOND_THE_EDGE)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert not browser.execute_script(BROKEN_IMAGES)
    assert not list(bad_requests(browser))
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("page", SHOWN)
def test_page_follows_the_color_scheme(browser, page, width, scheme, tmp_path):
    show(browser, BUILT / f"{page}.html", width, scheme)
    assert (lightness(browser) > 128) == (scheme == "light")
    folder = pathlib.Path(os.environ.get("TFGEN_SCREENSHOTS", tmp_path))
    write_screenshot(browser, folder / f"{page.replace('/', '_')}_{width}_{scheme}.png")


def test_formulas_have_a_font_with_tall_brackets(browser):
    show(browser, BUILT / "theory.html", 1280, "light")
    assert browser.execute_script("return document.querySelectorAll('math').length") > 50
    assert browser.execute_script(
        "return document.fonts.ready.then(() => document.fonts.check('16px \"STIX Two Math\"'))"
    )


def test_table_of_the_comparison_sorts(browser):
    show(browser, BUILT / "comparison.html", 1280, "light")
    rows = "[...document.querySelectorAll('table.benchmark tbody')][0].rows"
    values = f"return [...{rows}].map(row => parseFloat(row.cells[8].textContent))"
    before = browser.execute_script(values)
    browser.execute_script("document.querySelectorAll('table.benchmark th')[8].click()")
    after = browser.execute_script(values)
    numbers = [value for value in after if value is not None]
    assert after != before
    assert numbers in (sorted(numbers), sorted(numbers, reverse=True))


def test_a_missing_file_is_noticed(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<img src=none.png><img src=https://example.org/a.png>"
        "<article><pre style='width:9000px'>a</pre></article>"
    )
    show(browser, page, 400, "light")
    assert browser.execute_script(BEYOND_THE_EDGE)
    assert len(browser.execute_script(BROKEN_IMAGES)) == 2
    assert "https://example.org/a.png" in list(bad_requests(browser))
