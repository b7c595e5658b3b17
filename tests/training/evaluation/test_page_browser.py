"""The evaluation's page in a real browser: it filters and searches, and runs nothing planted."""

import asyncio
import functools

import pytest

from tests.engine.chromium import IN_CHROMIUM, Page, open_page, visit_page
from tests.training.evaluation.rich_results import rich_results
from training.evaluation.page import evaluation_page
from training.evaluation.page.page import samples_shown

pytestmark = IN_CHROMIUM

RESULTS = rich_results()
SHOWN = "[...document.querySelectorAll('.sample:not([hidden])')]"
IDS = f"{SHOWN}.map((one) => one.querySelector('.provenance').textContent)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluation") / "evaluation.html"
    path.write_text(evaluation_page(RESULTS), encoding="utf-8")
    return path


@pytest.fixture
def visit(path, tmp_path):
    return functools.partial(visit_page, path, tmp_path / "profile")


async def choose(page: Page, **values: str) -> list[str]:
    """Set filters; the ids of the samples that are then shown."""
    await page.choose(**values)
    return await page.evaluate(IDS)


def matching(checkpoint="", principle="", outcome="", name="") -> list[str]:
    """The same, by the samples themselves."""
    found = []
    for shown in samples_shown(RESULTS.samples, [model.name for model in RESULTS.models]):
        for one in shown.answers:
            verdicts = [v for v in one.verdicts if v.verdict.principle == principle]
            outcomes = {o for v in verdicts for o in v.outcomes} if principle else one.outcomes
            fits = (not outcome or outcome in outcomes) and (not principle or verdicts)
            if fits and checkpoint in ("", one.answer.model) and name in ("", shown.sample.set):
                found.append(shown.sample.id)
                break
    return found


def test_nothing_planted_runs_and_nothing_is_asked_for(visit):
    async def check(page):
        for _ in range(3):
            await asyncio.sleep(0.1)
            assert await page.evaluate("document.title") == "sft and dpo against base · Solon"
        assert await page.evaluate("document.querySelectorAll('img, iframe, link').length") == 0
        assert await page.evaluate("document.querySelectorAll('script').length") == 1
        assert await page.evaluate("document.body.textContent.includes('onerror=')")

    visit(check)


def test_filters_narrow_the_answers(visit):
    async def check(page):
        everything = await page.evaluate(IDS)
        assert everything == [sample.id for sample in RESULTS.samples]
        broken = await choose(page, principle="no-preaching", outcome="broken")
        assert broken == matching(principle="no-preaching", outcome="broken")
        assert 0 < len(broken) < len(everything)
        mine = await choose(page, checkpoint="base")
        assert mine == matching("base", "no-preaching", "broken") and len(mine) < len(broken)
        assert await page.evaluate("document.querySelector('output').value") == f"{len(mine)} of 40"
        assert await page.evaluate("location.hash.includes('principle=no-preaching')")
        await page.evaluate("document.querySelector('.filters button').click()")
        await page.until(f"({IDS}).length === {len(everything)}")
        assert await page.evaluate(IDS) == everything
        for outcome in ("kept", "broken", "undecided", "refused", "truncated", "changed", "fixed"):
            assert await choose(page, outcome=outcome) == matching(outcome=outcome) != []
        for outcome in ("won", "lost"):
            assert await choose(page, outcome=outcome) == matching(outcome=outcome) != []
        won = await choose(page, outcome="won", principle="no-preaching")
        under = f"{SHOWN}.map((one) => one.querySelector('.duels').textContent)"
        assert won
        assert all("under no-preaching" in told for told in await page.evaluate(under))
        await page.choose(principle="")
        refused = await choose(page, outcome="refused", set="harmful")
        assert refused == matching(outcome="refused", name="harmful") != []

    visit(check)


def test_search_finds_words_inside_closed_samples(visit):
    async def check(page):
        await page.press("/")
        assert await page.evaluate("document.activeElement.name") == "text"
        await page.call("Input.insertText", text="BURGLAR immune")
        texts = await page.evaluate(f"{SHOWN}.map((one) => one.textContent.toLowerCase())")
        assert 0 < len(texts) < 40 and all("burglar" in t and "immune" in t for t in texts)
        assert await page.evaluate("CSS.highlights.get('found').size") > 0
        await page.call("Input.insertText", text=" no-such-word")
        assert await page.evaluate(IDS) == []
        assert await page.evaluate("document.getElementById('nothing').checkVisibility()")

    visit(check)


