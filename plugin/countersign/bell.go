package main

// bell tells one goroutine that something changed. What rings while nobody listens is heard once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

// ring does not wait.
func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
