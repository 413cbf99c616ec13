"""The annotator's page, driven in Chromium as an annotator drives it, and its files as a stranger asks for them."""

import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from app_server import ROOT, Server, serving
from monailabel_app.client import Refused, multipart
from PIL import Image

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.io.pictures import write_picture

SPOT = (171, 46)
"""Pixel (u, v) at the middle of the one white spot, 17 x 17, of every picture."""
SIZE = (200, 240)
COUNT = 40
ODD = "x<img src=x onerror=alert(1)>&amp;"
POINT = "left_femoral_head"
PAGE = ROOT / "monailabel_app/page"
Sign = Callable[..., Any]


@pytest.fixture(scope="module")
def server(can_serve: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("page")
    (home / "studies").mkdir()
    for number in range(COUNT):
        picture = 0.3 * torch.rand(SIZE, generator=torch.Generator().manual_seed(number))
        picture[SPOT[1] - 8 : SPOT[1] + 9, SPOT[0] - 8 : SPOT[0] + 9] = 1.0
        write_picture(home / "studies" / f"p{number:02d}.png", picture)
    one = serving(home / "studies", home).start()
    yield one
    one.kill(15)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium; apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def tab(server: Server, chromium: Any) -> Iterator[Any]:
    """A tab of a fresh browser. Nothing in it breaks, offends the page's policy or asks anybody else."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
    page.on("request", lambda one: None if one.url.startswith(server.address) else wrong.append(one.url))
    page.goto(f"{server.address}/annotate/")
    yield page
    context.close()
    assert not wrong


@pytest.fixture
def sign(server: Server, tab: Any) -> Sign:
    """Signs in, and opens a picture; its name."""

    def signed(name: str = "anna") -> str:
        tab.fill("#token", server.tokens[name])
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#idle:not([hidden])")
        tab.select_option("#strategy", "random")
        tab.click("#next")
        return opened(tab)

    return signed


def opened(tab: Any, but: str = "") -> str:
    """Waits until a picture is there with its points; its name."""
    tab.wait_for_function(
        "but => document.querySelectorAll('#list li').length && !document.querySelector('#veil').textContent"
        " && !['', but].includes(document.querySelector('#picture').textContent)",
        arg=but,
    )
    return tab.inner_text("#picture")


def uv(server: Server, picture: str, name: str = POINT, **query: Any) -> Any:
    marks = server.client("rita").label(picture, **query)["skiagraph"]["landmarks"]
    return next(mark["uv"] for mark in marks if mark["name"] == name)


def middle(tab: Any, name: str = POINT) -> tuple[float, float]:
    box = tab.locator(f".mark[data-name={name}]").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def show(tab: Any, name: str = POINT) -> None:
    """A point in the picture whatever the detector made of it, and chosen."""
    if not tab.locator(f".mark[data-name={name}]").count():
        tab.locator(f"li:has([data-row={name}]) .see").click()
    tab.click(f"[data-row={name}] .name")
    tab.wait_for_timeout(300)


def spot(tab: Any) -> tuple[float, float]:
    """Where the white spot is on the screen, found on a screenshot."""
    tab.keyboard.press("h")
    tab.wait_for_timeout(300)
    place = tab.locator("#view").bounding_box()
    shot = np.asarray(Image.open(BytesIO(tab.screenshot(clip=place))).convert("L"), dtype=float)
    tab.keyboard.press("h")
    shot[:60, :60] = shot[:60, -60:] = 0  # the letters of the sides
    v, u = np.nonzero(shot > 250)
    return place["x"] + u.mean() + 0.5, place["y"] + v.mean() + 0.5


def drag(tab: Any, to: tuple[float, float], name: str = POINT) -> None:
    tab.mouse.move(*middle(tab, name))
    tab.mouse.down()
    tab.mouse.move(to[0] - 30, to[1] + 20, steps=4)
    tab.mouse.move(*to, steps=3)
    tab.mouse.up()


def submit(tab: Any, picture: str) -> None:
    tab.click("#accept")
    tab.click("#submit")
    opened(tab, but=picture)


@pytest.mark.parametrize("closer", [False, True])
def test_a_point_dragged_onto_something_is_there_in_the_datastore_to_the_pixel(server, tab, sign, closer):
    picture = sign()
    show(tab)
    if closer:
        x, y = spot(tab)
        drag(tab, (x + 20, y + 10))
        tab.keyboard.press("+")
        tab.wait_for_timeout(600)
    drag(tab, spot(tab))
    submit(tab, picture)
    found = uv(server, picture)
    assert np.hypot(found[0] - SPOT[0], found[1] - SPOT[1]) < 0.5, found
    assert server.client("rita").label(picture)["skiagraph"]["author"] == "anna"


def test_a_picture_comes_with_why_it_was_chosen_and_until_when(tab, sign):
    sign()
    assert re.search(r"Why this picture: drawn at random.*Yours until", tab.inner_text("#why"))


def test_a_point_said_not_to_be_in_the_picture_is_null_and_undo_takes_it_back(server, tab, sign):
    picture = sign()
    show(tab)
    tab.keyboard.press("v")
    assert not tab.locator(f".mark[data-name={POINT}]").count()
    tab.keyboard.press("Control+z")
    assert tab.locator(f".mark[data-name={POINT}]").count()
    tab.keyboard.press("Control+y")
    assert not tab.locator(f".mark[data-name={POINT}]").count()
    submit(tab, picture)
    assert uv(server, picture) is None


def test_what_is_not_accepted_is_not_submitted(server, tab, sign):
    picture = sign()
    tab.click("#submit", force=True)
    assert "14 of 14" in tab.inner_text("#left")
    assert server.client("rita").versions(picture) == []


def test_everything_is_done_with_the_keyboard_alone(server, tab):
    tab.keyboard.type(server.tokens["anna"])
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#idle:not([hidden])")
    tab.keyboard.press("Enter")
    picture = opened(tab)
    before = tab.evaluate("JSON.parse(localStorage['skiagraph.draft.anna']).points[0].uv")
    tab.keyboard.press("n")
    if not tab.locator(f".mark[data-name={POINT}]").count():
        tab.keyboard.press("v")
    for key in ("ArrowDown", "ArrowRight", "Shift+ArrowRight", "Enter"):
        tab.keyboard.press(key)
    assert tab.get_attribute("[data-row=right_femoral_head]", "aria-current") == "true"
    tab.keyboard.press("a")
    tab.keyboard.press("Control+Enter")
    opened(tab, but=picture)
    bounds = np.array([239.5, 199.5])
    assert np.allclose(uv(server, picture), np.minimum(np.add(before, (11, 1)), bounds), atol=0.011)


def test_a_reload_keeps_the_draft(tab, sign):
    picture = sign()
    show(tab)
    drag(tab, spot(tab))
    before = middle(tab)
    tab.reload()
    assert opened(tab) == picture
    assert np.allclose(middle(tab), before, atol=1.0)
    assert "draft" in tab.inner_text("#status")


def test_the_token_is_kept_in_the_tab_and_nowhere_else(server, tab, sign):
    sign()
    assert server.tokens["anna"] not in json.dumps(tab.evaluate("({...localStorage})"))
    assert tab.context.cookies() == []
    tab.click("#sign-out")
    assert tab.evaluate("sessionStorage.length") == 0


def test_a_wrong_token_is_told_so(tab):
    tab.fill("#token", "wrong")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#alert:not([hidden])")
    assert "Wrong token" in tab.inner_text("#alert")


def test_a_reader_is_told_that_he_may_not_annotate(server, tab):
    tab.fill("#token", server.tokens["rita"])
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#alert:not([hidden])")
    assert "annotator" in tab.inner_text("#alert")


def test_nothing_is_lost_when_the_connection_is(server, tab, sign):
    picture = sign()
    show(tab)
    drag(tab, spot(tab))
    tab.keyboard.press("a")
    tab.context.set_offline(True)
    tab.keyboard.press("Control+Enter")
    tab.wait_for_function("() => document.querySelector('#alert').textContent.includes('No connection')")
    assert server.client("rita").versions(picture) == []
    tab.context.set_offline(False)
    opened(tab, but=picture)
    assert np.allclose(uv(server, picture), SPOT, atol=0.5)
    assert tab.locator("#alert").is_hidden()


def test_what_another_reader_saved_meanwhile_is_not_passed_over(server, tab, sign):
    picture = sign()
    show(tab)
    drag(tab, spot(tab))
    server.client("ben").save(picture, {POINT: [10.0, 20.0]})
    tab.keyboard.press("a")
    tab.keyboard.press("Control+Enter")
    tab.wait_for_selector("#ask[open]")
    assert "ben saved version 1" in tab.inner_text("#ask-text")
    assert "farthest apart at Left femoral head" in tab.inner_text("#ask-text")
    tab.click("text=Save mine as well")
    opened(tab, but=picture)
    assert uv(server, picture, author="ben") == [10.0, 20.0]
    assert np.allclose(uv(server, picture, author="anna"), SPOT, atol=0.5)


def test_a_draft_whose_picture_was_given_to_another_is_not_thrown_away(server, tab, sign):
    picture = sign()
    show(tab)
    server.client("anna").give_back(picture)
    server.client("ben").renew(picture)
    tab.reload()
    tab.wait_for_selector("#ask[open]")
    tab.click("text=Go on with my draft")
    assert opened(tab) == picture


def test_a_picture_that_is_worked_on_is_kept_and_one_that_is_left_alone_is_not(tab, sign):
    tab.clock.install()
    tab.reload()
    picture = sign()
    asked: list[str] = []
    tab.on("request", lambda one: asked.append(one.url) if one.method == "PUT" and "lease" in one.url else None)
    tab.clock.fast_forward("06:00")
    tab.wait_for_timeout(500)
    assert len(asked) == 1
    assert picture in asked[0]
    tab.clock.fast_forward("20:00")
    tab.wait_for_timeout(500)
    assert len(asked) == 1


def test_skipping_leaves_the_picture_to_others(server, tab, sign):
    picture = sign()
    tab.keyboard.press("s")
    tab.wait_for_selector("#idle:not([hidden])")
    assert server.client("ben").renew(picture) > time.time()
    assert tab.evaluate("localStorage.length") == 0


def test_sides_are_those_of_the_points_and_a_mirrored_picture_is_noticed(tab, sign):
    sign()
    for name, key in ((POINT, "ArrowRight"), ("right_femoral_head", "ArrowLeft")):
        show(tab, name)
        for _ in range(24):
            tab.keyboard.press(f"Shift+{key}")
    tab.keyboard.press("a")
    for name in LANDMARK_NAMES[2:]:
        if tab.locator(f".mark[data-name={name}]").count():
            tab.locator(f"li:has([data-row={name}]) .see").click()
    assert [tab.inner_text(f"#side-{end}") for end in ("left", "right")] == ["R", "L"]
    assert tab.locator("#exchange").is_hidden()
    tab.keyboard.press("x")
    assert [tab.inner_text(f"#side-{end}") for end in ("left", "right")] == ["L", "R"]
    assert "mirrored" in tab.inner_text("#sides")


def test_names_are_shown_and_not_obeyed(server, tab, sign):
    picture = sign()
    tab.route("**/activelearning/*", lambda route: _named(route))
    tab.route(re.compile(r"/(datastore/pixels|infer/)"), lambda route: _asking(route, picture))
    tab.route("**/datastore/versions*", lambda route: route.fulfill(json=[]))
    tab.keyboard.press("s")
    tab.click("#next")
    assert opened(tab, but=picture) == ODD
    assert ODD in tab.inner_text("#why")
    assert tab.locator("img").count() == 0


def _named(route: Any) -> None:
    if route.request.method != "POST":
        route.continue_()
        return
    until = time.time() + 600
    route.fulfill(json={"id": ODD, "strategy": ODD, "reason": ODD, "lease_until": until})


def _asking(route: Any, picture: str) -> None:
    route.continue_(url=re.sub(r"image=[^&]*", f"image={picture}", route.request.url))


def get(server: Server, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def test_strangers_get_the_page_and_nothing_else(server):
    status, headers, content = get(server, "/annotate/")
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Cache-Control"] == "no-cache"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = content.decode()
    assert not re.search(r"<script(?![^>]*src=)|<style| on\w+=| style=|https?://", text)
    for path in re.findall(r'(?:src|href)="\./(assets/[^"]+)"', text):
        status, headers, content = get(server, f"/annotate/{path}")
        assert status == 200
        assert headers.get_all("Cache-Control") == ["public, max-age=31536000, immutable"]
        assert (
            headers["Content-Type"].split(";")[0] == {"js": "text/javascript", "css": "text/css"}[path.split(".")[-1]]
        )
        assert b"eval(" not in content
        assert get(server, f"/annotate/{path}", {"If-None-Match": headers["ETag"]})[0] == 304
    for path in ("/whoami", "/datastore/pixels?image=p00", "/info/", "/annotate", "/annotatex", "/"):
        assert get(server, path)[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        "../",
        "..%2f",
        "%2e%2e/",
        "..\\",
        "..%5c",
        "/",
        "./",
        "assets/",
        "assets/../../",
        "assets/..%2f..%2f",
        "//",
        "%00",
    ],
)
def test_no_path_leads_out_of_the_page(server, path):
    for name in (
        "info/",
        "guard.py",
        "package.json",
        "src/main.ts",
        "etc/passwd",
        "../../../../../etc/passwd",
        "whoami",
    ):
        status, _, content = get(server, f"/annotate/{path}{name}")
        assert status in (400, 401, 404), path
        assert len(content) < 200


def test_another_host_in_the_head_opens_nothing(server):
    for host in ("x/annotate/", "x/annotate/?", "x/health/live?", "x/health/live#"):
        assert get(server, "/info/", {"Host": host})[0] in (400, 401)


def test_a_picture_arrives_with_all_its_grey_values(server):
    client = server.client("rita")
    content = client._send("GET", "/datastore/pixels", {"image": "p00"})
    values = np.frombuffer(content, dtype="<u2").reshape(SIZE)
    assert values.max() == 65535
    assert values[SPOT[1], SPOT[0]] == 65535
    assert values.min() == 0
    assert len(np.unique(values)) > 50


def test_a_lease_is_renewed_by_who_holds_it_and_refused_to_others(server):
    given = server.client("anna").next_sample("random")
    assert server.client("anna").renew(given["id"]) >= given["lease_until"]
    with pytest.raises(Refused, match="another annotator"):
        server.client("ben").renew(given["id"])


def test_a_token_is_told_whose_it_is(server):
    assert server.client("rita").who() == {"name": "rita", "role": "reader"}


def test_a_label_after_what_others_said_is_refused_when_it_is_asked_to_be(server):
    anna, ben = server.client("anna"), server.client("ben")
    first = ben.save("p01", {POINT: [1.0, 2.0]})
    body, kind = multipart({}, {"label": ("label.json", b'{"left_femoral_head": [3, 4]}')})
    for after, refused in ((first - 1, True), (first, False)):
        query = {"image": "p01", "tag": "final", "after": str(after)}
        if refused:
            with pytest.raises(Refused, match="ben saved version"):
                anna._send("PUT", "/datastore/label", query, body, kind)
        else:
            anna._send("PUT", "/datastore/label", query, body, kind)
    assert [one["author"] for one in anna.versions("p01")][-2:] == ["ben", "anna"]


def test_the_built_page_is_small_and_is_what_its_sources_give(tmp_path):
    built = {
        path.relative_to(PAGE / "dist"): path.read_bytes() for path in (PAGE / "dist").rglob("*") if path.is_file()
    }
    assert sum(map(len, built.values())) < 3_000_000
    if shutil.which("npm") is None or not (PAGE / "node_modules").is_dir():
        pytest.skip("no Node, or its packages are not installed; make page")
    command = ["npx", "vite", "build", "--outDir", str(tmp_path / "dist"), "--logLevel", "error"]
    subprocess.run(command, cwd=PAGE, check=True, capture_output=True)
    again = {path.relative_to(tmp_path / "dist"): path for path in Path(tmp_path / "dist").rglob("*") if path.is_file()}
    assert set(again) == set(built), "run make page and commit monailabel_app/page/dist"
    assert all(path.read_bytes() == built[name] for name, path in again.items()), "run make page and commit its dist"
