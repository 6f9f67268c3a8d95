package nri

import (
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// maxValidations limits the validations of containers that have not been started. The kubelet starts a container at
// once.
const maxValidations = 4096

// validation has the images that a validation found for a container.
type validation struct {
	configs []digest.Digest
	// volumes are its image volumes, by mount point.
	volumes map[string]policy.Volume
	// denied reports whether it was admitted in audit mode only.
	denied bool
}

// validations are those of containers that have not been started. The oldest are dropped. The zero value is ready for
// use.
type validations struct {
	mu    sync.Mutex
	byID  map[string]validation
	order []string
}

func (v *validations) add(id string, found validation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byID == nil {
		v.byID = make(map[string]validation)
	}
	if _, known := v.byID[id]; !known {
		v.order = append(v.order, id)
	}
	v.byID[id] = found
	for len(v.order) > maxValidations {
		delete(v.byID, v.order[0])
		v.order = v.order[1:]
	}
}

// take removes and returns the validation of a container, or nil if the daemon was restarted since.
func (v *validations) take(id string) *validation {
	v.mu.Lock()
	defer v.mu.Unlock()
	found, ok := v.byID[id]
	if !ok {
		return nil
	}
	delete(v.byID, id)
	return &found
}
