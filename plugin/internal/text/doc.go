// Package text makes text from other programs printable on one line of a log, an answer or a terminal.
package text
