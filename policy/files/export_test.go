package files

import "time"

// OpenImpatient opens documents that are looked at every so often, for what gives no hint and would take a minute.
func OpenImpatient(config Config, every time.Duration) *Documents {
	pace := defaultPace()
	pace.trouble, pace.rescan = every, every
	return open(config, pace)
}

// DocumentName is what decides whether a file's name is a document's.
func DocumentName(name string) (string, bool) { return documentName(name) }
