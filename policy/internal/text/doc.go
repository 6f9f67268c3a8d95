// Package text bounds what others wrote before it is put into a message, a log or a record.
package text
