package evidence

import (
	"context"
	"errors"
	"sync"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// maxSatisfactions limits the queued satisfactions of one entry, and those that are known to have been reported. Others
// are recorded when a decision reports them again.
const maxSatisfactions = 256

// satisfactions are what decisions have reported of an entry. The Keeper's lock guards them.
type satisfactions struct {
	// unrecorded wait to be recorded, and reported are those that have been reported since the stored set changed.
	unrecorded []policy.Satisfaction
	reported   map[checkKey]struct{}
	// recording is held while satisfactions are recorded.
	recording sync.Mutex
}

// Satisfied is a [policy.SatisfiedFunc]: it records the file that met a requirement in the background, so that it stays
// in the store, regardless of what a registry serves later.
func (k *Keeper) Satisfied(s policy.Satisfaction) {
	key := store.Key{Manifest: s.Evidence.Manifest, Repository: s.Reference.Name()}
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[key]
	if !ok || len(e.unrecorded) >= maxSatisfactions || k.ctx.Err() != nil {
		return
	}
	reported := keyOf(s.Check)
	if _, ok := e.reported[reported]; ok {
		return
	}
	if e.reported == nil || len(e.reported) >= maxSatisfactions {
		e.reported = map[checkKey]struct{}{}
	}
	e.reported[reported] = struct{}{}
	e.unrecorded = append(e.unrecorded, s)
	k.unrecorded = append(k.unrecorded, e)
	if !k.recording {
		k.recording = true
		k.running.Go(k.recordAll)
	}
}

// recordAll records what is reported until there is nothing left.
func (k *Keeper) recordAll() {
	for {
		k.mu.Lock()
		if len(k.unrecorded) == 0 || k.ctx.Err() != nil {
			k.recording = false
			k.unrecorded = nil
			k.mu.Unlock()
			return
		}
		e := k.unrecorded[0]
		k.unrecorded = k.unrecorded[1:]
		k.mu.Unlock()
		k.recordSatisfied(k.ctx, e)
	}
}

// recordSatisfied records all that is reported of an entry. A fetch does that before it replaces the entry's files.
func (k *Keeper) recordSatisfied(ctx context.Context, e *entry) {
	e.recording.Lock()
	defer e.recording.Unlock()
	for ctx.Err() == nil {
		k.mu.Lock()
		if len(e.unrecorded) == 0 {
			k.mu.Unlock()
			return
		}
		s := e.unrecorded[0]
		e.unrecorded = e.unrecorded[1:]
		k.mu.Unlock()
		// What a registry served is hostile bytes, and what parses them is not all ours.
		err := policy.Guard("recording what met a requirement", k.panicked, func() error {
			file, err := k.satisfying(ctx, s)
			if err != nil || file == nil {
				return err
			}
			return k.addSatisfied(e, *file)
		})
		if err != nil {
			k.log.WarnContext(ctx, "evidence that met a requirement could not be recorded",
				"repository", e.key.Repository, "manifest", e.key.Manifest, "error", err)
			k.allowReport(e, s, err)
		}
	}
}

// allowReport lets decisions report a satisfaction again that could not be recorded, unless judging the files would
// fail again.
func (k *Keeper) allowReport(e *entry, s policy.Satisfaction, err error) {
	if _, panicked := errors.AsType[*policy.PanicError](err); panicked || errors.Is(err, errNoSingleFile) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(e.reported, keyOf(s.Check))
}

// errNoSingleFile reports that a requirement is met by all files, and by none of them.
var errNoSingleFile = errors.New("no single file meets the requirement that all of them met")

// satisfying returns the file that met a requirement. Judges tell only that one of them did.
func (k *Keeper) satisfying(ctx context.Context, s policy.Satisfaction) (*format.File, error) {
	files, err := store.ReadFiles(s.Evidence)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	if len(files) == 1 {
		return &files[0], nil
	}
	for i := range files {
		met, err := metBy(ctx, s.Check, s.Evidence.Manifest, files[i])
		if err != nil {
			return nil, err
		}
		if met {
			return &files[i], nil
		}
	}
	return nil, errNoSingleFile
}

// addSatisfied stores a file as one that met a requirement.
func (k *Keeper) addSatisfied(e *entry, file format.File) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	k.mu.Lock()
	stored, needed := e.stored, e.needed
	k.mu.Unlock()
	if stored == nil {
		// It was removed meanwhile.
		return nil
	}
	set, removed, err := k.store.AddSatisfied(stored, file)
	k.forget(removed)
	if err != nil && !errors.Is(err, store.ErrReplaced) {
		// The disk may be full: it is stored in memory then.
		content := stored.Content()
		content.Satisfied = append(content.Satisfied, file)
		set, removed, err = k.store.Put(e.key, content, needed)
		k.forget(removed)
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.stored == stored {
		reported := e.reported
		k.setStored(e, set)
		e.reported = reported
	}
	return nil
}

// setSatisfied sets the generation of the files that met a requirement, which changes only if they do.
func (k *Keeper) setSatisfied(e *entry, evidence *policy.Evidence) {
	before := e.evidence.Satisfied
	evidence.Satisfied.Generation = before.Generation
	if evidence.Satisfied == before {
		return
	}
	evidence.Satisfied.Generation = 0
	if evidence.Satisfied.Directory != "" {
		evidence.Satisfied.Generation = k.generation.Add(1)
	}
}
