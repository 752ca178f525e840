//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/mailsync/page"
)

// night is the log of a replay: a day of mail with a gap of five hours, of
// which a part was filled, many mailboxes, and names that mean harm.
func night(t *testing.T, mailboxes int) []byte {
	t.Helper()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, `{"v":1,`+format+"}\n", args...) }
	line(`"type":"start","command":"replay","args":["replay","--from","gateway-archive"],"version":"test","host":"mail1","began":"2026-11-22T09:00:00Z"`)
	line(`"type":"store","store":"primary","path":"/srv/mail","role":"primary","device":"sda","recorded":"2026-11-22T08:30:00Z","offline":false`)
	line(`"type":"store","store":"spare","path":"/mnt/spare","role":"spare","device":"sdb","recorded":"2026-11-22T00:30:00Z","offline":true`)
	line(`"type":"survey","messages":9000,"bytes":123456789,"first":"2026-11-21T00:00:00Z","last":"2026-11-22T09:00:00Z"`)
	line(`"type":"window","since":"2026-11-22T01:30:00Z","until":"2026-11-22T06:30:00Z","all":false,"found":true,"reason":"found"`)
	first := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	for h := range 40 {
		at := first.Add(time.Duration(h) * time.Hour)
		n := 40 + (h*37)%60
		present, absent := n, 0
		if at.Hour() >= 1 && at.Hour() < 7 && at.Day() == 22 {
			present, absent = 0, n
			for i := range n - 8 {
				line(`"type":"delivery","source":"m@%d","recipient":"u%d@example.org","mailbox":"u%d@example.org","message_id":"<%d.%d@example.net>","outcome":"delivered","match":"none","detail":"","date":"%s"`,
					i, i, i, h, i, at.Add(time.Minute).Format(time.RFC3339))
			}
		}
		line(`"type":"hour","start":"%s","archived":%d,"present":%d,"absent":%d,"replayed":0,"unknown":0`, at.Format(time.RFC3339), n, present, absent)
		line(`"type":"arrivals","store":"primary","start":"%s","messages":%d`, at.Format(time.RFC3339), present)
		line(`"type":"arrivals","store":"spare","start":"%s","messages":%d`, at.Format(time.RFC3339), present*9/10)
	}
	line(`"type":"delivery","source":"m@1","recipient":"x","mailbox":"<img src=x onerror=alert(1)>","message_id":"</script><script>alert(2)</script>","outcome":"unexplained","match":"none","detail":"absent outside the window"`)
	for i := range mailboxes {
		line(`"type":"account","mailbox":"u%d@example.org","archived":%d,"present":%d,"delivered":%d,"would_deliver":0,"deleted":0,"filtered":0,"duplicate":0,"ambiguous":0,"failed":0,"unexplained":%d,"closed":%t`, i, 10+i%7, 8, 2+i%7, 0, true)
	}
	line(`"type":"device","device":"sda","reads":90000,"median_ms":4,"p99_ms":30,"backed_off":0,"slow":false`)
	line(`"type":"device","device":"sdb","reads":90000,"median_ms":250,"p99_ms":2100,"backed_off":40,"slow":true`)
	line(`"type":"summary","command":"replay","run":"20261122-090000.000-0a0b0c0d","complete":true,"exit":1,"seconds":93.4,"counts":{"archived":9000,"present":8500,"delivered":499,"unexplained":1}`)
	r, err := page.Read(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	html, err := r.HTML("test")
	if err != nil {
		t.Fatal(err)
	}
	return html
}

