"""The report in a real browser: it filters, searches, runs nothing planted and asks for nothing."""

import asyncio
import functools

import pytest

from engine.record_files import read_records
from engine.report import build_report
from tests.engine.chromium import IN_CHROMIUM, Page, open_page, visit_page
from tests.engine.run_fixture import write_run

pytestmark = IN_CHROMIUM

SHOWN = "[...document.querySelectorAll('.conversation:not([hidden])')]"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("runs") / "run", 160)
    return build_report(run, sample=120)


@pytest.fixture
def visit(report, tmp_path):
    return functools.partial(visit_page, report, tmp_path / "profile")


async def shown(page: Page, what: str) -> list[str]:
    return await page.evaluate(f"{SHOWN}.map((one) => {what})")


def test_nothing_planted_runs_and_nothing_is_asked_for(visit):
    async def check(page):
        for _ in range(3):
            await asyncio.sleep(0.1)
            assert await page.evaluate("document.title") == "run · Solon"
        assert await page.evaluate("document.querySelectorAll('img, iframe, link').length") == 0
        assert await page.evaluate("document.querySelectorAll('script').length") == 1
        assert await page.evaluate("document.body.textContent.includes('onerror=')")
        attributes = "[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"
        assert not [a for a in await page.evaluate(attributes) if a.startswith("on")]

    visit(check)


def test_filters_narrow_the_conversations(visit, report):
    principles = {r.id: {x.principle for x in r.rounds} for r in read_records(report.parent)}

    async def check(page):
        everything = await shown(page, "one.querySelector('.id').textContent")
        assert len(everything) == 120
        await page.choose(principle="no-preaching")
        some = await shown(page, "one.querySelector('.id').textContent")
        assert some == [id for id in everything if "no-preaching" in principles[id]]
        assert 0 < len(some) < 120
        await page.choose(outcome="dropped")
        outcomes = await shown(page, "one.querySelector('.badge').textContent")
        assert set(outcomes) == {"dropped"}
        assert await page.evaluate("document.querySelector('output').value") == (
            f"{len(outcomes)} of 120"
        )
        assert await page.evaluate("location.hash") == "#principle=no-preaching&outcome=dropped"
        await page.evaluate("document.querySelector('.filters button').click()")
        await page.until(f"{SHOWN}.length === {len(everything)}")
        assert await shown(page, "one.querySelector('.id').textContent") == everything

    visit(check)


def test_a_tag_of_markup_is_a_tag_like_any_other(visit):
    async def check(page):
        await page.choose(tag="<b>odd</b>")
        tags = await shown(page, "one.querySelector('.tags').textContent")
        assert tags and all("<b>odd</b>" in text for text in tags)

    visit(check)


def test_search_finds_words_inside_closed_conversations(visit):
    async def check(page):
        await page.press("/")
        assert await page.evaluate("document.activeElement.name") == "text"
        await page.call("Input.insertText", text="POISON control")
        texts = await shown(page, "one.textContent.toLowerCase()")
        assert texts and all("poison" in text and "control" in text for text in texts)
        assert await page.evaluate("CSS.highlights.get('found').size") > 0
        await page.call("Input.insertText", text=" no-such-word")
        assert await shown(page, "1") == []
        assert await page.evaluate("document.getElementById('nothing').checkVisibility()")

    visit(check)


def test_keys_move_and_open(visit):
    async def check(page):
        await page.press("j")
        await page.press("j")
        await page.press("k")
        focused = "document.activeElement.closest('.conversation')"
        assert await page.evaluate(f"{focused} === {SHOWN}[0]")
        await page.evaluate("document.activeElement.click()")
        assert await page.evaluate(f"{focused}.querySelector('.answers').checkVisibility()")

    visit(check)


def test_a_principle_leads_to_its_conversations(visit):
    async def check(page):
        await page.evaluate("document.querySelector('a.jump').click()")
        await page.until("document.querySelector('.filters').elements.principle.value")
        lists = await shown(page, "one.dataset.principle")
        assert lists and all("no-physical-harm" in names.split("\n") for names in lists)

    visit(check)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_sideways(visit, width):
    async def check(page):
        await page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=False,
        )
        await page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width

    visit(check)


def test_a_printed_page_cuts_nothing_off(visit):
    async def check(page):
        await page.call("Emulation.setEmulatedMedia", media="print")
        size = {"width": 700, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await page.call("Emulation.setDeviceMetricsOverride", **size)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 700

    visit(check)


def test_tables_and_conversations_are_there_without_javascript(report, tmp_path):
    async def check():
        async with open_page(tmp_path / "profile") as page:
            await page.call("Emulation.setScriptExecutionDisabled", value=True)
            await page.load(report)
            document = (await page.call("DOM.getDocument", depth=0))["root"]["nodeId"]

            async def count(selector):
                found = await page.call("DOM.querySelectorAll", nodeId=document, selector=selector)
                return len(found["nodeIds"])

            assert await count("tbody tr") >= 5
            assert await count(".conversation > summary") == 120
            assert await count("form.filters:not([hidden])") == 0

    asyncio.run(check())