def test_a_principle_leads_to_its_answers(visit):
    async def check(page):
        await page.evaluate("document.querySelector('a.jump').click()")
        await page.until("document.querySelector('.filters').elements.principle.value")
        chosen = await page.evaluate("document.querySelector('.filters').elements.principle.value")
        assert chosen == "no-physical-harm"
        assert await page.evaluate(IDS) == matching(principle=chosen)

    visit(check)


def test_keys_move_and_open(visit):
    async def check(page):
        await page.press("j")
        await page.press("j")
        await page.press("k")
        focused = "document.activeElement.closest('.sample')"
        assert await page.evaluate(f"{focused} === {SHOWN}[0]")
        await page.evaluate("document.activeElement.click()")
        assert await page.evaluate(f"{focused}.querySelector('.answers').checkVisibility()")

    visit(check)


KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " ")}


async def type_key(page, key, times=1):
    """A key that a browser acts on by itself."""
    code, text = KEYS[key]
    for _ in range(times):
        typed = {"key": text.strip("\r") or key, "code": key, "windowsVirtualKeyCode": code}
        await page.call("Input.dispatchKeyEvent", type="keyDown", text=text, **typed)
        await page.call("Input.dispatchKeyEvent", type="keyUp", **typed)


async def tab_to(page, condition):
    """Press Tab until what is focused fits; a page that cannot be left by keyboard fails."""
    for _ in range(300):
        await type_key(page, "Tab")
        if await page.evaluate(f"Boolean(document.activeElement?.matches({condition!r}))"):
            return
    raise AssertionError(f"no Tab leads to {condition}")


def test_everything_is_reached_by_keyboard_alone(visit):
    async def check(page):
        await tab_to(page, ".doubts summary")
        await type_key(page, "Enter")
        assert await page.evaluate("document.querySelector('.doubts').open")
        await tab_to(page, "#wins th .tool")
        await type_key(page, "Enter")
        head = "document.activeElement.closest('th')"
        assert await page.evaluate(f"{head}.getAttribute('aria-sort')") == "descending"
        column = "[...document.querySelectorAll('#wins tbody tr')].map((r) => r.cells[1].innerText)"
        shares = [float(t.split("%")[0]) for t in await page.evaluate(column) if "%" in t]
        assert shares == sorted(shares, reverse=True) and len(shares) == 2
        await tab_to(page, "#wins details summary")
        await type_key(page, "Enter")
        await tab_to(page, "#wins details .tool")
        assert await page.evaluate("document.activeElement.checkVisibility()")
        await tab_to(page, "#words")
        await type_key(page, "Space")
        marked = "getComputedStyle(document.querySelector('.sample ins')).textDecorationLine"
        assert await page.evaluate(marked) == "underline"
        await tab_to(page, ".sample summary")
        await type_key(page, "Enter")
        opened = "document.querySelector('.sample[open] .duels')"
        assert await page.evaluate(f"{opened}.checkVisibility()")
        assert "the same, word for word" in await page.evaluate(f"{opened}.innerText")
        await tab_to(page, ".sample .jump a")
        await type_key(page, "Enter")
        assert await page.evaluate("decodeURIComponent(location.hash).includes('/')")

    visit(check)


def test_an_address_opens_one_prompt_and_a_table_is_saved_as_it_stands(visit, path, tmp_path):
    sample = RESULTS.samples[5]

    async def check():
        async with open_page(tmp_path / "other") as page:
            await page.call(
                "Page.navigate", url=f"{path.resolve().as_uri()}#{sample.set}/{sample.id}"
            )
            await page.until("document.readyState === 'complete'")
            opened = "document.querySelector('.sample[open] .provenance').textContent"
            assert await page.evaluate(opened) == sample.id
            await page.evaluate(
                "URL.createObjectURL = (blob) => { blob.text().then((t) => window.saved = t); return '#'; };"
                "document.querySelector('#gates .tools button').click()"
            )
            await page.until("window.saved")
            saved = await page.evaluate("window.saved")
            assert '"Metric","Checkpoint"' in saved.replace("⇅", "").replace(' "', '"')
            assert len(saved.splitlines()) == len(RESULTS.gates) + 1

    asyncio.run(check())


