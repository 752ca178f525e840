//go:build e2e

package e2e

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres starts a cluster of its own, on a socket, as the user that the
// package made, and returns how to connect to it.
func postgres(t *testing.T) string {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	u, err := user.Lookup("postgres")
	if len(bins) == 0 || err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("MAILSYNC_REQUIRE") == "1" {
			t.Fatal("PostgreSQL is not installed, and must be")
		}
		t.Skip("SKIPPED, nothing was proved: PostgreSQL is not installed (postgresql)")
	}
	bin := filepath.Dir(bins[len(bins)-1])
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	dir, err := os.MkdirTemp("/tmp", "msp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	as := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir = dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return c
	}
	if out, err := as("initdb", "-D", dir+"/db", "-A", "trust", "-U", "mail", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := as("postgres", "-D", dir+"/db", "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	var log bytes.Buffer
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
		if t.Failed() {
			t.Logf("the database's log:\n%s", tail(log.String(), 3000))
		}
	})
	dsn := "host=" + dir + " user=mail dbname=postgres"
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*c)
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); db.Ping() != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the database does not answer:\n%s", log.String())
		}
	}
	postfixadmin(t, db)
	return dsn
}

// postfixadmin makes the tables as postfixadmin's upgrade.php does for
// PostgreSQL, with the columns that matter here, and fills them.
func postfixadmin(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, q := range []string{
		"CREATE TABLE domain (domain varchar(255) PRIMARY KEY, transport varchar(255), backupmx boolean NOT NULL DEFAULT false, active boolean NOT NULL DEFAULT true)",
		"CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255), name varchar(255), maildir varchar(255) NOT NULL DEFAULT '', local_part varchar(255), domain varchar(255), active boolean NOT NULL DEFAULT true)",
		"CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto text NOT NULL, domain varchar(255), active boolean NOT NULL DEFAULT true)",
		"CREATE TABLE alias_domain (alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL, active boolean NOT NULL DEFAULT true)",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range users {
		name, domain, _ := strings.Cut(u, "@")
		if _, err := db.Exec("INSERT INTO mailbox (username, maildir, local_part, domain) VALUES ($1, $2, $3, $4)", u, domain+"/"+name+"/", name, domain); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("INSERT INTO alias (address, goto, domain) VALUES ($1, $2, $3)", u, u, domain); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range [][3]any{
		{"sales@example.org", "anna@example.org, bela@example.org", true},
		{"boss@example.org", "carla@example.org,boss@elsewhere.example", true},
		{"off@example.org", "carla@example.org", false},
		{"@catch.example", "bela@example.org", true},
		{"o'brien@example.org", "anna@example.org", true},
	} {
		if _, err := db.Exec("INSERT INTO alias (address, goto, active) VALUES ($1, $2, $3)", row[:]...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("INSERT INTO alias_domain VALUES ('old.example', 'example.org', true), ('dead.example', 'example.org', false)"); err != nil {
		t.Fatal(err)
	}
}

// resolved audits one message for each address and returns the mailboxes that
// each leads to.
func resolved(t *testing.T, d *dovecot, recipients string, addrs []string) map[string][]string {
	t.Helper()
	b := product(t, d)
	var letters []letter
	for i, a := range addrs {
		letters = append(letters, letter{from: "s@example.net", to: a, data: mail(fmt.Sprintf("to-%d", i), 600)})
	}
	archiveOf(t, d, letters)
	writeConfig(t, d, "[archives.gateway]\npath = \""+d.file("gateway")+"\"\n"+recipients)
	r := run(t, b, []int{1}, "audit", "--from", "gateway", "--since", "all")
	out := map[string][]string{}
	for _, l := range r.Find("delivery") {
		if l.Mailbox != "" {
			out[l.Recipient] = append(out[l.Recipient], l.Mailbox)
			slices.Sort(out[l.Recipient])
		}
	}
	return out
}

// postfixadmin's schema in a real PostgreSQL: aliases, alias domains,
// catch-alls, what is inactive, and addresses that would be SQL.
func TestPostgresUserdb(t *testing.T) {
	dsn := postgres(t)
	d := newDovecot(t)
	want := map[string][]string{
		anna:                                  {anna},
		"anna+lists@example.org":              {anna},
		"ANNA@EXAMPLE.ORG":                    {anna},
		"sales@example.org":                   {anna, bela},
		"sales@old.example":                   {anna, bela},
		"boss@example.org":                    {carla},
		"whoever@catch.example":               {bela},
		"o'brien@example.org":                 {anna},
		"off@example.org":                     nil,
		"anna@dead.example":                   nil,
		"nobody@example.org":                  nil,
		"'; DROP TABLE alias; --@old.example": nil,
		"%@example.org":                       nil,
		"a\\'@example.org":                    nil,
		"\xff\xfe@example.org":                nil,
	}
	addrs := []string{}
	for a := range want {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs)
	for i := range 1200 { // several parts
		addrs = append(addrs, fmt.Sprintf("none-%d@example.org", i))
	}
	got := resolved(t, d, "[recipients]\ndelimiter = \"+\"\n[recipients.sql]\ndriver = \"postgres\"\ndsn = \""+dsn+"\"\nmaildir_base = \""+d.store()+"\"\n", addrs)
	for _, a := range addrs {
		if !slices.Equal(got[a], want[a]) {
			t.Errorf("%q leads to %v, want %v", a, got[a], want[a])
		}
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*c)
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT count(*) FROM alias").Scan(&n); err != nil || n != 8 {
		t.Errorf("%d aliases are left: %v", n, err)
	}
}

// Dovecot itself, asked in bulk.
func TestDoveadmUserdb(t *testing.T) {
	d := newDovecot(t)
	want := map[string][]string{
		anna: {anna}, "anna+x@example.org": {anna}, carla: {carla}, "Bela@Example.org": {bela},
		"nobody@example.org": nil, "*@example.org": nil, "-x@example.org": nil,
	}
	addrs := []string{}
	for a := range want {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs)
	for i := range 900 {
		addrs = append(addrs, fmt.Sprintf("none-%d@example.org", i))
	}
	got := resolved(t, d, "[recipients]\ndelimiter = \"+\"\ndoveadm = [\"doveadm\", \"-c\", \""+d.conf()+"\"]\ndoveadm_maildir = \"Maildir\"\n", addrs)
	for _, a := range addrs {
		if !slices.Equal(got[a], want[a]) {
			t.Errorf("%q leads to %v, want %v", a, got[a], want[a])
		}
	}
}
