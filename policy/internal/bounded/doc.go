// Package bounded reads whole files of bounded size that others may have put in place: a named pipe, a device, or
// a file of many gigabytes must neither block the reader nor fill its memory.
package bounded
