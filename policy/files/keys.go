package files

import (
	"slices"
	"sync"
	"time"

	"github.com/countersign/countersign/policy"
)

// keys are the states of the key files that documents name, by which changes are detected.
type keys map[string]key

type key struct {
	observation
	// err is why the file could not be read, or empty.
	err string
}

// keyReads are the key files that were read during one scan. Each is read once, so all documents of a scan see the same
// contents.
type keyReads struct {
	now   time.Time
	known keys
	mutex sync.Mutex
	files map[string]*keyRead
}

type keyRead struct {
	once     sync.Once
	contents []byte
	err      error
	seen     key
}

func (k *keyReads) read(path string) ([]byte, error) {
	k.mutex.Lock()
	file, ok := k.files[path]
	if !ok {
		file = new(keyRead)
		k.files[path] = file
	}
	k.mutex.Unlock()
	file.once.Do(func() {
		var id identity
		file.contents, id, file.err = read(path, keyLimit)
		if file.err != nil {
			file.seen.err = file.err.Error()
			return
		}
		file.seen.observation = k.known[path].observe(id, file.contents, k.now)
	})
	return file.contents, file.err
}

// changed checks every known key file and returns those with other contents or another error than before.
func (k *keyReads) changed() map[string]bool {
	changed := make(map[string]bool)
	for path, known := range k.known {
		id, err := inspect(path, keyLimit)
		if err == nil && known.err == "" && known.isCurrent(id) {
			continue
		}
		_, _ = k.read(path) // What went wrong is part of what was seen.
		seen := k.files[path].seen
		if seen.sum != known.sum || seen.err != known.err {
			changed[path] = true
			continue
		}
		k.known[path] = seen
	}
	return changed
}

// update returns the state of the named key files after a scan. If a file was read for a document after it had been
// found unchanged, its old observation remains: if it changed in between, the next scan must detect that for the other
// documents that name it.
func (k *keyReads) update(named, changed map[string]bool) keys {
	next := make(keys, len(named))
	for path := range named {
		known, ok := k.known[path]
		if !ok || changed[path] {
			_, _ = k.read(path) // A parser may name a file that it did not read.
			known = k.files[path].seen
		}
		next[path] = known
	}
	return next
}

// parse parses a document, and returns it with the sorted key files on which it depends. A document that panics the
// parser counts as invalid; otherwise it would end the daemon at every start.
func (k *keyReads) parse(config *Config, raw []byte) (*policy.Document, []string, error) {
	var named []string
	var document *policy.Document
	err := policy.Guard("the policy parser", config.Panicked, func() (err error) {
		document, err = config.Parse(raw, func(path string) ([]byte, error) {
			named = append(named, path)
			return k.read(path)
		})
		return err
	})
	if document != nil {
		named = append(named, document.KeyFiles...)
	}
	slices.Sort(named)
	return document, slices.Clip(slices.Compact(named)), err
}
