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

// best is the rate of the fastest run.
func (s *stat) best() float64 {
	if s.units > 0 {
		return s.units / s.low
	}
	return 1 / s.low
}

// subjectOf returns the runs that the others are compared with.
func subjectOf(jobs []job, all map[string][]measured) []measured {
	for _, j := range jobs {
		if j.subject && len(all[j.name]) > 0 {
			return all[j.name]
		}
	}
	return nil
}

// pairwise is the median of how many times as fast as other the subject was,
// repetition by repetition: what slows a machine for minutes slows both.
// 0 where no repetition ran both.
func pairwise(subject, other []measured) float64 {
	var v []float64
	for i := range other {
		for k := range subject {
			if subject[k].Rep == other[i].Rep {
				v = append(v, speed(&subject[k])/speed(&other[i]))
			}
		}
	}
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return middle(v)
}

func speed(m *measured) float64 {
	if m.Units > 0 {
		return m.Units / m.Wall
	}
	return 1 / m.Wall
}

// printTable prints medians, spread, memory, and how many times as fast as the
// job the subject is: by the medians, by the lowest, and the median of the ratios
// of each repetition, which trusts a drifting machine least.
func printTable(jobs []job, all map[string][]measured) {
	subject := subjectOf(jobs, all)
	var base stat
	if subject != nil {
		base = summarise(subject)
	}
	fmt.Println("| command | runs | seconds (median) | lowest to highest | messages/s | user + sys s | peak MiB | mailsync is … times as fast: by medians / lowest / pairwise |")
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
			ratio = fmt.Sprintf("%.2f / %.2f / %.2f", base.rate()/s.rate(), base.best()/s.best(), pairwise(subject, all[j.name]))
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

// part is one share of what the subject does: what a job takes more than the
// job that does everything but this.
type part struct{ name, with, without string }

// printBreakdown prints the shares, by the medians. Jobs overlap their work
// differently, so that a share of wall time may come out below 0.
func printBreakdown(parts []part, all map[string][]measured) {
	fmt.Println("\n| share | seconds | user + sys s |")
	fmt.Println("|---|---|---|")
	for _, p := range parts {
		a := summarise(all[p.with])
		var b stat
		if p.without != "" {
			b = summarise(all[p.without])
		}
		if a.n == 0 || p.without != "" && b.n == 0 {
			continue
		}
		fmt.Printf("| %s | %.2f | %.2f |\n", p.name, a.median-b.median, a.user+a.sys-b.user-b.sys)
	}
}