// browse starts a browser on a page.
func browse(t *testing.T, html []byte) *chromium {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, html, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := start(bin, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	if err := c.open("file://" + file); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chromium) must(t *testing.T, expression string, result any) {
	t.Helper()
	if err := c.eval(expression, result); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
}

// quiet fails if the page asked for anything but itself, or complained.
func (c *chromium) quiet(t *testing.T) {
	t.Helper()
	requests := 0
	for _, e := range c.events {
		switch e.Method {
		case "Network.requestWillBeSent":
			requests++
			if !strings.Contains(string(e.Params), `"url":"file://`) {
				t.Errorf("a request: %s", e.Params)
			}
		case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening":
			t.Errorf("%s: %s", e.Method, e.Params)
		}
	}
	if requests != 1 {
		t.Errorf("%d requests, want 1: the file itself", requests)
	}
}

func TestPage(t *testing.T) {
	c := browse(t, night(t, 300))
	shots := os.Getenv("SHOTS")
	for _, v := range []struct {
		scheme string
		width  int
	}{{"light", 1280}, {"dark", 1280}, {"light", 420}, {"dark", 420}} {
		if err := c.emulate(v.scheme, "", v.width); err != nil {
			t.Fatal(err)
		}
		var wide int
		c.must(t, `document.documentElement.scrollWidth`, &wide)
		if wide > v.width {
			t.Errorf("%s, %d wide: the page is %d wide, and scrolls sideways", v.scheme, v.width, wide)
		}
		var inSight bool
		c.must(t, `(() => { const g = document.querySelector("svg rect.gap").getBoundingClientRect(); return g.left >= 0 && g.right <= innerWidth; })()`, &inSight)
		if !inSight {
			t.Errorf("%s, %d wide: the gap is out of sight", v.scheme, v.width)
		}
		var low []string
		c.must(t, contrast, &low)
		for _, l := range low {
			t.Errorf("%s, %d wide: contrast %s", v.scheme, v.width, l)
		}
		if shots != "" {
			if err := c.shot(filepath.Join(shots, fmt.Sprintf("%s-%d.png", v.scheme, v.width)), v.width, 2200); err != nil {
				t.Error(err)
			}
		}
	}
	c.quiet(t)
	var gap struct{ Shaded, Filled, Absent int }
	c.must(t, `({Shaded: document.querySelectorAll("svg rect.gap").length, Filled: document.querySelectorAll("svg rect.filled").length, Absent: document.querySelectorAll("svg rect.absent").length})`, &gap)
	if gap.Shaded != 1 || gap.Filled != 6 || gap.Absent != 12 {
		t.Errorf("the gap is drawn as %+v: want it shaded once, 6 hours filled, absent in 6 hours before and after", gap)
	}
}

// contrast lists texts below 4.5:1 against what is behind them, and bars and
// keys below 3:1.
const contrast = `(() => {
  const lum = (c) => { const f = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
  const rgb = (s) => { const m = s.match(/[\d.]+/g); return m && (m.length < 4 || Number(m[3]) > 0) ? m.slice(0, 3).map(Number) : null; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
  const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const out = new Set();
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("script,style,defs,title") || !e.checkVisibility()) continue;
    const svg = e instanceof SVGElement, style = getComputedStyle(e);
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const bar = svg && e.tagName === "rect" && ["there", "filled"].includes(e.className.baseVal);
    if (!text && !bar) continue;
    const r = ratio(rgb(svg ? style.fill : style.color), behind(e));
    if (r < (text ? 4.5 : 3)) out.add(r.toFixed(2) + " of " + e.tagName + "." + (svg ? e.className.baseVal : e.className));
  }
  return [...out];
})()`

func TestTables(t *testing.T) {
	c := browse(t, night(t, 100_000))
	var rows int
	c.must(t, `document.querySelectorAll("#accounts tbody tr").length`, &rows)
	if rows != 100 {
		t.Errorf("%d rows stand in the page, want 100", rows)
	}
	var took float64
	c.must(t, `(() => { const t = performance.now(); document.querySelectorAll("#accounts th button")[1].click(); return performance.now() - t; })()`, &took)
	t.Logf("sorting 100,000 rows by number: %.0f ms", took)
	var cell string
	c.must(t, `document.querySelector("#accounts tbody tr td:nth-child(2)").textContent`, &cell)
	if cell != "16" {
		t.Errorf("sorted down by archived, the first row has %q", cell)
	}
	c.must(t, `document.querySelector("#accounts th:nth-child(2)").getAttribute("aria-sort")`, &cell)
	if cell != "descending" {
		t.Errorf("aria-sort is %q", cell)
	}
	c.must(t, `(() => { const t = performance.now(); const i = document.querySelector("#accounts input"); i.value = "u99999@"; i.dispatchEvent(new Event("input")); return performance.now() - t; })()`, &took)
	t.Logf("filtering 100,000 rows: %.0f ms", took)
	c.must(t, `document.querySelector("#accounts .status").textContent`, &cell)
	if cell != "Rows 1 to 1 of 1 that match, of 100,000." {
		t.Errorf("the status says %q", cell)
	}
	c.must(t, `(() => { const i = document.querySelector("#accounts input"); i.value = ""; i.dispatchEvent(new Event("input")); document.querySelector('#accounts button[aria-label^="Next"]').click(); return document.querySelector("#accounts .status").textContent; })()`, &cell)
	if cell != "Rows 101 to 200 of 100,000." {
		t.Errorf("the second page says %q", cell)
	}
	c.must(t, `document.querySelector("#deliveries input").value = "onerror"; document.querySelector("#deliveries input").dispatchEvent(new Event("input")); document.querySelector("#deliveries tbody").textContent`, &cell)
	if !strings.Contains(cell, "<img src=x onerror=alert(1)>") || !strings.Contains(cell, "</script>") {
		t.Errorf("a name that means harm is shown as %q", cell)
	}
	c.quiet(t)
}

// Everything that can be done with a pointer can be done from the keyboard, and
// has a name for a screen reader.
func TestAccessible(t *testing.T) {
	c := browse(t, night(t, 300))
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value json.RawMessage }
		}
	}
	if err := c.call("Accessibility.getFullAXTree", nil, &tree); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, n := range tree.Nodes {
		role, name := strings.Trim(string(n.Role.Value), `"`), strings.Trim(string(n.Name.Value), `"`)
		if n.Ignored {
			continue
		}
		seen[role]++
		switch role {
		case "button", "link", "searchbox", "combobox", "heading", "region", "image", "navigation":
			if strings.TrimSpace(name) == "" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	for _, role := range []string{"main", "navigation", "banner", "contentinfo", "table", "columnheader", "button", "searchbox", "region", "status"} {
		if seen[role] == 0 {
			t.Errorf("there is no %s", role)
		}
	}
	if seen["image"]+seen["img"] != 1 {
		t.Errorf("%d pictures have a name, want the timeline", seen["image"]+seen["img"])
	}
	var first string
	for range 2 { // the skip link, then the first link of the page's contents
		for _, kind := range []string{"keyDown", "keyUp"} {
			if err := c.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}, nil); err != nil {
				t.Fatal(err)
			}
		}
		var at string
		c.must(t, `document.activeElement.textContent`, &at)
		if first == "" {
			first = at
		}
	}
	if first != "Skip to the report" {
		t.Errorf("the first stop of the Tab key is %q", first)
	}
}

func TestPrint(t *testing.T) {
	c := browse(t, night(t, 3000))
	if err := c.emulate("dark", "print", 800); err != nil {
		t.Fatal(err)
	}
	var ground string
	c.must(t, `getComputedStyle(document.body).backgroundColor`, &ground)
	if ground != "rgb(255, 255, 255)" {
		t.Errorf("paper is %s in a dark room", ground)
	}
	var pdf struct{ Data []byte }
	if err := c.call("Page.printToPDF", map[string]any{}, &pdf); err != nil {
		t.Fatal(err)
	}
	if len(pdf.Data) < 10_000 {
		t.Errorf("the print has %d bytes", len(pdf.Data))
	}
	c.quiet(t)
}
