package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"time"
)

// The bill of materials, in CycloneDX 1.5: what the linker itself noted in the
// binary (go version -m), so it lists what is in, and nothing that is not.
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
	// Go's own checksum of the module, as in go.sum.
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// billOf reads the bill out of a binary.
func billOf(bin string, b *build) ([]byte, error) {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	out := bill{Format: "CycloneDX", Spec: "1.5", Version: 1, Components: []component{
		{Type: "library", Ref: "pkg:golang/stdlib@" + info.GoVersion, Name: "stdlib", Version: info.GoVersion, PURL: "pkg:golang/stdlib@" + info.GoVersion},
	}}
	out.Metadata.Timestamp = b.at.Format(time.RFC3339)
	out.Metadata.Component = component{Type: "application", Ref: "mailsync", Name: "mailsync", Version: b.version}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		purl := fmt.Sprintf("pkg:golang/%s@%s", d.Path, d.Version)
		out.Components = append(out.Components, component{
			Type: "library", Ref: purl, Name: d.Path, Version: d.Version, PURL: purl,
			Properties: []property{{"go:sum", d.Sum}},
		})
	}
	data, err := json.MarshalIndent(out, "", "  ")
	return append(data, '\n'), err
}
