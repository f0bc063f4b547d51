"""Open the pages of a site in a headless Chromium at several widths, and list what is wrong."""

import functools
import http.server
import json
import queue
import shutil
import subprocess
import threading

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
PROBE = """<!doctype html><body><script>
const found = [];
const note = (page, width, text) => found.push(`${page} at ${width} px: ${text}`);
function examine(page, width, frame) {
  const view = frame.contentDocument, style = frame.contentWindow.getComputedStyle;
  const extra = view.documentElement.scrollWidth - width;
  if (extra > 0) note(page, width, `${extra} px too wide`);
  for (const image of view.images) if (!image.naturalWidth) note(page, width, image.src);
  for (const node of view.querySelectorAll("article *, nav *")) {
    const hides = ["hidden", "clip"].includes(style(node).overflowX) && node.clientWidth > 1;
    if (hides && node.scrollWidth > node.clientWidth + 1) note(page, width, `cut: ${node.textContent}`);
  }
}
(async () => {
  for (const width of WIDTHS) for (const page of PAGES) {
    const frame = document.createElement("iframe");
    frame.style.cssText = `border: 0; height: 900px; width: ${width}px`;
    frame.src = page;
    const loaded = new Promise((resolve) => { frame.onload = resolve; });
    document.body.append(frame);
    await loaded;
    examine(page, width, frame);
    frame.remove();
  }
  await fetch("/found", { method: "POST", body: JSON.stringify(found) });
})();
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site and the probe; keeps the probe's answer and the missing files."""

    def __init__(self, *args, probe, answers, **options):
        self.probe, self.answers = probe, answers
        super().__init__(*args, **options)

    def do_GET(self):
        if self.path != "/probe":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.probe)

    def do_POST(self):
        self.answers.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def faults(site, widths, profile, patience=300.0):
    """Text that is cut, pages that are too wide, missing images, and errors of the console."""
    assert CHROMIUM is not None
    pages = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    probe = PROBE.replace("WIDTHS", json.dumps(widths)).replace("PAGES", json.dumps(pages))
    answers = queue.Queue()
    handler = functools.partial(Handler, directory=str(site), probe=probe.encode(), answers=answers)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
        ]
        command += [f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/probe"]
        command.insert(1, "--remote-debugging-port=0")  # else Chromium ends with the first page
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser:
            log = queue.Queue()
            assert browser.stderr is not None
            threading.Thread(target=lambda: log.put(browser.stderr.read()), daemon=True).start()
            try:
                found = json.loads(answers.get(timeout=patience))
            finally:
                browser.terminate()
        server.shutdown()
    lines = [line for line in log.get(timeout=30).splitlines() if ":CONSOLE" in line]
    return found + lines
