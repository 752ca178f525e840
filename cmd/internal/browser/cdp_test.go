//go:build browser

package browser

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// event is something that the browser tells on its own.
type event struct {
	Method string
	Params json.RawMessage
}

// chromium is one browser with one page.
type chromium struct {
	cmd     *exec.Cmd
	out     *os.File
	replies chan reply
	session string
	next    int
	events  []event
}

type reply struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// start starts a browser that keeps its profile in dir.
func start(bin, dir string) (*chromium, error) {
	toBrowser, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	in, fromBrowser, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &chromium{out: out, replies: make(chan reply, 1024)}
	c.cmd = exec.Command(bin, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--user-data-dir="+dir, "about:blank")
	c.cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	_ = toBrowser.Close()
	_ = fromBrowser.Close()
	go func() {
		defer close(c.replies)
		r := bufio.NewReaderSize(in, 1<<20)
		for {
			msg, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var x reply
			if json.Unmarshal(msg[:len(msg)-1], &x) == nil {
				c.replies <- x
			}
		}
	}()
	var target struct{ TargetID string }
	if err := c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Accessibility"} {
		if err := c.call(domain+".enable", nil, nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// close ends the browser.
func (c *chromium) close() {
	c.session = ""
	_ = c.call("Browser.close", nil, nil)
	_ = c.out.Close()
	_ = c.cmd.Wait()
}

// patience is how long one answer may take.
const patience = 90 * time.Second

// call asks the browser for something and waits for the answer; events that
// come meanwhile are kept.
func (c *chromium) call(method string, params any, result any) error {
	c.next++
	msg := map[string]any{"id": c.next, "method": method}
	if params != nil {
		msg["params"] = params
	}
	if c.session != "" {
		msg["sessionId"] = c.session
	}
	data, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if _, err := c.out.Write(append(data, 0)); err != nil {
		return err
	}
	late := time.After(patience)
	for {
		select {
		case <-late:
			return fmt.Errorf("%s: no answer", method)
		case x, ok := <-c.replies:
			switch {
			case !ok:
				return errors.New("the browser is gone")
			case x.ID == 0:
				c.events = append(c.events, event{x.Method, x.Params})
			case x.ID == c.next && x.Error != nil:
				return fmt.Errorf("%s: %s", method, x.Error.Message)
			case x.ID == c.next && result != nil:
				return json.Unmarshal(x.Result, result)
			case x.ID == c.next:
				return nil
			}
		}
	}
}

// open loads a file and waits until it is whole.
func (c *chromium) open(url string) error {
	c.events = nil
	if err := c.call("Page.navigate", map[string]any{"url": url}, nil); err != nil {
		return err
	}
	return c.eval(`new Promise(r => document.readyState === "complete" ? r(1) : addEventListener("load", () => r(1)))`, nil)
}

// eval runs an expression in the page.
func (c *chromium) eval(expression string, result any) error {
	var x struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	if err := c.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &x); err != nil {
		return err
	}
	if x.ExceptionDetails != nil {
		return errors.New(x.ExceptionDetails.Exception.Description)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(x.Result.Value, result)
}

// emulate sets the colour scheme and the width of the window.
func (c *chromium) emulate(scheme, media string, width int) error {
	return errors.Join(
		c.call("Emulation.setEmulatedMedia", map[string]any{"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil),
		c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil),
	)
}

// shot writes a picture of the page's first part.
func (c *chromium) shot(file string, width, height int) error {
	var x struct{ Data []byte }
	if err := c.call("Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
	}, &x); err != nil {
		return err
	}
	return os.WriteFile(file, x.Data, 0o644)
}
