// Package contract holds the program to its published interface: names, exit
// codes and JSON, promise by promise, as an acceptance tester would. It knows
// nothing but the built program, sample estates whose truth is known, and the
// file system before and after.
package contract
