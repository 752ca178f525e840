package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

// holds tells whether a value is of the documented kind.
func (f *field) holds(value any) bool {
	switch v := value.(type) {
	case nil:
		return f.kind == "string or null"
	case string:
		if f.kind == "time" {
			_, err := time.Parse(time.RFC3339, v)
			return err == nil
		}
		return f.kind == "string" || f.kind == "string or null"
	case float64:
		return f.kind == "number"
	case bool:
		return f.kind == "boolean"
	case []any:
		return f.kind == "array"
	}
	return f.kind == "object"
}

// schema is the field's JSON Schema.
func (f *field) schema() map[string]any {
	switch f.kind {
	case "time":
		return map[string]any{"type": "string", "format": "date-time"}
	case "string or null":
		return map[string]any{"type": []string{"string", "null"}}
	}
	return map[string]any{"type": f.kind}
}

// docs/json.schema.json says the same as docs/json.md, for programs. Types and
// fields that it does not know are allowed: they may be added. UPDATE=1 writes
// it.
func TestJSONSchema(t *testing.T) {
	const file = "../../docs/json.schema.json"
	defs, rules := map[string]any{}, []any{}
	types := documented(t)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		properties, required, either := map[string]any{"v": map[string]any{"const": 1}, "type": map[string]any{"const": name}}, []string{}, []any(nil)
		for _, k := range slices.Sorted(maps.Keys(types[name])) {
			f := types[name][k]
			properties[k] = f.schema()
			switch {
			case f.path:
				properties[k+"_b64"] = f.schema()
				either = []any{map[string]any{"required": []string{k}}, map[string]any{"required": []string{k + "_b64"}}}
			case !f.optional:
				required = append(required, k)
			}
		}
		def := map[string]any{"properties": properties, "required": required}
		if either != nil {
			def["anyOf"] = either
		}
		defs[name] = def
		rules = append(rules, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"type": map[string]any{"const": name}}},
			"then": map[string]any{"$ref": "#/$defs/" + name},
		})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A line of mailsync --json", "type": "object",
		"properties": map[string]any{"v": map[string]any{"const": 1}, "type": map[string]any{"type": "string"}}, "required": []string{"v", "type"},
		"allOf": rules, "$defs": defs,
	}); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, file) != b.String() {
		t.Errorf("%s is not what docs/json.md says: UPDATE=1 go test ./cmd/mailsync -run TestJSONSchema", file)
	}
}
