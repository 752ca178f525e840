// Package drive runs the built mailsync as an operator's script would: a
// process with arguments, an exit code, JSON lines on standard output and text
// on standard error. The suites beside real servers, on failing file systems
// and under attack see the product through it alone, so that nothing is proved
// of a library that the program does not do.
package drive
