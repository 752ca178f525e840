package userdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"mailsync/restore/replay"
)

// ErrOptions reports a database that is described wrongly.
var ErrOptions = errors.New("bad userdb option")

// Driver names a kind of database.
type Driver string

// The drivers.
const (
	PostgreSQL Driver = "postgres"
	MySQL      Driver = "mysql"
)

// Queries are what a database is asked. Each returns two columns, a key and
// what belongs to it, for the keys that stand at {keys}: that is replaced by
// placeholders, as many as there are keys, wherever it stands. "" is not asked.
type Queries struct {
	Aliases      string // address or "@domain" -> addresses between commas
	AliasDomains string // "@domain" -> "@domain"
	Mailboxes    string // address -> path of its Maildir, absolute or below Base
}

// Postfixadmin are the queries for the schema of postfixadmin. Inactive
// aliases, domains and mailboxes are none.
func Postfixadmin(d Driver) Queries {
	q := Queries{
		Aliases:      "SELECT address, goto FROM alias WHERE active = true AND address IN ({keys})",
		AliasDomains: "SELECT '@' || alias_domain, '@' || target_domain FROM alias_domain WHERE active = true AND '@' || alias_domain IN ({keys})",
		Mailboxes:    "SELECT username, maildir FROM mailbox WHERE active = true AND username IN ({keys})",
	}
	if d == MySQL {
		q.AliasDomains = "SELECT CONCAT('@', alias_domain), CONCAT('@', target_domain) FROM alias_domain WHERE active = true AND CONCAT('@', alias_domain) IN ({keys})"
	}
	return q
}

// Options describe a database.
type Options struct {
	Driver  Driver
	DSN     string  // PostgreSQL: a URL or key=value words; MySQL: user@unix(/path)/name and its like
	Queries Queries // those left empty are postfixadmin's
	Base    string  // directory to which paths of mailboxes are relative; "" = such paths are not used
}

// SQL is a replay.Userdb over a database.
type SQL struct {
	db *sql.DB
	o  Options
}

var _ replay.Userdb = (*SQL)(nil)

// Open connects. Errors wrap ErrOptions or replay.ErrResolver.
func Open(ctx context.Context, o Options) (*SQL, error) {
	def := Postfixadmin(o.Driver)
	for _, q := range []struct{ mine, def *string }{
		{&o.Queries.Aliases, &def.Aliases}, {&o.Queries.AliasDomains, &def.AliasDomains}, {&o.Queries.Mailboxes, &def.Mailboxes},
	} {
		if *q.mine == "" {
			*q.mine = *q.def
		}
		if !strings.Contains(*q.mine, "{keys}") {
			return nil, fmt.Errorf("%w: a query without {keys}", ErrOptions)
		}
	}
	s := &SQL{o: o}
	switch o.Driver {
	case PostgreSQL:
		c, err := pgx.ParseConfig(o.DSN)
		if err != nil {
			return nil, fmt.Errorf("%w: dsn: %w", ErrOptions, err) // the driver leaves the password out
		}
		s.db = stdlib.OpenDB(*c)
	case MySQL:
		c, err := mysql.ParseDSN(o.DSN)
		if err != nil {
			return nil, fmt.Errorf("%w: dsn of MySQL: %w", ErrOptions, err)
		}
		conn, err := mysql.NewConnector(c)
		if err != nil {
			return nil, fmt.Errorf("%w: dsn of MySQL: %w", ErrOptions, err)
		}
		s.db = sql.OpenDB(conn)
	default:
		return nil, fmt.Errorf("%w: driver %q (known: postgres, mysql)", ErrOptions, o.Driver)
	}
	s.db.SetMaxOpenConns(1) // questions come one after the other
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.db.PingContext(ctx); err != nil {
		_ = s.db.Close() // nothing was asked
		return nil, fmt.Errorf("%w: %w", replay.ErrResolver, err)
	}
	return s, nil
}

// Close ends the connection.
func (s *SQL) Close() error { return s.db.Close() }

// Aliases implements replay.Userdb. An alias domain is asked for before a
// catch-all of its own, as postfixadmin's maps do.
func (s *SQL) Aliases(ctx context.Context, keys []string) (map[string][]string, error) {
	out := map[string][]string{}
	var domains []string
	for _, k := range keys {
		if strings.HasPrefix(k, "@") {
			domains = append(domains, k)
		}
	}
	err := s.query(ctx, s.o.Queries.AliasDomains, domains, func(key, value string) { out[key] = append(out[key], value) })
	if err != nil {
		return nil, err
	}
	rest := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return len(out[k]) > 0 })
	err = s.query(ctx, s.o.Queries.Aliases, rest, func(key, value string) {
		for a := range strings.SplitSeq(value, ",") {
			if a = strings.TrimSpace(a); a != "" {
				out[key] = append(out[key], a)
			}
		}
	})
	return out, err
}

// Mailboxes implements replay.Userdb.
func (s *SQL) Mailboxes(ctx context.Context, addrs []string) (map[string]string, error) {
	out := map[string]string{}
	err := s.query(ctx, s.o.Queries.Mailboxes, addrs, func(key, value string) {
		switch {
		case strings.HasPrefix(value, "/"):
		case value == "" || s.o.Base == "":
			value = ""
		default:
			value = strings.TrimSuffix(s.o.Base, "/") + "/" + value
		}
		out[key] = strings.TrimSuffix(value, "/")
	})
	return out, err
}

// atOnce is how many keys one query is asked for.
const atOnce = 500

// query asks for keys in parts. Keys that no database can hold as text are
// left out: nothing is found under them.
func (s *SQL) query(ctx context.Context, text string, keys []string, row func(key, value string)) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return strings.IndexByte(k, 0) >= 0 || strings.ToValidUTF8(k, "") != k })
	for part := range slices.Chunk(keys, atOnce) {
		if err := s.part(ctx, text, part, row); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %w", replay.ErrResolver, err)
		}
	}
	return nil
}

func (s *SQL) part(ctx context.Context, text string, keys []string, row func(key, value string)) error {
	q, args := s.o.Driver.fill(text, keys)
	rows, err := s.db.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value sql.NullString
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if key.Valid {
			row(key.String, value.String)
		}
	}
	return rows.Err()
}

// fill replaces {keys} by placeholders.
func (d Driver) fill(text string, keys []string) (string, []any) {
	var b strings.Builder
	var args []any
	for {
		head, rest, more := strings.Cut(text, "{keys}")
		b.WriteString(head)
		if !more {
			return b.String(), args
		}
		text = rest
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			args = append(args, k)
			if d == PostgreSQL {
				b.WriteString("$" + strconv.Itoa(len(args)))
			} else {
				b.WriteByte('?')
			}
		}
	}
}
