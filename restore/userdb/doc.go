// Package userdb asks the databases in which operators keep aliases and
// mailboxes: PostgreSQL and MySQL with any schema (postfixadmin's is the
// default), and Dovecot's own userdbs through doveadm.
//
// Addresses come from mail and are never part of a query's text: they travel as
// parameters, and where a program is asked, as arguments that it cannot take
// for options or patterns. Nothing is written. Errors never hold a password.
package userdb
