// Package doctor finds out how a mail server and a host are set up, as far as
// it bears on a mail store: where Dovecot keeps mail, what a path is mounted
// from and how, which rights this process has, whether the clock is kept.
//
// It only reads: the output of doveconf, files of /proc and /etc, and states of
// files. What it makes of them is data; it judges nothing and prints nothing.
//
// Not guaranteed: that users whose homes a database names lie where the server's
// settings say. What the settings alone do not tell is told as such.
package doctor
