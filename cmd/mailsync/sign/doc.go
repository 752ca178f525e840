// Package sign makes and checks detached signatures in minisign's format
// (https://jedisct1.github.io/minisign/): FILE.minisig beside FILE. What it
// signs can be checked by anyone with minisign and the public key, without
// mailsync.
//
// A signature says that whoever has the secret key has seen these bytes. It says
// nothing of whether they are right, and nothing of when, unless the trusted
// comment does.
package sign
