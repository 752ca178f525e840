// Package ui is how mailsync talks: JSON lines for programs, lines and tables
// for people, progress, questions, and errors that say what, where, why and
// what next.
//
// Everything that came from a store (names of files, folders and mailboxes,
// details of findings) is escaped before it reaches a terminal or a log, so
// that no name can move a cursor, hide a line or reverse the text. Message
// text is never printed.
//
// Standard output carries results and nothing else; progress, warnings and
// errors go to standard error: as sentences for a person, or as lines of
// log/slog with a priority for the system's journal.
package ui
