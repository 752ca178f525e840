package archive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"mailsync/manifest"
)

// record is a record of a queue file, however long.
func record(typ byte, data string) string {
	b := []byte{typ}
	n := len(data)
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return string(append(b, byte(n))) + data
}

// Whatever an archive says of who was to have a message, so much memory is spent
// on it and no more: the message is refused, and what follows it is read.
func TestCrowdedEnvelopes(t *testing.T) {
	crowd := strings.Repeat("a,", maxRecipients+1)
	put := func(name, content string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	beside := func(content string, files map[string]string) string {
		t.Helper()
		dir := t.TempDir()
		for name, s := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, content), []byte(msg(1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	long := strings.Repeat("x", postfixMaxRec-100)
	for name, path := range map[string]string{
		"a batch":       put("a.bsmtp", "MAIL FROM:<>\n"+strings.Repeat("RCPT TO:<a>\n", maxRecipients+1)+"DATA\n"+plain(1)+".\n"),
		"one field":     put("a.eml", "X-Envelope-To: "+crowd+"\n"+msg(1)),
		"many fields":   put("a.eml", strings.Repeat("X-Envelope-To: "+crowd[:maxHeader/2]+"\n", 2*maxRecipients*2/(maxHeader/2))+msg(1)),
		"blocked ones":  put("a.eml", strings.Repeat("X-Envelope-To-Blocked: "+long+"\n", maxNames/len(long)+1)+msg(1)),
		"a queue file":  put("4A1B2C3D4E", queue("Sann@example.net")+strings.Repeat(record('R', "a"), maxRecipients+1)+record('M', "")+record('E', "")),
		"its originals": put("4A1B2C3D4E", queue("Sann@example.net")+strings.Repeat(record('O', long)+record('R', "a"), maxNames/len(long)+1)+record('E', "")),
		"piler's list":  beside("7.eml", map[string]string{"recipients.tsv": strings.Repeat("7\ta\n", maxRecipients+1)}),
		"MIMEDefang's":  beside("ENTIRE_MESSAGE", map[string]string{"RECIPIENTS": strings.Repeat("a,", maxRecipients) + "\na\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			n, findings := stream(t, path, Options{})
			if n != 0 || len(findings) != 1 || findings[0].Kind != manifest.ArchiveRefused || !strings.Contains(findings[0].Detail, "recipients") {
				t.Errorf("%d messages, %.500v", n, findings)
			}
		})
	}
}

// Pointers of a queue file that lead backwards make no message out of the same
// records, however often they could be read.
func TestQueueFileInACircle(t *testing.T) {
	head := queue("Sann@example.net")
	loop := head + record('O', strings.Repeat("o", postfixMaxRec-100)) + record('R', "a@example.com")
	path := filepath.Join(t.TempDir(), "4A1B2C3D4E")
	if err := os.WriteFile(path, []byte(loop+record('p', fmt.Sprintf("%15d", len(head)))), 0o700); err != nil {
		t.Fatal(err)
	}
	n, findings := stream(t, path, Options{})
	if n != 0 || len(findings) != 1 || !strings.Contains(findings[0].Detail, "circle") {
		t.Errorf("%d messages, %v", n, findings)
	}
}

// A variable of an Exim header file that claims to be as long as can be.
func TestEximLengths(t *testing.T) {
	for _, n := range []string{"9223372036854775807", "9223372036854775806", "100", "-1", "x"} {
		h := "1wMail-000001-Ab-H\nexim 100 100\n<a@example.net>\n1795337760 0\n-acl 1 " + n + "\nvalue\nXX\n1\na@example.com\n\n"
		if _, err := parseExim([]byte(h)); err == nil {
			t.Errorf("a variable of %s bytes was read", n)
		}
	}
}

// The words ", expanded:" are found in any case, and where the text before them
// is longer or shorter in lower case: U+212A has three bytes, its k one.
func TestReportRecipientIsCutWhereItsWordsAre(t *testing.T) {
	r, ok := reportRecipient(" \u212a\u212a\xff@example.com, Expanded: list@example.com")
	if !ok || r.Addr != "\u212a\u212a\xff@example.com" || r.Original != "list@example.com" {
		t.Errorf("%+v, %v", r, ok)
	}
}

// A part of a report that is one line of nothing but the beginning of its
// delimiter is looked through once, not once for each of them.
func TestLineOfDelimiters(t *testing.T) {
	line := strings.Repeat("--b", 4<<20)
	at, _, _ := delimiter([]byte(line), 0, "b")
	if at >= 0 {
		t.Errorf("a delimiter at %d", at)
	}
}

// A piece of a large message that begins with the text of a delimiter in the
// middle of a line hides none behind it.
func TestDelimiterBehindAPieceThatLooksLikeOne(t *testing.T) {
	const boundary = "bound"
	overlap := len(boundary) + 16
	mark := "--" + boundary + "\n"
	second := 256<<10 - overlap // where the second piece begins
	text := strings.Repeat("x", second) + mark + strings.Repeat("y", 100) + "\n"
	want := int64(len(text) - 1)
	text += mark + strings.Repeat("z", 100)
	f, err := os.Create(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	c := content{file: f, n: int64(len(text))}
	if end, ok := c.boundary(0, boundary); !ok || end != want {
		t.Errorf("at %d, %v; want %d", end, ok, want)
	}
}

// The second block of an xz stream asks for a dictionary that no mail needs.
func TestDictionaryOfALaterBlock(t *testing.T) {
	var b bytes.Buffer
	for _, size := range []int{1 << 16, maxDictionary + 1<<20} {
		w, err := xz.WriterConfig{DictCap: size}.NewWriter(&b)
		if err == nil {
			_, err = w.Write([]byte(mboxOf(1, msg)))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	n, findings := stream(t, write(t, "a.mbox.xz", b.String()), Options{})
	if n > 1 || count(findings, manifest.ArchiveRefused) != 1 {
		t.Errorf("%d messages, %v", n, findings)
	}
}
