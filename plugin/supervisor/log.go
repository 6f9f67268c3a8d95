package supervisor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// Identifier is the identifier of the daemon's messages in the journal, as for the service.
const Identifier = "countersign"

// LogFile is the daemon's log if there is no journald; it has at most LogFiles rotated files of at most LogSize bytes.
const (
	LogFile  = "/var/log/countersign/daemon.log"
	LogFiles = 4
	LogSize  = 16 << 20
)

// stderrSize is when the file with what the processes print, and do not log, is rotated: the stacks of crashes.
const stderrSize = 1 << 20

// openLog returns what a process writes to: journald, or else a file, or else nothing. A log that cannot be written
// must not stop the node.
func (n *Node) openLog() (*os.File, error) {
	if output, err := dialJournal(n.Journal); err == nil {
		return output, nil
	}
	if output, err := openFile(filepath.Join(n.Logs, "supervisor.log")); err == nil {
		return output, nil
	}
	return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
}

// Journaled reports whether journald receives what the processes write.
func (n *Node) Journaled() bool {
	output, err := dialJournal(n.Journal)
	if err != nil {
		return false
	}
	_ = output.Close()
	return true
}

// openFile opens a log file, and rotates it first if it is large.
func openFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > stderrSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// dialJournal opens a stream of journald, to which a process writes a message a line. Its first lines are the settings
// of the stream (systemd, src/journal/journald-stream.c): the identifier, the unit, the priority, whether lines begin
// with a priority, and whether messages are forwarded to syslog, the kernel's log and the console.
func dialJournal(path string) (*os.File, error) {
	connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("connecting to journald: %w", err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte(Identifier + "\n\n6\n0\n0\n0\n0\n")); err != nil {
		return nil, fmt.Errorf("opening a stream of journald: %w", err)
	}
	file, err := connection.File()
	if err != nil {
		return nil, fmt.Errorf("opening a stream of journald: %w", err)
	}
	return file, nil
}
