// Package commands finds the commands that README.md and the pages in docs document, so that tests can check them.
package commands
