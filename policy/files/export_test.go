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

// Look returns what looks at all documents once, after they have settled.
func Look(config Config) func() {
	d := open(config, defaultPace())
	w := newWatch()
	// It looks until nothing is left to settle.
	for d.follow(w).Before(time.Now().Add(d.pace.trouble)) {
	}
	return func() { d.follow(w) }
}
