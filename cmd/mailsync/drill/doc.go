// Package drill rehearses bad days of a mail operator on an estate of its own:
// a primary, a hot spare, a backup that is hours old, and a gateway's archive,
// all made up, in one directory. It causes an incident, shows what the operator
// would see, what to type and what it means, runs the real program, and scores
// what was recovered against what it knows to be true.
//
// Nothing outside of the directory is touched: no configuration, no root, no
// server. The estate follows from a seed; times lie just before now, as they
// would on such a day.
//
// Not guaranteed: that a day looks like this one. A drill cannot make a disk
// slow or a cable loose; it says where it pretends.
package drill
