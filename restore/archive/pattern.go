package archive

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Pattern reads recipients, sender and date out of the paths of an archive that
// keeps one message a file.
//
// It is a path with placeholders: {recipient}, or {local} and {domain};
// {sender}; {year} {month} {day} {hour} {minute} {second}, or {unix} (seconds
// since 1970). "*" stands for anything within one component, "**" for any
// number of components: "{recipient}/{year}/{month}/{day}/*.eml". The pattern
// must match the whole path below the archive's root, or of a member inside its
// tar or zip file.
type Pattern struct {
	re    *regexp.Regexp
	names []string
	zone  *time.Location
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}|\*\*/|\*\*|\*`)

// ParsePattern compiles a pattern; dates in paths are in the zone.
func ParsePattern(s string, zone *time.Location) (*Pattern, error) {
	p := &Pattern{zone: zone}
	if p.zone == nil {
		p.zone = time.Local
	}
	var b strings.Builder
	b.WriteString("^")
	last := 0
	for _, i := range placeholder.FindAllStringIndex(s, -1) {
		b.WriteString(regexp.QuoteMeta(s[last:i[0]]))
		last = i[1]
		switch word := s[i[0]:i[1]]; word {
		case "**/":
			b.WriteString("(?:.*/)?")
		case "**":
			b.WriteString(".*")
		case "*":
			b.WriteString("[^/]*")
		default:
			name := strings.Trim(word, "{}")
			switch name {
			case "recipient", "sender":
				b.WriteString("([^/]+)")
			case "local", "domain":
				b.WriteString("([^/@]+)")
			case "year":
				b.WriteString("([0-9]{4})")
			case "month", "day", "hour", "minute", "second":
				b.WriteString("([0-9]{2})")
			case "unix":
				b.WriteString("([0-9]{8,11})")
			default:
				return nil, fmt.Errorf("%w: pattern %q: unknown placeholder %s", ErrOptions, s, word)
			}
			p.names = append(p.names, name)
		}
	}
	b.WriteString(regexp.QuoteMeta(s[last:]))
	b.WriteString("$")
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("%w: pattern %q: %w", ErrOptions, s, err)
	}
	p.re = re
	return p, nil
}

// pathFacts is what a path says.
type pathFacts struct {
	recipient, sender string
	date              time.Time
}

// match reads one path.
func (p *Pattern) match(path string) (pathFacts, bool) {
	m := p.re.FindStringSubmatch(path)
	if m == nil {
		return pathFacts{}, false
	}
	var f pathFacts
	var local, domain string
	date := [6]int{0, 1, 1, 0, 0, 0}
	dated := false
	for i, name := range p.names {
		v := m[i+1]
		n, _ := strconv.Atoi(v) // digits where it is used
		switch name {
		case "recipient":
			f.recipient = v
		case "sender":
			f.sender = v
		case "local":
			local = v
		case "domain":
			domain = v
		case "year":
			date[0], dated = n, true
		case "month":
			date[1] = n
		case "day":
			date[2] = n
		case "hour":
			date[3] = n
		case "minute":
			date[4] = n
		case "second":
			date[5] = n
		case "unix":
			f.date = time.Unix(int64(n), 0).UTC()
		}
	}
	if f.recipient == "" && local != "" && domain != "" {
		f.recipient = local + "@" + domain
	}
	if dated && date[1] <= 12 && date[2] <= 31 {
		f.date = time.Date(date[0], time.Month(date[1]), date[2], date[3], date[4], date[5], 0, p.zone).UTC()
	}
	return f, true
}

// fromPath completes an envelope by the operator's pattern.
func (p *pass) fromPath(in *input, m *Message) {
	f, ok := p.a.pattern.match(in.path)
	if !ok {
		return
	}
	if f.recipient != "" {
		m.Recipients = append(m.Recipients[:0], Recipient{Addr: f.recipient, How: PathPattern})
	}
	if f.sender != "" && !m.SenderKnown {
		m.Sender, m.SenderKnown = f.sender, true
	}
	// A path that names only a day is a worse time than the file's own, unless
	// the file's own lies on another day: then it is a copy's.
	if !f.date.IsZero() && m.ArrivalFrom == NoTime {
		if strings.Contains(strings.Join(p.a.pattern.names, " "), "hour") || f.date.Sub(in.mtime).Abs() > 36*time.Hour {
			m.Arrival, m.ArrivalFrom = f.date, ByName
		}
	}
}
