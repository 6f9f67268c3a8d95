package daemon

// notifier notifies one goroutine of changes. Several notifications count as one until the goroutine receives it.
type notifier chan struct{}

func newNotifier() notifier { return make(notifier, 1) }

// notify does not block.
func (n notifier) notify() {
	select {
	case n <- struct{}{}:
	default:
	}
}
