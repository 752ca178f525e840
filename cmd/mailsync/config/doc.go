// Package config reads mailsync.toml and the words that operators write on the
// command line: names of stores and archives, sizes, rates, times, patterns.
//
// Reading is strict: a key that is not known is an error with file, line and
// column, because a misspelt "failure_domain" that is silently ignored would
// make two replicas look independent which are not. It opens the configuration
// file and nothing else; no store is touched.
package config
