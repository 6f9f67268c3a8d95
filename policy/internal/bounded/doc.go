// Package bounded reads whole files of limited size that untrusted parties may have created: a named pipe, a device, or
// a file of many gigabytes must not block the reader or fill its memory.
package bounded
