// Package place puts files into mail directories so that they survive a power
// cut, and never over another file.
//
// Everything goes through descriptors of directories that were opened safely
// (scan/beneath); no path is used after the first open. Every system call that
// writes stands in one table, Calls, which is where faults are injected.
package place
