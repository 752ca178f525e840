package main

import (
	"fmt"
	"slices"
)

// stat is what the table says of a job.
type stat struct {
	n                 int
	median, low, high float64 // seconds
	user, sys         float64
	rss               int64
	other             float64
	units             float64
}

func summarise(list []measured) stat {
	s := stat{n: len(list)}
	if s.n == 0 {
		return s
	}
	pick := func(f func(*measured) float64) []float64 {
		var v []float64
		for i := range list {
			v = append(v, f(&list[i]))
		}
		slices.Sort(v)
		return v
	}
	wall := pick(func(m *measured) float64 { return m.Wall })
	s.median, s.low, s.high = middle(wall), wall[0], wall[len(wall)-1]
	s.user = middle(pick(func(m *measured) float64 { return m.User }))
	s.sys = middle(pick(func(m *measured) float64 { return m.Sys }))
	s.other = middle(pick(func(m *measured) float64 { return m.OtherCPU }))
	s.units = list[0].Units
	for _, m := range list {
		s.rss = max(s.rss, m.RSS)
	}
	return s
}

func middle(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// rate is messages a second where messages were counted, else runs a second.
func (s *stat) rate() float64 {
	if s.units > 0 {
		return s.units / s.median
	}
	return 1 / s.median
}

// printTable prints medians, spread, memory, and how many times as fast as the
// job the subject is.
func printTable(jobs []job, all map[string][]measured) {
	var subject *stat
	for _, j := range jobs {
		if j.subject && len(all[j.name]) > 0 {
			s := summarise(all[j.name])
			subject = &s
			break
		}
	}
	fmt.Println("| command | runs | seconds (median) | lowest to highest | messages/s | user + sys s | peak MiB | mailsync is … times as fast |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, j := range jobs {
		if len(all[j.name]) == 0 {
			continue
		}
		s := summarise(all[j.name])
		rate, ratio, name := "", "", j.name
		if s.units > 0 {
			rate = fmt.Sprintf("%.0f", s.rate())
		}
		if j.subject {
			name = "**" + name + "**"
		}
		if subject != nil && !j.subject {
			ratio = fmt.Sprintf("%.2f", subject.rate()/s.rate())
		}
		fmt.Printf("| %s | %d | %.3f | %.3f to %.3f | %s | %.2f + %.2f | %d | %s |\n",
			name, s.n, s.median, s.low, s.high, rate, s.user, s.sys, s.rss>>20, ratio)
	}
	var noisy float64
	for _, list := range all {
		s := summarise(list)
		noisy = max(noisy, s.other)
	}
	fmt.Printf("\nEverything else on the machine used at most %.2f cores (median of the noisiest row).\n", noisy)
}
