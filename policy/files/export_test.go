package files

import "time"

// OpenWithShortIntervals opens documents and checks them at this interval, also for changes that cause no event.
func OpenWithShortIntervals(config Config, every time.Duration) *Documents {
	pace := defaultTiming()
	pace.retryInterval, pace.rescanInterval = every, every
	return open(config, pace)
}

// DocumentName exports documentName.
func DocumentName(name string) (string, bool) { return documentName(name) }

// CheckAll returns a function that checks all documents once. They have settled before.
func CheckAll(config Config) func() {
	d := open(config, defaultTiming())
	w := newWatch()
	// Check until nothing is left to settle.
	for d.follow(w).Before(time.Now().Add(d.timing.retryInterval)) {
	}
	return func() { d.follow(w) }
}
