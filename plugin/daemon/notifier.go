package daemon

// notifier tells one goroutine that something changed. Several notifications before it receives one are one.
type notifier chan struct{}

func newNotifier() notifier { return make(notifier, 1) }

// notify does not wait.
func (n notifier) notify() {
	select {
	case n <- struct{}{}:
	default:
	}
}
