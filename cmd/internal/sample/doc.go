// Package sample builds estates of mail on which promises can be proved:
// Maildir stores as a server leaves them, damaged on purpose with a list of
// what was damaged, replicas with known differences, and the archive that a
// gateway would have kept.
//
// Everything follows from a seed: two calls with the same Options describe the
// same mail, byte for byte, on every machine. An Estate is only a description;
// Write puts it on disk. Message bodies are generated when they are asked for,
// so that the description of 200,000 messages stays small.
//
// The package writes file names, uidlists, keyword tables and modified UTF-7
// with code of its own, and takes only vocabulary from the product: a witness
// that shared the product's code would share its mistakes.
package sample
