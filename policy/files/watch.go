package files

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// watch asks the kernel for notifications about directories.
type watch struct {
	watcher *fsnotify.Watcher
	places  *places
	// watched is what each directory was when it was put under watch: at the same path there may be another by now.
	watched map[string]place
	// count is how many watches the watcher had then. It drops those whose directory is moved or removed.
	count int
	// err is why not everything is watched.
	err error
}

func newWatch() *watch { return &watch{places: &places{}} }

// set watches other places than before, and reports whether any of them was not being watched: then changes may have
// gone unnoticed. All watches are made anew rather than some, for two paths may share one watch.
func (w *watch) set(p *places) (more bool) {
	w.places = p
	wanted := make(map[string]place, len(p.names))
	for directory := range p.names {
		if info, err := os.Stat(directory); err == nil {
			wanted[directory] = identityOf(info).place()
		}
	}
	if w.err == nil && w.watcher != nil && maps.Equal(wanted, w.watched) && len(w.watcher.WatchList()) == w.count {
		return false
	}
	w.close()
	w.watched = wanted
	w.err = w.open()
	return w.err == nil
}

// open makes a watcher for what is wanted.
func (w *watch) open() error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching for changes of policies: %w; is fs.inotify.max_user_instances too low?", err)
	}
	w.watcher = watcher
	for _, directory := range slices.Sorted(maps.Keys(w.watched)) {
		if err := watcher.Add(directory); err != nil {
			return fmt.Errorf("watching %s for changes: %w; is fs.inotify.max_user_watches too low?", directory, err)
		}
	}
	w.count = len(watcher.WatchList())
	return nil
}

// lost notes that notifications cannot be relied on any more; the next set makes new watches.
func (w *watch) lost(err error) {
	w.close()
	w.err = fmt.Errorf("watching for changes of policies: %w", err)
}

func (w *watch) close() {
	if w.watcher == nil {
		return
	}
	_ = w.watcher.Close() // It only ever returns errors of closing a descriptor.
	w.watcher = nil
}

// events are the notifications; they never come while there is no watcher.
func (w *watch) events() (<-chan fsnotify.Event, <-chan error) {
	if w.watcher == nil {
		return nil, nil
	}
	return w.watcher.Events, w.watcher.Errors
}
