"""The report in a browser: does it draw, fit a phone, follow the eye's light and stay harmless?"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bneck.results.page import report
from tests.results import demo

HOSTILE = "<img src=x onerror=parent.hacked=1>"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--allow-file-access-from-files",
    "--blink-settings=preferredColorScheme=0",  # dark
    "--window-size=1700,900",
    "--virtual-time-budget=20000",
    "--dump-dom",
]
# Two frames, as wide as a desk and as a phone; what they show is written into the outer page.
FRAMES = """<!doctype html><body><iframe src="report.html" width="1280" height="900"></iframe>
<iframe src="report.html" width="390" height="800"></iframe><pre></pre><script>
addEventListener("load", async () => {
  const seen = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, view = frame.contentWindow;
    while (!page.documentElement.dataset.drawn) await new Promise((done) => setTimeout(done, 50));
    view.Plotly.Fx.hover("search", [{curveNumber: 0, pointNumber: 0}]);
    await new Promise((done) => setTimeout(done, 200));
    seen.push({
      width: view.innerWidth,
      content: page.documentElement.scrollWidth,
      headline: page.querySelector("h1").textContent,
      pictures: page.querySelectorAll(".chart svg.main-svg").length > 0,
      points: page.querySelectorAll("#search .point").length,
      hover: page.querySelector("#search .hoverlayer").textContent,
      colour: page.querySelector("#search .xtitle").style.fill,
      ink: view.getComputedStyle(page.body).color,
      images: page.querySelectorAll("img").length,
      hacked: "hacked" in window,
    });
  }
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
</script></body>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in (os.environ.get("BNECK_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    pytest.skip("no chromium on this machine")


def test_the_page_in_a_browser(chromium: str, tmp_path: Path) -> None:
    data = demo.finished(60)
    data = replace(
        data,
        name=HOSTILE,
        class_names=(HOSTILE,),
        baselines=(replace(data.baselines[0], name=HOSTILE),),
    )
    (tmp_path / "report.html").write_text(report.build(data), encoding="utf-8")
    (tmp_path / "frames.html").write_text(FRAMES, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [chromium, *FLAGS, profile, (tmp_path / "frames.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    written = re.search(r"<pre>(.+)</pre>", done.stdout)
    assert written is not None, done.stderr
    frames: list[dict[str, Any]] = json.loads(written[1])

    assert [frame["width"] for frame in frames] == [1280, 390]
    scored = sum(record.accuracy is not None for record in data.records)
    for frame in frames:
        assert frame["content"] <= frame["width"]
        assert "is met" in frame["headline"]
        assert frame["pictures"]
        assert frame["points"] == scored + 1  # the seed is ringed
        assert re.search(r"network \d+s1 +k\d", frame["hover"])
        assert frame["colour"] == frame["ink"]
        assert min(map(int, re.findall(r"\d+", frame["ink"])[:3])) > 200  # light ink, dark page
        assert frame["images"] == 0
        assert not frame["hacked"]
