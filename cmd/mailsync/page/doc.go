// Package page makes a report of one run: JSON lines in, one HTML file or one
// text for an e-mail out.
//
// The lines are those that the run gave with --json, or that its log kept
// (package runlog), so a page says nothing that the run has not said. The file
// needs nothing beside it: styles and script stand in it, a strict content
// security policy lets neither it nor a mail address that pretends to be HTML
// load, send or run anything, and it reads without the script, too: the script
// only sorts, filters and turns the pages of long tables.
//
// No text of any message gets here: the lines have none. Names come from users
// and senders and are shown as text, with control characters escaped.
//
// Not guaranteed: a page of a run that was killed tells what was written until
// then, and says so; lists longer than maxRows are cut, with the number of
// what is left out.
package page
