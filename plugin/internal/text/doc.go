// Package text prepares text that others wrote for one line of a log, an answer or a terminal.
package text
