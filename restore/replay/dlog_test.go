package replay

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// known says yes to every Message-ID.
func known(string) bool { return true }

// What is kept of a log's lines is what is asked of them, not the lines.
func TestLogLinesAreNotHeld(t *testing.T) {
	const messages, long = 2000, 16 << 10
	pad := strings.Repeat("x", long)
	line := func(i int, text string) string {
		return fmt.Sprintf("Nov 22 08:00:02 gw postfix/lmtp[1]: %010X: %s", i, text)
	}
	l := &DeliveryLog{events: map[string][]logEvent{}}
	p := logParser{ids: map[string]string{}, known: known}
	out := &outLog{ids: map[string]*queued{}}
	before := held()
	for i := range messages {
		p.line(line(i, fmt.Sprintf("message-id=<%d@x>", i)))
		id, e, ok := p.line(line(i, "to=<a@b>, orig_to=<c@d>, relay=x, status=sent ("+pad+")"))
		if !ok {
			t.Fatal("the line says nothing")
		}
		l.keep(id, e)
		id, e, ok = p.line("2026-11-22T08:00:04Z s dovecot: lmtp(a)<1><x>: sieve: msgid=<" + fmt.Sprint(i) + "@y>: discarded " + pad)
		if !ok {
			t.Fatal("the line says nothing")
		}
		l.keep(id, e)
		out.line(line(i, "client=unknown["+pad[:20]+"], sasl_username=u, "+pad))
		out.line(line(i, fmt.Sprintf("message-id=<%d@x>%s", i, strings.Repeat(" ", long))))
	}
	if got := held() - before; got > messages*long/8 {
		t.Errorf("%d messages hold %d bytes", messages, got)
	}
	runtime.KeepAlive(l)
	runtime.KeepAlive(out)
}

func held() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func FuzzDeliveryLog(f *testing.F) {
	f.Add("Nov 22 08:00:01 gw postfix/cleanup[1]: 4A1B2C3D4E: message-id=<1@x>\n" +
		"Nov 22 08:00:02 gw postfix/lmtp[1]: 4A1B2C3D4E: to=<a@b>, orig_to=<c@d>, relay=x, status=sent (250)\n" +
		"Nov 22 08:00:02 gw postfix/qmgr[1]: 4A1B2C3D4E: removed\n")
	f.Add("2026-11-22T08:00:04Z s dovecot: lmtp(a)<1><x>: sieve: msgid=<1@x>: discarded")
	f.Add("Nov 22 08:00:03 lda(12, a): msgid=<x>: saved mail to INBOX")
	f.Add("Nov 22 08:00:03 gw postfix/smtp[1]: 4A1B2C3D4E: message-id=<q>\nNov 22 08:00:03 gw postfix/smtp[1]: 4A1B2C3D4E: to=<>, status=deferred (x)\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := logParser{ids: map[string]string{}, known: known}
		deaf := logParser{ids: map[string]string{}, known: func(string) bool { return false }}
		alike := logParser{ids: map[string]string{}, known: known}
		for line := range strings.Lines(text) {
			id, e, ok := p.line(line)
			if !ok {
				id, e = "", logEvent{}
			}
			// a fate is somebody's, and what names the message was read
			if ok && (e.fate == fateNone || !strings.Contains(text, id) || !strings.Contains(strings.ToLower(line), e.who) || !strings.Contains(strings.ToLower(line), e.orig)) {
				t.Fatalf("%q: %q %+v", line, id, e)
			}
			if ok && id == "" && !strings.Contains(line, "msgid=") {
				t.Fatalf("%q: a fate of nothing: %+v", line, e)
			}
			if _, x, ok := deaf.line(line); ok {
				t.Fatalf("%q: told of a message that nobody asks for: %+v", line, x)
			}
			// the line end says nothing
			id2, e2, ok2 := alike.line(strings.TrimRight(line, "\r\n") + "\r\n")
			if !ok2 {
				id2, e2 = "", logEvent{}
			}
			if e.at.Equal(e2.at) {
				e2.at = e.at // a zone of one's own has an address, too
			}
			if id != id2 || e != e2 || ok != ok2 {
				t.Fatalf("%q: %q %+v, with another line end %q %+v", line, id, e, id2, e2)
			}
		}
		if len(deaf.ids) > 0 || len(p.ids) > strings.Count(text, "message-id=") {
			t.Fatalf("%d queue ids are followed, and %d of messages that nobody asks for", len(p.ids), len(deaf.ids))
		}
	})
}

// A date that nanoseconds cannot hold is no date, and not another one.
func TestImpossibleDates(t *testing.T) {
	for _, x := range []time.Time{{}, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Unix(1<<62, 0)} {
		if got := nanos(x); got != 0 {
			t.Errorf("%v is %v", x, time.Unix(0, got))
		}
	}
	for _, x := range []time.Time{time.Date(2026, 11, 22, 1, 30, 0, 5, time.UTC), time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC)} {
		if got := nanos(x); !time.Unix(0, got).Equal(x) {
			t.Errorf("%v is %v", x, time.Unix(0, got))
		}
	}
}
