package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestBrowser runs scripts that look at the pages of `slipway ui` in Chromium.
func TestBrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("Chromium is missing: run `apt-get install chromium`, or `make test` as root")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, // as root
		chromedp.WSURLReadTimeout(time.Minute))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	b := &browsers{allocator: ctx, tabs: map[string]*tab{}}
	p := scripts("testdata/browser")
	p.Cmds["browser"] = b.do
	testscript.Run(t, p)
}

//go:embed testdata/axe.min.js
var axe string

// browsers has the tab of each script.
type browsers struct {
	allocator context.Context

	mu   sync.Mutex
	tabs map[string]*tab
}

// tab is what a script looks at.
type tab struct {
	ctx  context.Context
	base string
}

// waitFor is how long a page may take to show something.
const waitFor = time.Minute

// do drives a browser:
//
//	browser login FILE             opens the address that `slipway ui` printed into FILE, or signs in at the
//	                               agent whose log is in FILE, in a browser of its own
//	browser open PATH              loads a page
//	browser see TEXT               waits until the page says this; with ! it must not say it
//	browser find SELECTOR          waits until the page has such an element; with ! it must have none
//	browser click SELECTOR
//	browser type SELECTOR TEXT     @FILE is the text of a file
//	browser post STATUS PATH FORM  sends a form that the page does not have, and expects this status
//	browser tab SELECTOR           presses Tab until the element has the focus
//	browser press Enter
//	browser width N                as wide as a phone, or a desk
//	browser scheme light|dark
//	browser scripts on|off         JavaScript
//	browser reload
//	browser quiet                  the page sends no request for longer than it waits before it tries again
//	browser axe                    has no violation of WCAG A or AA, and does not scroll sideways
//	browser shot NAME              a picture; SCREENSHOTS=1 stores it in docs/images
func (b *browsers) do(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: browser login|open|see|find|click|type|post|press|width|scheme|scripts|axe|shot …")
	}
	script := ts.Getenv("WORK")
	b.mu.Lock()
	t := b.tabs[script]
	b.mu.Unlock()
	if args[0] == "login" {
		address := strings.TrimSpace(ts.ReadFile(args[1]))
		base, _, _ := strings.Cut(address, "/?")
		if found := listening.FindStringSubmatch(address); found != nil {
			base = "http://" + found[1]
			address = base + "/login"
		}
		ctx, stop := chromedp.NewContext(b.allocator)
		ts.Defer(stop)
		t = &tab{ctx, base}
		b.mu.Lock()
		b.tabs[script] = t
		b.mu.Unlock()
		ts.Check(chromedp.Run(ctx)) // the browser ends with the context of its first action
		ts.Check(t.run(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(address),
			chromedp.WaitReady("main")))
		return
	}
	if t == nil {
		ts.Fatalf("browser %s: browser login comes first", args[0])
	}
	switch {
	case args[0] == "see" || args[0] == "find":
		ts.Check(t.await(args[0], args[1], !neg))
	case args[0] == "type" && strings.HasPrefix(args[2], "@"):
		text := strings.TrimSpace(ts.ReadFile(args[2][1:]))
		ts.Check(t.run(chromedp.SetValue(args[1], text, chromedp.ByQuery)))
	case args[0] == "post":
		ts.Check(t.post(args[1], args[2], args[3]))
	case args[0] == "shot":
		ts.Check(t.shoot(ts.MkAbs(args[1]+".png"), args[1]))
	case neg:
		ts.Fatalf("browser %s knows no !", args[0])
	default:
		ts.Check(t.step(args))
	}
}

func (t *tab) run(actions ...chromedp.Action) error {
	ctx, stop := context.WithTimeout(t.ctx, waitFor)
	defer stop()
	return chromedp.Run(ctx, actions...)
}

// step does what needs no waiting.
func (t *tab) step(args []string) error {
	word := append(args, "", "")
	switch args[0] {
	case "open":
		return t.run(chromedp.Navigate(t.base+word[1]), chromedp.WaitReady("main"))
	case "reload":
		return t.run(chromedp.Reload(), chromedp.WaitReady("main"))
	case "click":
		return t.run(chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).click()", word[1]), nil))
	case "type":
		return t.run(chromedp.SendKeys(word[1], word[2], chromedp.ByQuery))
	case "press":
		return t.run(chromedp.KeyEvent(kb.Enter))
	case "tab":
		return t.tabTo(word[1])
	case "width":
		width, err := strconv.ParseInt(word[1], 10, 64)
		if err != nil {
			return err
		}
		return t.run(chromedp.EmulateViewport(width, 800))
	case "scheme":
		return t.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: word[1]}}))
	case "scripts":
		return t.run(emulation.SetScriptExecutionDisabled(word[1] == "off"))
	case "axe":
		return t.inspect()
	case "quiet":
		return t.quiet()
	}
	return fmt.Errorf("browser %s: unknown", args[0])
}

