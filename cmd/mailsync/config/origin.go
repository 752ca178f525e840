package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Value is one key: what applies for it, and where that was said.
type Value struct {
	Key  string // "readers", "stores.primary.layout"
	Text string
	By   string // flag, environment, file, default
	From string // "--readers", "$MAILSYNC_STATE", "FILE:LINE"; "" for a default
}

// Values tells what applies: the keys of the top and of every store, set or not,
// and of the other tables those that the file sets. given holds by key what
// flags and environment say, which win over the file. Secrets are not shown.
func (c *Config) Values(given map[string]Value) []Value {
	w := &values{c: c, given: given}
	w.table("", reflect.ValueOf(c).Elem(), true)
	return w.list
}

// inherited are the keys of a store that the top has, too.
var inherited = []string{"digest", "readers", "limit_rate", "breaker", "keep_absences"}

// defaults are what applies where nothing is said; docs/configuration.md has
// the reasons.
var defaults = map[string]string{
	"digest": "blake3", "readers": "by device", "ssh_command": "ssh", "breaker": "1%", "keep_absences": "90d",
	"folders": "maildir++", "utf8": "false", "symlinks": "false", "failure_domain": "its own", "idle": "false",
}

type values struct {
	c     *Config
	given map[string]Value
	list  []Value
}

func (w *values) table(prefix string, t reflect.Value, all bool) {
	for i := range t.NumField() {
		name := t.Type().Field(i).Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		key, v := prefix+name, t.Field(i)
		if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct {
			if v.IsNil() {
				continue
			}
			v = v.Elem()
		}
		_, word := v.Addr().Interface().(encoding.TextUnmarshaler)
		switch {
		case v.Kind() == reflect.Map:
			names := v.MapKeys()
			slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
			for _, n := range names {
				w.table(key+"."+n.String()+".", v.MapIndex(n).Elem(), name == "stores")
			}
		case v.Kind() == reflect.Struct && !word:
			w.table(key+".", v, false)
		default:
			w.value(key, name, v, all)
		}
	}
}

func (w *values) value(key, name string, v reflect.Value, all bool) {
	top := name
	if key != name && (!strings.HasPrefix(key, "stores.") || !slices.Contains(inherited, name)) {
		top = ""
	}
	if g, ok := w.given[top]; ok && top != "" {
		g.Key = key
		w.list = append(w.list, g)
		return
	}
	for _, k := range []string{key, top} {
		if line := w.c.lines[k]; line > 0 {
			if k != key {
				v = reflect.ValueOf(w.c).Elem().FieldByIndex(fieldOf(name))
			}
			w.list = append(w.list, Value{Key: key, Text: text(name, v), By: "file", From: fmt.Sprintf("%s:%d", w.c.File, line)})
			return
		}
	}
	if all {
		d, ok := defaults[name]
		if !ok {
			d = "none"
		}
		w.list = append(w.list, Value{Key: key, Text: d, By: "default"})
	}
}

// fieldOf is the field of Config with this name in the file.
func fieldOf(name string) []int {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("toml") == name {
			return []int{i}
		}
	}
	return nil
}

// text writes a value as a person writes it into the file, a list with blanks.
func text(name string, v reflect.Value) string {
	if name == "dsn" {
		return "(not shown)"
	}
	switch x := v.Addr().Interface().(type) {
	case fmt.Stringer:
		return x.String()
	case *Words:
		return strings.Join(*x, " ")
	case *[]string:
		return strings.Join(*x, " ")
	case **bool:
		return fmt.Sprint(**x)
	}
	return fmt.Sprint(v.Interface())
}

// linesOf tells on which line each key of a well-formed file stands.
func linesOf(data []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = ""
			for k := e.Key(); k.Next(); {
				prefix += string(k.Node().Data) + "."
			}
		case unstable.KeyValue:
			keyLines(&p, prefix, e, lines)
		}
	}
	return lines
}

func keyLines(p *unstable.Parser, prefix string, e *unstable.Node, lines map[string]int) {
	var path []string
	line := 0
	for k := e.Key(); k.Next(); {
		path = append(path, string(k.Node().Data))
		line = p.Shape(k.Node().Raw).Start.Line
	}
	key := prefix + strings.Join(path, ".")
	lines[key] = line
	if v := e.Value(); v.Kind == unstable.InlineTable {
		for c := v.Children(); c.Next(); {
			keyLines(p, key+".", c.Node(), lines)
		}
	}
}
