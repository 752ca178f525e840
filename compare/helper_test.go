package compare_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailsync/compare"
	"mailsync/compare/comparetest"
)

type (
	msg   = comparetest.Message
	store = comparetest.Store
)

// sides makes live sides of fake stores.
func sides(stores ...*store) []compare.Side {
	out := make([]compare.Side, len(stores))
	for i, s := range stores {
		out[i] = s.Side()
	}
	return out
}

// diff runs a comparison to its end.
func diff(t testing.TB, o compare.Options, list ...compare.Side) ([]compare.Difference, compare.Result) {
	t.Helper()
	c, err := compare.New(list, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []compare.Difference
	for d, err := range c.Differences(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	r := c.Result()
	if !r.Complete {
		t.Fatal("the comparison ended without error and is not complete")
	}
	return out, r
}

// groups runs a comparison for a plan.
func groups(t testing.TB, o compare.Options, list ...compare.Side) []compare.Group {
	t.Helper()
	o.Groups = true
	c, err := compare.New(list, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []compare.Group
	for m, err := range c.Mailboxes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for g, err := range m.Groups() {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, g)
		}
	}
	return out
}

// side says in one word what a difference says of one store.
func side(c *compare.Copy) string {
	switch {
	case c.Unknown != "":
		return "unknown"
	case c.Absent():
		return "-"
	case c.Entry != nil:
		return c.Entry.Folder + "/" + c.Entry.File()
	}
	return "there"
}

// text makes a line of a difference, without its reason.
func text(d *compare.Difference) string {
	var copies []string
	for i := range d.Copies {
		copies = append(copies, side(&d.Copies[i]))
	}
	s := fmt.Sprintf("%s %s %s [%s] good %v", d.Mailbox, d.Folder, d.Kind, strings.Join(copies, " "), d.Good)
	if d.Messages != 0 {
		s += fmt.Sprintf(" messages %d", d.Messages)
	}
	return s
}

func texts(list []compare.Difference) []string {
	out := []string{}
	for i := range list {
		out = append(out, text(&list[i]))
	}
	return out
}

// kinds counts lines by kind.
func kinds(list []compare.Difference) map[compare.Kind]int {
	out := map[compare.Kind]int{}
	for _, d := range list {
		out[d.Kind]++
	}
	return out
}

func sorted[T interface{ ~string }](list []T) []T {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

var _ = context.Background
