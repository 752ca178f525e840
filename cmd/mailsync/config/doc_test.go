package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/configuration.md knows every key, no other, and its example is right.
func TestDocumented(t *testing.T) {
	const file = "../../../docs/configuration.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```toml\n")
	example, _, _ = strings.Cut(example, "```")
	if c, err := Parse("example", []byte(example)); err != nil || len(c.Stores) != 3 {
		t.Errorf("the example: %v", err)
	}
	sections := strings.Split(string(text), "\n## ")[1:]
	types := []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[Store](), reflect.TypeFor[Archive](), reflect.TypeFor[Recipients](), reflect.TypeFor[SQL](), reflect.TypeFor[Signing]()}
	if len(sections) != len(types) {
		t.Fatalf("%d sections, want %d", len(sections), len(types))
	}
	cell := regexp.MustCompile(`(?m)^\| ([^|]*) \|`)
	word := regexp.MustCompile("`([a-z0-9_]+)`")
	for i, typ := range types {
		documented := map[string]bool{}
		for _, m := range cell.FindAllStringSubmatch(sections[i], -1) {
			for _, w := range word.FindAllStringSubmatch(m[1], -1) {
				documented[w[1]] = true
			}
		}
		for f := range typ.Fields() {
			key := f.Tag.Get("toml")
			switch {
			case key == "-", f.Type.Kind() == reflect.Map, f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct, slices.Contains(types, f.Type):
			case !documented[key]:
				t.Errorf("%s: key %q is not documented", typ.Name(), key)
			default:
				delete(documented, key)
			}
		}
		for key := range documented {
			t.Errorf("%s: %q is documented and not known", typ.Name(), key)
		}
	}
}