KEEP = """URL.createObjectURL = (blob) => {
  blob.type === 'text/csv' ? blob.text().then((text) => window.saved = text)
    : createImageBitmap(blob).then((image) => window.drawn = image);
  return '#';
}"""
COLOURS = """(() => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [drawn.width, drawn.height];
  const paper = canvas.getContext('2d');
  paper.drawImage(drawn, 0, 0);
  const seen = new Uint32Array(paper.getImageData(0, 0, drawn.width, drawn.height).data.buffer);
  return new Set(seen).size;
})()"""


@pytest.mark.parametrize("section", ["#principles", "#refusal", "#plane"])
def test_figures_are_saved_as_pictures_and_bars_as_csv(visit, section):
    async def check(page):
        await page.evaluate(KEEP)
        buttons = f"[...document.querySelectorAll('{section} .tool')]"
        click = f"{buttons}.find((one) => one.textContent === '↓ {{}}').click()"
        await page.evaluate(click.format("PNG"))
        await page.until("Boolean(window.drawn)")
        assert await page.evaluate("drawn.width") >= 1200
        assert await page.evaluate(COLOURS) > 10
        await page.evaluate(click.format("CSV"))
        await page.until("window.saved")
        rows = (await page.evaluate("window.saved")).lstrip("\ufeff").splitlines()
        if section == "#principles":
            assert rows[0] == '"","Checkpoint","Share","95% interval","n"'
            assert len(rows) == 1 + 3 * len(RESULTS.models[0].principles)
            assert '"no-physical-harm","base","38%","30–47%","118"' in rows

    visit(check)


def test_wide_tables_say_that_they_scroll(visit):
    async def check(page):
        said = "[...document.querySelectorAll('.sideways')].filter((one) => !one.hidden).length"
        size = {"height": 800, "deviceScaleFactor": 1, "mobile": False}
        await page.call("Emulation.setDeviceMetricsOverride", width=390, **size)
        await page.until(f"{said} > 0")
        await page.call("Emulation.setDeviceMetricsOverride", width=2400, **size)
        await page.until(f"{said} === 0")

    visit(check)


def test_drawings_and_figures_are_seen(visit):
    async def check(page):
        for selector, least in (
            (".plane .point", 3),
            (".bars .rate", 12),
            (".heat", 6),
            (".flagged", 2),
        ):
            assert await page.evaluate(f"document.querySelectorAll('{selector}').length") >= least
        widths = "[...document.querySelectorAll('.bars .rate')].map((b) => b.clientWidth)"
        assert min(await page.evaluate(widths)) > 50
        color = "getComputedStyle(document.querySelector('.note.error strong')).color"
        assert await page.evaluate(color) == "rgb(164, 38, 44)"

    visit(check)


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_sideways(visit, width, scheme):
    async def check(page):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await page.call("Emulation.setEmulatedMedia", media="screen", features=[feature])
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await page.call("Emulation.setDeviceMetricsOverride", **size)
        await page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width

    visit(check)


@pytest.mark.parametrize("count", [3, 8])
def test_a_printed_page_cuts_nothing_off(tmp_path, count):
    names = tuple(f"checkpoint-{at}-of-a-long-run" for at in range(count))
    path = tmp_path / "evaluation.html"
    path.write_text(evaluation_page(rich_results(4, names)), encoding="utf-8")

    async def check(page):
        await page.load(path)
        await page.call("Emulation.setEmulatedMedia", media="print")
        size = {"width": 700, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await page.call("Emulation.setDeviceMetricsOverride", **size)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 700
        inside = "[...document.querySelectorAll('.scroll')].map((box) => box.scrollWidth)"
        assert max(await page.evaluate(inside)) <= 700

    async def printing():
        async with open_page(tmp_path / "profile") as page:
            await check(page)

    asyncio.run(printing())


def test_tables_and_answers_are_there_without_javascript(path, tmp_path):
    async def check():
        async with open_page(tmp_path / "profile") as page:
            await page.call("Emulation.setScriptExecutionDisabled", value=True)
            await page.load(path)
            document = (await page.call("DOM.getDocument", depth=0))["root"]["nodeId"]

            async def count(selector):
                found = await page.call("DOM.querySelectorAll", nodeId=document, selector=selector)
                return len(found["nodeIds"])

            assert await count("tbody tr") >= 40
            assert await count(".sample > summary") == 40
            assert await count("form.filters:not([hidden])") == 0

    asyncio.run(check())
