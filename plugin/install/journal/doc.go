// Package journal changes files of a host so that all changes are made or none, even if the process is killed at any
// point. Before the first change it writes a journal with the previous state of each file; the next process that opens
// the journal undoes what is incomplete ([Journal.Recover]). A removal is the exception: it is completed.
//
// A record remembers the original state of each file over several transactions, so that all of them can be undone.
package journal
