package files

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// watch receives the kernel's notifications for directories.
type watch struct {
	watcher *fsnotify.Watcher
	places  *watchList
	// watched are the directories that are watched: a path may refer to another directory by now.
	watched map[string]directoryID
	// count is the number of watches that were created. The watcher drops those whose directory is moved or removed.
	count int
	// err is why not everything is watched.
	err error
}

func newWatch() *watch { return &watch{places: &watchList{}} }

// set changes the directories to watch, and reports whether any of them was not watched before: changes there may have
// been missed. It creates all watches again, because two paths may share one watch.
func (w *watch) set(p *watchList) (more bool) {
	w.places = p
	wanted := make(map[string]directoryID, len(p.names))
	for directory := range p.names {
		if info, err := os.Stat(directory); err == nil {
			wanted[directory] = identityOf(info).directoryID()
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

// open creates a watcher for the directories.
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

// fail records that notifications are no longer reliable; the next set creates new watches.
func (w *watch) fail(err error) {
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

// events returns the notifications. Without a watcher there are none.
func (w *watch) events() (<-chan fsnotify.Event, <-chan error) {
	if w.watcher == nil {
		return nil, nil
	}
	return w.watcher.Events, w.watcher.Errors
}