// post sends a form from the page.
func (t *tab) post(status, path, form string) error {
	var got int
	ask := fmt.Sprintf("fetch(%q, {method: 'POST', body: new URLSearchParams(%q)}).then(r => r.status)",
		path, form)
	err := t.run(chromedp.Evaluate(ask, &got, awaitResult))
	if err == nil && strconv.Itoa(got) != status {
		err = fmt.Errorf("browser post %s: status %d, not %s", path, got, status)
	}
	return err
}

// quietTime is longer than the pause after which a page opens a stream again.
const quietTime = 5 * time.Second

// quiet watches for requests of the page.
func (t *tab) quiet() error {
	asked := make(chan string, 100)
	ctx, stop := context.WithTimeout(t.ctx, quietTime)
	defer stop()
	chromedp.ListenTarget(ctx, func(event any) {
		if r, ok := event.(*network.EventRequestWillBeSent); ok {
			asked <- r.Request.Method + " " + r.Request.URL
		}
	})
	if err := t.run(network.Enable()); err != nil {
		return err
	}
	select {
	case request := <-asked:
		return fmt.Errorf("the page sends %s", request)
	case <-ctx.Done():
		return nil
	}
}

// tabTo reaches an element as somebody does who has no mouse.
func (t *tab) tabTo(selector string) error {
	reached := fmt.Sprintf("document.activeElement.matches(%q)", selector)
	for range 100 {
		var is bool
		if err := t.run(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(reached, &is)); err != nil || is {
			return err
		}
	}
	return fmt.Errorf("100 times Tab do not reach %s", selector)
}

// await waits until the page has a text or an element, or until it has not.
func (t *tab) await(what, value string, wanted bool) error {
	look := fmt.Sprintf("document.body.innerText.includes(%q)", value)
	if what == "find" {
		look = fmt.Sprintf("document.querySelector(%q) !== null", value)
	}
	deadline, tick := time.After(waitFor), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		var is bool
		err := t.run(chromedp.Evaluate(look, &is))
		if err == nil && is == wanted {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			var text string
			_ = t.run(chromedp.Evaluate("location.href + '\\n' + document.body.innerText", &text))
			return fmt.Errorf("%s %q: want %v, last error %v; the page is:\n%s", what, value, wanted, err, text)
		}
	}
}

// inspect runs axe-core, and looks whether the page is wider than the window.
func (t *tab) inspect() error {
	const ask = `axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}).then(r => r.violations.map(v =>
		v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join('; ')).join('\n'))`
	var violations string
	var wide bool
	err := t.run(chromedp.Evaluate(axe+";0", nil),
		chromedp.Evaluate(ask, &violations, chromedp.EvalAsValue, awaitResult),
		chromedp.Evaluate("document.documentElement.scrollWidth > innerWidth", &wide))
	switch {
	case err != nil:
		return err
	case violations != "":
		return fmt.Errorf("axe: %s", violations)
	case wide:
		return fmt.Errorf("the page scrolls sideways")
	}
	return nil
}

// shoot stores a picture of the page with few colours: the pages have few.
func (t *tab) shoot(file, name string) error {
	const still = "Promise.all(document.getAnimations().map(a => a.finished)).then(() => true)"
	var raw []byte
	err := t.run(chromedp.Evaluate(still, nil, awaitResult), chromedp.Screenshot("html", &raw, chromedp.ByQuery))
	if err != nil {
		return err
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if os.Getenv("SCREENSHOTS") != "" {
		file = filepath.Join(sourceDir, "..", "..", "docs", "images", name+".png")
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	return encoder.Encode(out, paletted(picture))
}

// paletted keeps the 255 most frequent colours.
func paletted(from image.Image) image.Image {
	count := map[color.RGBA]int{}
	area := from.Bounds()
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			count[color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)]++
		}
	}
	to := image.NewPaletted(area, frequent(count))
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			to.Set(x, y, from.At(x, y))
		}
	}
	return to
}

func frequent(count map[color.RGBA]int) color.Palette {
	colours := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Compare(count[b], count[a])
	})
	var palette color.Palette
	for _, c := range colours[:min(len(colours), 255)] {
		palette = append(palette, c)
	}
	return palette
}

func awaitResult(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
